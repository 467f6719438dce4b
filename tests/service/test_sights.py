"""One case over HTTP: who may see it, what its parts are, under whatever id it has."""

import io
import json
import os
import shutil
from pathlib import Path
from urllib.parse import quote

import nibabel
import numpy as np
import pytest
from PIL import Image
from support.cohorts import run
from support.oriented import affine_of, save_phantom
from support.service_app import App, Asking

from gpuprep.service.door.tokens import Principal
from gpuprep.store.layout import case_folder
from gpuprep.store.reader import open_cohort

pytestmark = pytest.mark.usefixtures("reads_here")

HOSTILE = [
    *("a b", "100%", "%2e%2e", "a%20b", "é ü 肝", 'it\'s "quoted"', "<script>alert(1)<", "a+b&c=d"),
    *("a?b#c", "{case_id}", "a;b,c", "volume.nii", "thumbnail.png", "-", "a" * 200),
]
CONFIG = {
    "image": {"intensity": [{"clip": {"low": -700, "high": 900}}, {"rescale": {"to": [0, 1]}}]},
    "input": {"channels": ["CT"]},
    "store": {"fsync": "never"},
}


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> App:
    folder = tmp_path_factory.mktemp("sights")
    for name in ("data", "other"):
        (folder / name).mkdir()
    save_phantom(folder / "data", "p1", affine_of("RAS"))
    app = App(folder / "own", roots={name: str(folder / name) for name in ("data", "other")})
    output = app.folder / "cohorts/demo"
    run(folder / "data", output, CONFIG)
    for case_id in HOSTILE:
        shutil.copytree(case_folder(output, "p1"), case_folder(output, case_id))
    return app


@pytest.fixture(scope="module")
def client(app: App) -> Asking:
    return app.client(Principal("reader", "read"))


def address(case_id: str = "p1") -> str:
    return f"/v1/cohorts/demo/cases/{quote(case_id, safe='')}"


def parts(view: dict) -> list[str]:
    """Every address in the JSON of a case that gives something of our own routes."""
    found = []
    for side in (view["before"], view["after"]):
        for each in (*side["channels"], *side["labels"]):
            found += [level["nii"] for level in each["levels"]]
        found.append(
            side["plane"].format(axis="z", index=3, channel=0, low=-100, high=200, label="")
        )
    return [*found, *(each["url"] for each in view["downloads"])]


@pytest.mark.parametrize("case_id", ["p1", *HOSTILE])
def test_every_address_in_the_json_leads_to_the_case_whatever_its_id(client: Asking, case_id: str):
    answer = client.get(address(case_id))
    assert answer.status_code == 200, answer.text
    view = answer.json()
    assert (view["id"], view["cohort"], view["before_problem"]) == (case_id, "demo", None)
    for url in parts(view):
        assert client.get(url).status_code == 200, url
    assert client.get(f"{address(case_id)}/thumbnail.png").status_code == 200
    zarr = view["after"]["channels"][0]["levels"][0]["zarr"]
    document = client.get(f"{zarr['store']}/{zarr['path']}/zarr.json")
    assert document.json()["shape"] == view["after"]["shape"][::-1]


def test_a_ct_by_its_channels_name_has_the_windows_of_tissues(client: Asking):
    view = client.get(address()).json()
    assert view["after"]["channels"][0]["unit"] == view["before"]["channels"][0]["unit"] == "HU"
    lung = next(window for window in view["windows"] if window["name"] == "lung")
    assert (lung["level"], lung["width"]) == (-600, 1500)
    assert len(view["windows"]) == 7


def test_volumes_and_slices_are_what_nibabel_and_numpy_see(app: App, client: Asking):
    view = client.get(address()).json()
    case = open_cohort(app.folder / "cohorts/demo")["p1"]
    level = view["after"]["channels"][0]["levels"][0]
    answer = client.get(level["nii"])
    assert answer.headers["content-type"] == "application/x-nifti"
    image = nibabel.Nifti1Image.from_bytes(answer.content)
    np.testing.assert_array_equal(np.asarray(image.dataobj).T, np.asarray(case.image))
    assert image.get_data_dtype() == np.float32
    source = nibabel.load(app.folder.parent / "data/p1_image.nii.gz")
    before = client.get(view["before"]["channels"][0]["levels"][0]["nii"])
    np.testing.assert_array_equal(
        np.asarray(nibabel.Nifti1Image.from_bytes(before.content).dataobj), source.dataobj
    )
    pattern = view["before"]["plane"]
    url = pattern.format(axis="x", index=4, channel=0, low=-600, high=600, label="segmentation")
    picture = np.asarray(Image.open(io.BytesIO(client.get(url).content)))
    assert picture.shape == (*source.shape[:0:-1], 3)


