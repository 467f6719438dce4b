"""Cases that left are moved out: told first, whole or not at all, and nothing else is touched."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import zarr
from support.cohorts import contents, run, write_pair
from support.commands import call

import gpuprep
from gpuprep.ledger.hold import hold
from gpuprep.ledger.prune import prune, withdrawn_cases
from gpuprep.store.places import to_place
from gpuprep.store.reader import Cohort
from gpuprep.store.verify import verify_cohort
from gpuprep.values.errors import StoreError, UsageError

pytestmark = pytest.mark.usefixtures("reads_here")


@pytest.fixture
def changed(cohort_folder, tmp_path) -> Path:
    """An output that holds two cases which left its input."""
    run(cohort_folder, tmp_path / "out")
    for number in (0, 2):
        for name in ("volume", "segmentation"):
            (cohort_folder / f"{name}-{number}.nii.gz").unlink()
    run(cohort_folder, tmp_path / "out")
    return tmp_path / "out"


def test_it_is_told_first_and_done_with_yes(changed, cohort_folder):
    before, voxels = contents(changed), np.asarray(Cohort(changed)["volume-0"].image)
    told = call("prune", changed, check=0).stdout
    assert "to move volume-0\nto move volume-2\n" in told
    assert "--yes" in told
    assert json.loads(call("prune", changed, "--json", check=0).stdout) == {
        **{"cases": ["volume-0", "volume-2"], "places": [], "dry_run": True}
    }
    assert contents(changed) == before
    assert (
        f"moved volume-0 to {changed}/pruned/volume-0.zarr"
        in call("prune", changed, "--yes", check=0).stdout
    )
    assert gpuprep.open(changed).ids == ("volume-1", "volume-3")
    with gpuprep.open_case(changed / "pruned/volume-0.zarr") as case:
        np.testing.assert_array_equal(np.asarray(case.image), voxels)
    assert not verify_cohort(changed, full=True)
    assert sorted(zarr.open(changed, mode="r")["cases"].group_keys()) == [
        *("volume-1.zarr", "volume-3.zarr")
    ]
    listed = (changed / "manifest.jsonl").read_text()
    assert "volume-0" not in listed
    assert "volume-1" in listed
    assert "nothing to do" in call("prune", changed, check=0).stdout
    report = run(cohort_folder, changed)
    assert (report.finished.skipped, report.standing.withdrawn) == (2, ())


def test_a_pruned_case_that_comes_back_is_done_anew_and_may_leave_again(changed, cohort_folder):
    prune(changed)
    write_pair(cohort_folder, 0)
    assert run(cohort_folder, changed).finished.done == 1
    for name in ("volume", "segmentation"):
        (cohort_folder / f"{name}-0.nii.gz").unlink()
    run(cohort_folder, changed)
    assert prune(changed).places == (f"{changed}/pruned/volume-0.2.zarr",)
    assert {path.name for path in (changed / "pruned").iterdir()} == {
        *("volume-0.zarr", "volume-0.2.zarr", "volume-2.zarr")
    }


def test_status_verify_and_json_name_them(changed):
    for command in ("status", "verify"):
        said = call(command, changed, check=0).stdout
        assert "volume-0, volume-2" in said
        assert f"gpuprep prune {changed}" in said
        told = json.loads(call(command, changed, "--json", check=0).stdout)
        assert told["withdrawn"] == ["volume-0", "volume-2"]
        assert told["outdated"] == []
    done = call("export", changed, "volume-0", changed.parent / "x.nii.gz", check=0)
    assert done.stderr.startswith("note 2 cases are stored")


def test_a_damaged_list_says_what_to_do(changed):
    (changed / "withdrawn.json").write_text("{")
    with pytest.raises(StoreError, match=r"withdrawn\.json"):
        gpuprep.open(changed)


def test_nothing_is_moved_under_a_run_or_of_nothing(changed, tmp_path):
    with hold(changed), pytest.raises(UsageError, match="another run"):
        prune(changed)
    assert withdrawn_cases(changed).cases == ("volume-0", "volume-2")
    with pytest.raises(StoreError, match="no gpuprep output"):
        prune(tmp_path / "in")


def killed_at(step: str, output: object) -> None:
    line = [sys.executable, "-m", "gpuprep.cli.app", "prune", str(output), "--yes"]
    armed = {**os.environ, "GPUPREP_FAILPOINTS": f"{step}@volume-0=kill"}
    done = subprocess.run(line, env=armed, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stdout + done.stderr


def test_a_second_prune_finishes_what_a_killed_one_began(changed):
    killed_at("after_prune", changed)
    with pytest.warns(gpuprep.CohortWarning):
        assert gpuprep.open(changed).ids == ("volume-1", "volume-2", "volume-3")
    assert prune(changed).cases == ("volume-2",)
    assert gpuprep.open(changed).ids == ("volume-1", "volume-3")
    assert len(list((changed / "pruned").iterdir())) == 2
    assert not verify_cohort(changed, full=True)


@pytest.mark.parametrize("step", ["", "mid_prune", "after_prune"])
def test_an_object_store_copies_first_and_then_deletes(cohort_folder, url, step, monkeypatch):
    pytest.importorskip("obstore")
    run(cohort_folder, url)
    for name in ("volume", "segmentation"):
        (cohort_folder / f"{name}-0.nii.gz").unlink()
    run(cohort_folder, url)
    place = to_place(url)
    held = dict((place / "cases/volume-0.zarr").files())
    if step:
        killed_at(step, url)
        (place / ".staging").delete([".run.json"])  # as after five minutes
    done = prune(url)
    assert done.cases == (() if step == "after_prune" else ("volume-0",))
    assert dict((place / "pruned/volume-0.zarr").files()) == held
    assert not list((place / "cases/volume-0.zarr").files())
    assert not [name for name, _ in place.files() if name.startswith("pruned/volume-0.2")]
    assert gpuprep.open(url).ids == ("volume-1", "volume-2", "volume-3")
    assert not verify_cohort(url, full=True)
    assert run(cohort_folder, url).finished.skipped == 3
