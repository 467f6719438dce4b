"""What ``/v1/process`` refuses, how it says so, and that nothing of it stays."""

import json
import socket
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from support.cohorts import CONFIG, write_pair
from support.dicom_series import write_series
from support.hostile import cut
from support.warm_slots import Serving, serving

from gpuprep.config.file import parse_config
from gpuprep.service.volumes.slots import Slots, WarmProfile
from gpuprep.service.volumes.uploads import UploadLimits
from gpuprep.values.errors import ConfigError


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_pair(folder, 1)
    write_series(folder / "two", [0.0, 2.0, 4.0, 6.0])
    write_series(folder / "two/other", [0.0, 2.0, 4.0], SeriesInstanceUID="1.2.3.5")
    cut(folder / "segmentation-1.nii.gz", 100).rename(folder / "short.nii.gz")
    (folder / "empty").mkdir()
    described = folder / "described"
    described.mkdir()
    secret = tmp_path_factory.mktemp("secret")
    write_pair(secret, 3)
    entry = {"image": f"../../{secret.name}/volume-3.nii.gz"}
    about = {"channel_names": {"0": "CT"}, "labels": {"background": 0}, "training": [entry]}
    (described / "dataset.json").write_text(json.dumps(about))
    (described / "linked").symlink_to(secret)
    (folder / "linked.nii.gz").symlink_to(secret / "volume-3.nii.gz")
    (folder / "list.csv").write_text("case_id,image\na,/etc/passwd\n")
    outside = tmp_path_factory.mktemp("outside") / "voxels.raw"
    outside.write_bytes(bytes(1000))
    (folder / "pointing.nrrd").write_text(
        f"NRRD0004\ntype: uint8\ndimension: 3\nsizes: 10 10 10\nencoding: raw\ndata file: {outside}\n"
    )
    return folder


