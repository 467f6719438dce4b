"""Runs whose cases are files of nnU-Net: alone, beside arrays, again, and where blosc2 is missing."""

import pickle
import sys

import numpy as np
import pytest
from support.cohorts import run
from typer.testing import CliRunner

import gpuprep
from gpuprep.cli.app import app
from gpuprep.executors.base import Outcome
from gpuprep.executors.task import open_workplace
from gpuprep.preprocess.task import CaseTask
from gpuprep.values.case import Case, Source
from gpuprep.values.errors import UsageError

pytestmark = pytest.mark.usefixtures("reads_here")

FILES = {"dtype": "float32", "nnunet": {"patch": [16, 16, 8], "locations": [1, [1, 2]]}}
TURNED = {**FILES, "nnunet": {**FILES["nnunet"], "forward": [2, 0, 1]}}
IMAGE = {"crop": {"to": "nonzero"}, "intensity": [{"zscore": {}}]}


@pytest.mark.parametrize("store", ["store", "outputs"])
def test_without_blosc2_nothing_is_started(cohort_folder, tmp_path, monkeypatch, store):
    monkeypatch.setitem(sys.modules, "blosc2", None)
    config = {"store": FILES} if store == "store" else {"outputs": {"three": {"store": FILES}}}
    with pytest.raises(UsageError, match="blosc2") as refused:
        run(cohort_folder, tmp_path / "out", config)
    assert "gpuprep[nnunet]" in refused.value.advice
    assert not (tmp_path / "out").exists()


def test_a_worker_without_it_stops_the_run(cohort_folder, tmp_path, monkeypatch):
    pytest.importorskip("blosc2")
    assert run(cohort_folder, tmp_path / "out", {"image": IMAGE, "store": FILES}).exit_code == 0
    monkeypatch.setitem(sys.modules, "blosc2", None)
    case = Case("a", (Source("/nowhere/a.nii.gz"),))
    ended = open_workplace(CaseTask(case, str(tmp_path / "out"), "digest"))
    assert isinstance(ended, Outcome)
    assert "blosc2" in ended.stop


def test_files_hold_what_the_arrays_beside_them_hold(cohort_folder, tmp_path):
    blosc2 = pytest.importorskip("blosc2")
    arrays = {"store": {"dtype": "float32"}}
    config = {"image": IMAGE, "outputs": {"zarr": arrays, "files": {"store": TURNED}}}
    assert run(cohort_folder, tmp_path / "out", config).exit_code == 0
    for case_id, case in gpuprep.open(tmp_path / "out").items():
        folder = tmp_path / f"out/cases/{case_id}.zarr/files"
        image, label = (blosc2.open(str(folder / f"{name}.b2nd")) for name in ("image", "label"))
        np.testing.assert_array_equal(image[0], np.asarray(case.image).transpose(2, 0, 1))
        stored = np.asarray(case.labels["segmentation"])
        np.testing.assert_array_equal(label[0], stored.transpose(2, 0, 1))
        assert image.chunks == tuple(map(min, (1, 24, 24, 12), image.shape))
        located = pickle.loads((folder / "properties.pkl").read_bytes())["class_locations"]
        assert list(located) == [1, (1, 2)]
        assert len(located[1]) == min(10_000, (stored == 1).sum())
    done = CliRunner().invoke(app, ["verify", str(tmp_path / "out"), "--full"])
    assert done.exit_code == 0, done.output
    assert run(cohort_folder, tmp_path / "out", config).finished.skipped == 4


def test_a_case_is_the_same_bytes_in_every_run(cohort_folder, tmp_path):
    pytest.importorskip("blosc2")
    found = []
    for name in ("one", "two"):
        config = {"image": IMAGE, "store": FILES}
        assert run(cohort_folder, tmp_path / name, config).exit_code == 0
        cases = tmp_path / name / "cases"
        files = [file for file in cases.rglob("*") if file.suffix in (".b2nd", ".pkl")]
        found.append({str(f.relative_to(cases)): f.read_bytes() for f in files})
    assert len(found[0]) == 12
    assert found[0] == found[1]