def test_what_is_kept_is_asked_for_anew_by_its_tag(client: Asking):
    view = client.get(address()).json()
    for url in (address(), *parts(view), f"{address()}/thumbnail.png"):
        first = client.get(url)
        assert first.headers["cache-control"] in ("private, no-cache", "no-store"), url
        tag = first.headers["etag"]
        for given in (tag, f'W/{tag}, "other"', "*"):
            again = client.get(url, headers={"If-None-Match": given})
            assert (again.status_code, again.content) == (304, b""), url
        assert client.get(url, headers={"If-None-Match": '"other"'}).status_code == 200
        head = client.request("HEAD", url)
        assert (head.status_code, head.headers["etag"]) == (200, tag), url
        assert head.headers["content-length"] == str(len(first.content)), url


def test_unlike_answers_have_unlike_tags(client: Asking):
    asked = [
        *("volume.nii", "volume.nii?side=before", "volume.nii?label=segmentation"),
        *("planes/z/1.png", "planes/z/2.png", "planes/y/1.png", "planes/z/1.png?low=1"),
        *("planes/z/1.png?side=before", "planes/z/1.png?high=1", "thumbnail.png"),
        "planes/z/1.png?label=segmentation",
    ]
    tags = [client.get(f"{address()}/{each}").headers["etag"] for each in asked]
    assert len({*tags}) == len(asked)


def test_a_case_that_was_made_anew_has_other_tags(app: App, client: Asking):
    output = app.folder / "cohorts/demo"
    shutil.copytree(case_folder(output, "p1"), case_folder(output, "anew"))
    before = client.get(f"{address('anew')}/volume.nii").headers["etag"]
    shutil.rmtree(case_folder(output, "anew"))
    folder = shutil.copytree(case_folder(output, "p1"), case_folder(output, "anew"))
    os.utime(folder / "record.json")
    assert client.get(f"{address('anew')}/volume.nii").headers["etag"] != before


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/cohorts/demo/cases/none", 404),
        ("/v1/cohorts/none/cases/p1", 404),
        ("/v1/cohorts/demo/cases/%2e%2e", 404),
        ("/v1/cohorts/demo/cases/.p1/volume.nii", 404),
        (f"/v1/cohorts/demo/cases/{'a' * 256}", 422),
        ("/v1/cohorts/demo/cases/p%00", 404),
        (f"{address()}/volume.nii?side=beside", 422),
        (f"{address()}/volume.nii?channel=1", 422),
        (f"{address()}/volume.nii?level=1", 422),
        (f"{address()}/volume.nii?label=none", 422),
        (f"{address()}/planes/z/11.png", 422),
        (f"{address()}/planes/w/1.png", 422),
        (f"{address()}/planes/z/-1.png", 422),
        (f"{address()}/planes/z/1.png?low=nan", 422),
        (f"{address()}/planes/z/1.png?high=inf", 422),
        (f"{address()}/planes/z/1.png?low=1e308&high=-1e308", 200),
    ],
)
def test_what_is_not_there_is_a_problem(client: Asking, path: str, status: int):
    answer = client.get(path)
    assert answer.status_code == status, answer.text
    if status != 200:
        assert answer.headers["content-type"] == "application/problem+json"


def test_the_source_is_shown_to_those_alone_who_may_use_its_root(app: App):
    for patterns, is_shown in ((("*",), True), (("data",), True), (("other",), False)):
        name = f"uses-{'-'.join(patterns).replace('*', 'all')}"
        own = app.client(Principal(name, "read", patterns))
        view = own.get(address()).json()
        assert (view["before"] is not None) == is_shown
        status = own.get(f"{address()}/volume.nii?side=before").status_code
        assert status == (200 if is_shown else 422)
        if not is_shown:
            assert "none of the roots" in view["before_problem"]
            problem = own.get(f"{address()}/planes/z/1.png?side=before").json()
            assert "none of the roots" in problem["detail"]
        assert view["after"] is not None