@pytest.fixture(scope="module")
def service(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    scratch = tmp_path_factory.mktemp("service") / "scratch"
    profiles = {"ct": WarmProfile(parse_config(CONFIG)), "unused": WarmProfile(parse_config({}), 0)}
    limits = UploadLimits(bytes=1 << 20, seconds=0.5, unpacked_bytes=100_000, files=50)
    with serving(profiles, scratch, data, limits) as running:
        yield running


@pytest.fixture(autouse=True)
def _leaves_nothing(service: Serving) -> Iterator[None]:
    yield
    service.settle()


def problem(answer, status: int, code: str) -> str:
    """Check a problem; returns all its text."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert (body["status"], body["code"]) == (status, code), answer.text
    assert body["title"]
    assert "Traceback" not in answer.text
    return f"{body['detail']} {body['advice']}"


@pytest.mark.parametrize("way", ["upload", "path"])
def test_a_damaged_volume_is_refused_with_code_and_advice(service, data, way) -> None:
    file = data / "short.nii.gz"
    answer = service.send(file) if way == "upload" else service.name(file.name)
    told = problem(answer, 422, "E_TRUNCATED")
    assert "short.nii.gz" in told
    assert "Copy or download the file again" in told
    assert str(service.scratch) not in told
    assert str(data) not in told


def test_a_header_that_points_elsewhere_reaches_nothing(service, data) -> None:
    for answer in (service.send(data / "pointing.nrrd"), service.name("pointing.nrrd")):
        problem(answer, 422, "E_UNSAFE_PATH")


def test_a_description_that_names_files_elsewhere_reaches_nothing(service, data) -> None:
    told = problem(service.name("described"), 422, "E_UNSAFE_PATH")
    assert str(data.parent) not in told
    assert "outside of described" in told


@pytest.mark.parametrize(
    ("path", "status", "code", "word"),
    [
        ("linked.nii.gz", 422, "E_PATH", "root"),
        ("two", 422, "USAGE", "2 cases"),
        ("empty", 422, "USAGE", "empty"),
        ("list.csv", 422, "USAGE", "manifest"),
        ("absent.nii", 422, "E_PATH", "absent.nii"),
        ("../../etc/passwd", 422, "E_PATH", "root"),
        ("/etc/passwd", 422, "E_PATH", "root"),
        ("a\0b", 422, "E_PATH", "root"),
        ("x" * 5000, 422, "E_PATH", "root"),
    ],
)
def test_paths_that_are_no_single_case(service, data, path, status, code, word) -> None:
    told = problem(service.name(path), status, code)
    assert word in told
    assert str(data) not in told


def test_a_root_that_one_may_not_use_is_as_if_it_were_not_there(service) -> None:
    problem(service.name("volume-1.nii.gz", root="other"), 422, "E_ROOT")


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("", "E_REQUEST"),
        ("scan.txt", "E_UNREADABLE"),
        ("scan.mhd", "E_UNREADABLE"),
        (".nii", "E_UNREADABLE"),
        ("../scan.nii", "E_UNSAFE_PATH"),
        ("/etc/scan.nii", "E_UNSAFE_PATH"),
        ("a\x00b.nii", "E_UNSAFE_PATH"),
        ("-rf.nii", "E_UNSAFE_PATH"),
        ("x" * 300 + ".nii", "E_UNSAFE_PATH"),
    ],
)
def test_names_that_no_single_file_has(service, name, code) -> None:
    answer = service.client.post("/v1/process", params={"name": name}, content=b"x")
    problem(answer, 422, code)


def test_the_name_may_come_as_content_disposition(service, data) -> None:
    answer = service.client.post(
        "/v1/process",
        content=(data / "short.nii.gz").read_bytes(),
        headers={"content-disposition": 'attachment; filename="short.nii.gz"'},
    )
    assert "short.nii.gz" in problem(answer, 422, "E_TRUNCATED")


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({"answer": "pickle"}, 422),
        ({"answer": "zarr", "patch": "8,8,8"}, 422),
        ({"answer": "npy", "patch": "8,8"}, 422),
        ({"answer": "npy", "patch": "8,8,0"}, 422),
        ({"answer": "npy", "patch": "8,8,8", "overlap": "1"}, 422),
        ({"answer": "npy", "patch": "8,8,8", "overlap": "nan"}, 422),
        ({"profile": "unused"}, 422),
        ({"profile": "nobody"}, 422),
    ],
)
def test_wishes_that_cannot_be_met(service, query, status) -> None:
    answer = service.name("volume-1.nii.gz", **query)
    code = "E_PROFILE" if "profile" in query else "E_REQUEST"
    problem(answer, status, code)


def test_more_patches_than_an_answer_may_have(service) -> None:
    answer = service.name("volume-1.nii.gz", answer="npy", patch="9999,9999,9999")
    assert "1 patches of (9999, 9999, 9999) voxels" in problem(answer, 422, "USAGE")


def test_an_accept_without_an_answer_is_406(service) -> None:
    headers = {"accept": "text/html"}
    body = {"root": "data", "path": "volume-1.nii.gz"}
    problem(service.client.post("/v1/process", json=body, headers=headers), 406, "E_REQUEST")


@pytest.mark.parametrize(
    ("kind", "body", "status", "code"),
    [
        ("multipart/form-data", b"x", 415, "E_REQUEST"),
        ("application/json", b"{", 422, "E_REQUEST"),
        ("application/json", b'{"root": "data"}', 422, "E_REQUEST"),
        ("application/json", b'{"root": "data", "path": "a", "url": "http://x"}', 422, "E_REQUEST"),
        ("application/json", b"[" * 100_000, 413, "E_TOO_LONG"),
        ("application/octet-stream", b"", 422, "E_TRUNCATED"),
    ],
)
def test_bodies_of_another_kind(service, kind, body, status, code) -> None:
    query = "?name=scan.nii"
    answer = service.client.post(
        f"/v1/process{query}", content=body, headers={"content-type": kind}
    )
    problem(answer, status, code)


def test_a_body_above_the_limit_is_refused_told_or_not(service) -> None:
    megabytes = [bytes(1 << 20)] * 2
    told = service.client.post("/v1/process?name=a.nii", content=b"".join(megabytes))
    untold = service.client.post("/v1/process?name=a.nii", content=iter(megabytes))
    for answer in (told, untold):
        assert "1.0 MB" in problem(answer, 413, "E_TOO_LONG")


def test_a_body_that_does_not_come_is_given_up(service) -> None:
    with socket.create_connection(("127.0.0.1", service.port)) as line:
        head = "POST /v1/process?name=a.nii HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf"
        line.sendall(head.encode())
        answer = line.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 408")
    assert b"E_SLOW" in answer


@pytest.mark.parametrize(
    ("files", "code"),
    [
        ({"../../out.dcm": b"x"}, "E_UNSAFE_PATH"),
        ({"zeros.dcm": bytes(1 << 20)}, "E_LIMIT"),
        ({f"{number}.dcm": b"x" for number in range(51)}, "E_LIMIT"),
        ({"readme.txt": b"x"}, "USAGE"),
    ],
)
def test_zips_of_other_things(service, tmp_path, files, code) -> None:
    file = tmp_path / "series.zip"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    told = problem(service.send(file), 422, code)
    assert str(service.scratch) not in told
    assert not (service.scratch.parent / "out.dcm").exists()


@pytest.mark.parametrize(
    ("config", "word"),
    [
        ({"image": {"intensity": [{"zscore": {"over": "cohort"}}]}}, "cohort"),
        ({"label": {"only": True}}, "label.only"),
        ({"label": {"required": True}}, "label.required"),
        ({"image": {"crop": {"to": "label"}}}, "image.crop.to"),
        ({"input": {"layout": "manifest"}}, "layout"),
        ({"image": {"resample": {"reference": "/absent.nii"}}}, "reference"),
    ],
)
def test_profiles_that_no_single_volume_can_have(tmp_path, config, word) -> None:
    with pytest.raises(ConfigError, match=word):
        Slots({"bad": WarmProfile(parse_config(config))}, tmp_path, backend="numpy")


def test_known_means_make_a_cohorts_profile_one_of_single_volumes(tmp_path) -> None:
    steps = [{"zscore": {"over": "cohort", "mean": 1.0, "std": 2.0}}]
    profile = WarmProfile(parse_config({"image": {"intensity": steps}}))
    assert list(Slots({"good": profile}, tmp_path, backend="numpy").lines) == ["good"]
    assert np.isfinite(profile.seconds)
