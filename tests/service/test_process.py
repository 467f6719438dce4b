"""One volume over HTTP: what comes back is what a run stores, in every form it may have."""

import importlib
import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
import zarr
from support.cohorts import contents, run, write_pair
from support.dicom_series import write_series
from support.warm_slots import Serving, serving

import gpuprep
from gpuprep.config.file import parse_config
from gpuprep.service.volumes.slots import WarmProfile
from gpuprep.service.volumes.uploads import UploadLimits

CONFIG = {
    "image": {
        "intensity": [{"percentile_clip": {"low": 1, "high": 99}}, {"zscore": {"over": "image"}}],
        "resample": {"spacing": [1.0, 1.0, 1.5]},
    },
}
PLACES = ("input", "mtime_ns", "path")
"""Of a record: where the files lay, which is not the same for a run and a service."""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_pair(folder, 1)
    (folder / "segmentation-1.nii.gz").unlink()
    labelled = folder / "labelled"
    labelled.mkdir()
    write_pair(labelled, 2)
    write_series(folder / "series", [0.0, 2.0, 4.0, 6.0])
    return folder


@pytest.fixture(scope="module")
def service(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    scratch = tmp_path_factory.mktemp("service") / "scratch"
    profiles = {"ct": WarmProfile(parse_config(CONFIG))}
    with serving(profiles, scratch, data, UploadLimits(bytes=1 << 20)) as running:
        yield running
    assert not scratch.exists()


@pytest.fixture(autouse=True)
def _leaves_nothing(service: Serving) -> Iterator[None]:
    yield
    service.settle()


def stored(source: Path, output: Path) -> dict[str, bytes]:
    """The files of the case that a run stores for a source, by path in the cohort."""
    run(source, output, CONFIG)
    found = {path: without_places(path, text) for path, text in contents(output).items()}
    found.pop("cases/zarr.json")  # of the cohort
    return found


def unzipped(body: bytes, folder: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        assert {entry.compress_type for entry in archive.infolist()} == {zipfile.ZIP_STORED}
        archive.extractall(folder / "cases")
    return {path: without_places(path, text) for path, text in contents(folder).items()}


def without_places(path: str, text: bytes) -> bytes:
    if not path.endswith("record.json"):
        return text
    record = json.loads(text)
    for part in (record, *record["source"], *record["findings"]):
        for name in PLACES:
            part.pop(name, None)
    return json.dumps(record).encode()


@pytest.mark.parametrize("way", ["upload", "path"])
def test_the_stored_case_is_byte_for_byte_that_of_a_run(service, data, tmp_path, way) -> None:
    file = data / "volume-1.nii.gz"
    expected = stored(file, tmp_path / "out")
    send = (
        service.send if way == "upload" else lambda file, **query: service.name(file.name, **query)
    )
    answer = send(file, answer="case", profile="ct")
    assert answer.status_code == 200, answer.text
    found = unzipped(answer.content, tmp_path / "answer")
    assert found == expected
    case = next((tmp_path / "answer/cases").iterdir())
    record = gpuprep.open_case(case).record  # sealed, as any other
    assert [entry["path"] for entry in record["source"]] == [file.name]
    assert record["input"] == file.name
    assert str(service.scratch) not in json.dumps(record)


def test_a_zip_of_dicom_files_is_the_series_of_a_folder(service, data, tmp_path) -> None:
    file = tmp_path / "series.zip"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in (data / "series").iterdir():
            archive.write(path, path.name)
        archive.writestr("readme.txt", "not a slice")
    expected = stored(data / "series", tmp_path / "out")
    sent = service.send(file, answer="case")
    named = service.name("series", answer="case")
    assert (sent.status_code, named.status_code) == (200, 200), sent.text + named.text
    assert unzipped(sent.content, tmp_path / "sent") == expected
    assert unzipped(named.content, tmp_path / "named") == expected
    assert sent.headers["Gpuprep-Unused-Files"] == "1"
    assert named.headers["Gpuprep-Unused-Files"] == "0"


def test_a_folder_of_a_root_brings_its_label(service, data, tmp_path) -> None:
    expected = stored(data / "labelled", tmp_path / "out")
    answer = service.name("labelled", answer="case")
    assert unzipped(answer.content, tmp_path / "answer") == expected
    assert any("labels/" in path for path in expected)


@pytest.fixture(scope="module")
def case(data: Path, tmp_path_factory: pytest.TempPathFactory) -> gpuprep.Case:
    output = tmp_path_factory.mktemp("run") / "out"
    run(data / "volume-1.nii.gz", output, CONFIG)
    return gpuprep.open(output)["volume-1"]


def test_a_zipped_zarr_opens_as_it_is(service, data, case, tmp_path) -> None:
    answer = service.send(data / "volume-1.nii.gz")
    assert answer.headers["content-type"] == "application/zip"
    file = tmp_path / "case.zarr.zip"
    file.write_bytes(answer.content)
    group = zarr.open_group(zarr.storage.ZipStore(file, mode="r"), mode="r")
    np.testing.assert_array_equal(group["0"][:], case.image[:])
    assert group.attrs["ome"]["version"] == "0.5"


def test_the_image_as_npy_and_its_patches(service, data, case) -> None:
    file = data / "volume-1.nii.gz"
    image = case.image[:]
    answer = service.send(file, answer="npy")
    assert answer.headers["content-type"] == "application/x-npy"
    np.testing.assert_array_equal(np.load(io.BytesIO(answer.content)), image)
    answer = service.send(file, answer="npy", patch="8,16,24", overlap="0.25")
    with np.load(io.BytesIO(answer.content)) as found:
        patches, offsets = found["patches"], found["offsets"]
    assert patches.dtype == image.dtype
    covered = np.zeros(image.shape, bool)
    for patch, (z, y, x) in zip(patches, offsets, strict=True):
        box = slice(z, z + 8), slice(y, y + 16), slice(x, x + 24)
        np.testing.assert_array_equal(patch, image[box])
        covered[box] = True
    assert covered.all()
    steps = [np.diff(np.unique(offsets[:, axis])).max() for axis in range(3)]
    assert all(step <= 0.75 * edge for step, edge in zip(steps, (8, 16, 24), strict=True))


def test_nifti_lies_where_the_case_does(service, data, case, tmp_path) -> None:
    answer = service.client.post(
        "/v1/process?name=volume-1.nii.gz",
        content=(data / "volume-1.nii.gz").read_bytes(),
        headers={"accept": "application/x-nifti"},
    )
    file = tmp_path / "answer.nii"
    file.write_bytes(answer.content)
    image = sitk.ReadImage(str(file))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), case.image[:].astype(np.float32))
    np.testing.assert_allclose(image.GetOrigin(), case.geometry.origin, atol=1e-4)
    np.testing.assert_allclose(image.GetSpacing(), case.geometry.spacing, rtol=1e-6)
    np.testing.assert_allclose(nibabel.load(file).affine, case.geometry.affine_ras, atol=1e-4)


def test_timings_and_findings_are_told_in_headers(service, data) -> None:
    answer = service.name("series")
    timing = dict(part.split(";dur=") for part in answer.headers["Server-Timing"].split(", "))
    assert {"receive", "read", "measure", "resample", "store", "answer", "total"} <= timing.keys()
    parts = sum(float(value) for name, value in timing.items() if name != "total")
    assert parts == pytest.approx(float(timing["total"]), abs=1.5)
    assert answer.headers["Gpuprep-Findings"] == "W_FEW_SLICES"


def test_the_benchmark_of_single_volumes_measures(service, data, monkeypatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    volumes = importlib.import_module("volumes")
    ask = volumes.by_path("data", "volume-1.nii.gz")
    told = volumes.volumes(service.client, ask, rounds=2)
    assert 0 < told["read"] < told["total"] <= told["p99"]
    assert volumes.volumes(service.client, volumes.by_upload(data / "volume-1.nii.gz"), 1)["p50"]
    assert volumes.refusals(service.client, ask, crowd=16, rounds=2)["max"] > 0