def test_a_source_that_changed_is_said_by_its_root_and_not_shown(app: App, client: Asking):
    file = app.folder.parent / "data/p1_image.nii.gz"
    stamp = file.stat()
    content = file.read_bytes()
    try:
        file.write_bytes(content + b"more")
        view = client.get(address()).json()
        assert view["before"] is None
        assert f"{len(content):,} bytes" in view["before_problem"]
        assert f"{len(content) + 4:,} bytes" in view["before_problem"]
        file.unlink()
        problem = client.get(address()).json()["before_problem"]
        assert "root data/p1_image.nii.gz" in problem
        assert str(app.folder.parent) not in problem
    finally:
        file.write_bytes(content)
        os.utime(file, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert client.get(address()).json()["before"] is not None


def test_a_damaged_case_is_no_mistake_of_who_asks(app: App, client: Asking):
    output = app.folder / "cohorts/demo"
    for name, file in (("torn", "0/c.0.0.0"), ("odd", "record.json")):
        folder = shutil.copytree(case_folder(output, "p1"), case_folder(output, name))
        content = bytearray((folder / file).read_bytes())
        content[len(content) // 3] ^= 0x55
        (folder / file).write_bytes(content)
    for url in (
        f"{address('torn')}/volume.nii",
        f"{address('torn')}/planes/z/4.png",
        address("odd"),
    ):
        answer = client.get(url)
        assert (answer.status_code, answer.json()["code"]) == (500, "E_STORED"), url
        assert str(app.folder) not in answer.text
    for name in ("torn", "odd"):
        shutil.rmtree(case_folder(output, name))


def test_a_withdrawn_case_is_not_there_as_its_chunks_are_not(app: App, client: Asking):
    here = address("a b")
    asked = [here, f"{here}/volume.nii", f"{here}/planes/z/1.png", f"{here}/thumbnail.png"]
    tags = {url: client.get(url).headers["etag"] for url in asked}
    file = app.folder / "cohorts/demo/withdrawn.json"
    file.write_text(json.dumps({"withdrawn": ["a b"], "outdated": []}))
    try:
        for url, tag in tags.items():
            answer = client.get(url, headers={"If-None-Match": tag})
            assert (answer.status_code, answer.json()["code"]) == (404, "E_CASE"), url
        assert client.get(address()).status_code == 200
    finally:
        file.unlink()


def test_paths_of_the_machine_are_told_by_their_roots(app: App, client: Asking):
    answer = client.get(address())
    assert str(app.folder.parent) not in answer.text
    view = answer.json()
    told = "root data/p1_image.nii.gz"
    assert view["record"]["source"][0]["path"] == told
    assert told in view["provenance"][0][1]


def test_paths_in_findings_are_told_by_their_roots(app: App, client: Asking, monkeypatch):
    path = str(app.folder.parent / "data/x.nii")
    finding = {
        "code": "E_X",
        "text": path,
        "severity": "note",
        "advice": path,
        "values": {"file": path},
    }

    def told(*_: object) -> dict:
        return {**view, "findings": [finding]}

    view = client.get(address()).json()
    monkeypatch.setattr("gpuprep.viewing.sight.StoredSight.view", told)
    (found,) = client.get(address()).json()["findings"]
    assert found["text"] == found["advice"] == found["values"]["file"] == "root data/x.nii"


def test_a_root_that_is_a_link_is_told_by_its_name_too(tmp_path: Path):
    (tmp_path / "far/data").mkdir(parents=True)
    (tmp_path / "near").symlink_to(tmp_path / "far/data")
    app = App(tmp_path / "own", roots={"data": str(tmp_path / "near")})
    source = app.service.places.source("data", ".")
    assert app.service.places.hidden(f"{source}/x.nii") == "root data/x.nii"


def test_files_whose_names_are_no_text_are_told_all_the_same(tmp_path: Path, app: App):
    source = tmp_path / "in"
    source.mkdir()
    save_phantom(source, "p", affine_of("LPS"))
    odd = Path(f"{tmp_path}/od\udce9")
    source.rename(odd)
    run(odd, app.folder / "cohorts/odd", CONFIG)
    answer = app.browser().get("/v1/cohorts/odd/cases/p")
    assert answer.status_code == 200
    assert "\\udce9" in answer.json()["record"]["source"][0]["path"]
