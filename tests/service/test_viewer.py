"""``gpuprep view``: what a path names is shown by a service of its own, with the pages and without jobs."""

import asyncio
import builtins
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import nibabel
import numpy as np
import pytest
from support.cohorts import run
from support.dicom_series import write_series
from support.oriented import affine_of, phantom, save_phantom
from support.service_app import HERE
from typer.testing import CliRunner

from gpuprep.cli.app import app as commands
from gpuprep.config.file import parse_config
from gpuprep.config.model import Config
from gpuprep.service.door.tokens import Principal
from gpuprep.service.viewer import Viewer, address_name
from gpuprep.values.errors import InputError, StoreError, UsageError
from gpuprep.viewing.opened import open_path

pytestmark = pytest.mark.usefixtures("reads_here")

CONFIG = {"store": {"fsync": "never", "dtype": "float32"}}


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cohort of two cases, in a folder whose name no address has."""
    folder = tmp_path_factory.mktemp("viewed")
    (folder / "in").mkdir()
    for name in ("a", "b"):
        save_phantom(folder / "in", name, affine_of("RAS"))
    run(folder / "in", folder / "my cohort (1)", CONFIG)
    return folder / "my cohort (1)"


class Browser:
    """Follows the link of a viewer, as a browser does."""

    def __init__(self, path: object, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        viewer = Viewer(open_path(str(path), Config()), folder)
        transport = httpx.ASGITransport(viewer.app, raise_app_exceptions=False)
        self._client = httpx.AsyncClient(transport=transport, base_url=HERE, follow_redirects=True)
        assert self.get("/v1/about").status_code == 401
        code = viewer.sessions.link(Principal("you", "read"))
        self.page = self.get(f"/login?code={code}").url.path

    def get(self, path: str) -> httpx.Response:
        return asyncio.run(self._client.get(path))


def test_a_cohort_lands_on_its_page_and_has_no_jobs(output: Path, tmp_path: Path):
    browser = Browser(output, tmp_path / "own")
    assert browser.page == "/cohorts/my-cohort-1"
    about = browser.get("/v1/about").json()
    assert (about["scope"], about["pages"]) == ("read", ["/"])
    (told,) = browser.get("/v1/cohorts").json()["items"]
    assert (told["name"], told["cases"]) == ("my-cohort-1", 2)
    assert browser.get("/v1/cohorts/my-cohort-1/cases").json()["items"][1]["id"] == "b"
    for absent in ("/v1/jobs", "/v1/input", "/v1/cohorts/other", "/v1/zarr/other/zarr.json"):
        assert browser.get(absent).status_code == 404, absent


@pytest.mark.parametrize("name", ["a", "cases/a.zarr"])
def test_a_case_of_a_cohort_lands_on_its_own_page(output: Path, tmp_path: Path, name: str):
    browser = Browser(output / name, tmp_path / "own")
    assert browser.page == "/cohorts/my-cohort-1/cases/a"
    view = browser.get(f"/v1{browser.page}").json()
    assert view["before_problem"] is None  # a viewer has no roots: its user has the files
    zarr = view["after"]["channels"][0]["levels"][0]["zarr"]
    assert browser.get(f"{zarr['store']}/{zarr['path']}/zarr.json").status_code == 200
    assert browser.get(view["before"]["channels"][0]["levels"][0]["nii"]).status_code == 200
    assert browser.get(f"/v1{browser.page}/thumbnail.png").status_code == 200


def test_a_case_by_itself_is_shown_with_its_source(output: Path, tmp_path: Path):
    lone = shutil.copytree(output / "cases/a.zarr", tmp_path / "taken out")
    browser = Browser(lone, tmp_path / "own")
    assert browser.page == "/input"
    view = browser.get("/v1/input").json()
    assert (view["id"], view["cohort"]) == ("taken out", None)
    image, _ = phantom()
    for side in ("before", "after"):
        level = view[side]["channels"][0]["levels"][0]
        assert level["zarr"] is None
        sent = nibabel.Nifti1Image.from_bytes(browser.get(level["nii"]).content)
        assert sent.shape == image.shape
    assert browser.get("/v1/input/thumbnail.png").status_code == 200


@pytest.mark.parametrize("code", ["LPS", "SRA"])
def test_an_input_is_shown_in_the_axis_order_of_its_file(tmp_path: Path, code: str):
    image, _ = phantom()
    nibabel.save(nibabel.Nifti1Image(image, affine_of(code)), tmp_path / "scan.nii.gz")
    browser = Browser(tmp_path / "scan.nii.gz", tmp_path / "own")
    assert browser.page == "/input"
    view = browser.get("/v1/input").json()
    assert view["after"] is None
    assert "".join(view["before"]["axes"]) == code
    level = view["before"]["channels"][0]["levels"][0]
    sent = nibabel.Nifti1Image.from_bytes(browser.get(level["nii"]).content)
    np.testing.assert_array_equal(np.asarray(sent.dataobj), image)
    np.testing.assert_allclose(sent.affine, affine_of(code), atol=1e-5)
    assert browser.get("/v1/input/planes/x/3.png?side=before").status_code == 200
    assert browser.get("/v1/input/planes/x/3.png?side=after").status_code == 422
    assert browser.get("/v1/input/thumbnail.png").status_code == 404


def test_another_input_under_the_same_address_is_another(output: Path, tmp_path: Path):
    image, _ = phantom()
    tags = []
    for name, voxels in (("one", image), ("two", image + 1)):
        (tmp_path / name).mkdir()
        nibabel.save(nibabel.Nifti1Image(voxels, affine_of("LPS")), tmp_path / name / "scan.nii.gz")
        browser = Browser(tmp_path / name / "scan.nii.gz", tmp_path / f"own {name}")
        answer = browser.get("/v1/input/volume.nii?side=before")
        assert answer.status_code == 200
        assert (
            browser.get("/v1/input/volume.nii?side=before").headers["etag"]
            == (answer.headers["etag"])
        )
        tags.append(answer.headers["etag"])
    assert tags[0] != tags[1]


def test_without_its_link_the_first_page_does_not_tell_what_is_looked_at(
    output: Path, tmp_path: Path
):
    viewer = Viewer(open_path(str(output / "a"), Config()), tmp_path)
    transport = httpx.ASGITransport(viewer.app, raise_app_exceptions=False)
    answer = asyncio.run(httpx.AsyncClient(transport=transport, base_url=HERE).get("/"))
    assert answer.status_code == 200
    assert "location" not in answer.headers
    assert "my-cohort-1" not in answer.text


def test_a_case_that_was_withdrawn_is_shown_by_itself_to_who_has_its_files(
    output: Path, tmp_path: Path
):
    (output / "withdrawn.json").write_text('{"withdrawn": ["a"], "outdated": []}')
    try:
        browser = Browser(output / "a", tmp_path / "own")
        assert browser.page == "/input"
        assert browser.get("/v1/input").json()["id"] == "a"
    finally:
        (output / "withdrawn.json").unlink()


def test_who_looks_at_own_files_sees_their_paths(output: Path, tmp_path: Path):
    view = Browser(output / "a", tmp_path / "own").get("/v1/cohorts/my-cohort-1/cases/a").json()
    source = output.parent / "in/a_image.nii.gz"
    assert str(source) in view["record"]["source"][0]["path"]
    assert str(source) in view["provenance"][0][1]


def test_a_series_of_a_ct_has_hounsfield_units_and_a_label_its_classes(tmp_path: Path):
    write_series(tmp_path / "series", [0.0, 2.0, 4.0, 6.0, 8.0])
    view = Browser(tmp_path / "series", tmp_path / "own").get("/v1/input").json()
    assert view["before"]["channels"][0]["unit"] == "HU"
    assert {window["name"] for window in view["windows"]} >= {"lung", "bone"}
    _, label = phantom()
    nibabel.save(nibabel.Nifti1Image(label, affine_of("LPS")), tmp_path / "label.nii.gz")
    view = Browser(tmp_path / "label.nii.gz", tmp_path / "own2").get("/v1/input").json()
    rows = {row["value"]: row["voxels"] for row in view["before"]["labels"][0]["values"]}
    assert rows == {1: (label == 1).sum(), 3: (label == 3).sum()}


def test_what_cannot_be_shown_is_said_before_anything_is_served(output: Path, tmp_path: Path):
    for path, error, told in (
        (tmp_path / "none", UsageError, "none"),
        (output / "none", UsageError, "holds no case 'none'"),
        (output.parent / "in", UsageError, "holds 2 cases"),
        (output / "cases/none.zarr", UsageError, "holds no case 'none'"),
    ):
        with pytest.raises(error, match=told):
            open_path(str(path), Config())
    (tmp_path / "torn.nii.gz").write_bytes((output.parent / "in/a_image.nii.gz").read_bytes()[:90])
    with pytest.raises(InputError, match="E_TRUNCATED"):
        open_path(str(tmp_path / "torn.nii.gz"), Config())
    (tmp_path / "x.zarr").mkdir()
    with pytest.raises(StoreError, match="not a finished case"):
        open_path(str(tmp_path / "x.zarr"), Config())


@pytest.mark.parametrize("path", ["a", "scan"])
def test_nobody_without_its_link_sees_anything(output: Path, tmp_path: Path, path: str):
    nibabel.save(nibabel.Nifti1Image(phantom()[0], affine_of("LPS")), tmp_path / "scan.nii.gz")
    named = output / "a" if path == "a" else tmp_path / "scan.nii.gz"
    viewer = Viewer(open_path(str(named), Config()), tmp_path)
    transport = httpx.ASGITransport(viewer.app, raise_app_exceptions=False)
    client = httpx.AsyncClient(transport=transport, base_url=HERE)
    told = [each for each in viewer.api.openapi()["paths"] if each.startswith("/v1")]
    assert len(told) >= 10
    known = {"name": "my-cohort-1", "cohort": "my-cohort-1", "case_id": "a", "axis": "z"}
    known |= {"index": "1", "view": "zarr", "path": "zarr.json"}
    for each in told:
        answer = asyncio.run(client.get(each.format(**known)))
        assert answer.status_code == 401, each


def test_a_policy_of_the_config_lets_an_odd_input_through(tmp_path: Path):
    affine = affine_of("LPS")
    affine[0, 2] = 0.7
    nibabel.save(nibabel.Nifti1Image(phantom()[0], affine), tmp_path / "sheared.nii.gz")
    with pytest.raises(InputError, match="E_SHEAR"):
        open_path(str(tmp_path / "sheared.nii.gz"), Config())
    fixing = parse_config({"input": {"policy": {"E_SHEAR": "fix"}}})
    opened = open_path(str(tmp_path / "sheared.nii.gz"), fixing)
    assert opened.sight is not None
    assert "sheared" in opened.sight.sides["before"].notes[0]


@pytest.mark.parametrize(
    ("name", "told"), [("a b", "a-b"), ("..", "cohort"), ("肝", "cohort"), ("x" * 300, "x" * 100)]
)
def test_names_of_folders_become_names_in_addresses(name: str, told: str):
    assert address_name(name) == told


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, output: Path):
    real = builtins.__import__

    def without(name: str, *rest: object, **more: object) -> object:
        if name == "fastapi":
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    found = CliRunner().invoke(commands, ["view", str(output), "--no-browser"])
    assert isinstance(found.exception, UsageError)
    assert found.exception.advice == "pip install 'gpuprep[service]'"


def test_the_command_prints_a_link_that_works_once_and_ends_with_ctrl_c(output: Path):
    heard = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    start = (
        f"{heard}; from gpuprep.cli.app import main; main()"  # a job in the background ignores it
    )
    line = [sys.executable, "-c", start, "view", str(output / "b"), "--no-browser"]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        link = child.stdout.readline().strip()
        with httpx.Client(trust_env=False, timeout=60) as client:
            first = client.get(link)
            assert first.headers["location"] == "/"
            landing = client.get(first.request.url.join("/"))
            assert landing.headers["location"] == "/cohorts/my-cohort-1/cases/b"
            assert client.get(link).status_code == 403
        child.send_signal(signal.SIGINT)
        assert child.wait(20) == 130
        assert "Traceback" not in child.stderr.read()
