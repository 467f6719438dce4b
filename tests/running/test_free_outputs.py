"""An output without a finished case is free for another config; one with a case, or a run at work, is not."""

import json
import shutil
from pathlib import Path

import nibabel
import numpy as np
import pytest
from support.cohorts import contents, run, run_told

import gpuprep
from gpuprep.ledger.hold import hold
from gpuprep.ledger.output import load_output_config
from gpuprep.store.verify import verify_cohort
from gpuprep.values.errors import UsageError
from gpuprep.values.events import CaseStarted

pytestmark = pytest.mark.usefixtures("reads_here")

PLAIN: dict[str, object] = {}
OTHER = {"store": {"chunk": 16}}
UNKNOWN = {"image": {"channels": {"flair": {"intensity": []}}}}  # no case has such a channel
TOO_LARGE = {"image": {"intensity": [{"multiply": {"by": 1e6}}]}}  # for the stored float16


@pytest.fixture
def source(tmp_path) -> Path:
    """Two volumes, each with a label map."""
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(2):
        voxels = np.random.default_rng(number).integers(-900, 900, (6, 7, 8)).astype(np.int16)
        for kind, array in (("volume", voxels), ("segmentation", (voxels > 0).astype(np.uint8))):
            nibabel.save(nibabel.Nifti1Image(array, np.eye(4)), folder / f"{kind}-{number}.nii.gz")
    return folder


def is_fresh(source: Path, out: Path, config: object, tmp_path: Path) -> bool:
    """Whether an output is what the same run makes in a new folder."""
    run(source, tmp_path / "fresh", config)
    same = [
        (tmp_path / "fresh" / name).read_bytes() == (out / name).read_bytes()
        for name in ("gpuprep.json", "agreement.json")
    ]
    return all(same) and contents(out) == contents(tmp_path / "fresh")


def test_a_refused_config_is_corrected_in_the_same_output(source, tmp_path):
    out = tmp_path / "out"
    with pytest.raises(UsageError, match="flair"):
        run(source, out, UNKNOWN)
    report, told = run_told(source, out, PLAIN)
    assert report.finished.done == 2
    assert [line for line in told if "another config" in line] == [
        "gpuprep.json was of another config and is written anew: no case is there"
    ]
    assert is_fresh(source, out, PLAIN, tmp_path)
    assert verify_cohort(out, full=True) == []


def test_a_config_under_which_every_case_fails_is_corrected_in_the_same_output(source, tmp_path):
    out = tmp_path / "out"
    assert run(source, out, TOO_LARGE).finished.failed == 2
    assert run(source, out, PLAIN).finished.done == 2
    assert is_fresh(source, out, PLAIN, tmp_path)
    assert (out / "failures.jsonl").exists() is False


def test_one_case_is_enough_to_refuse(source, tmp_path):
    out = tmp_path / "out"
    run(source, out, PLAIN, limit=1)
    before = (out / "gpuprep.json").read_bytes()
    for config in (OTHER, TOO_LARGE):
        with pytest.raises(UsageError, match="holds cases made with another config"):
            run(source, out, config)
    assert (out / "gpuprep.json").read_bytes() == before
    (out / "cases/volume-0.zarr/record.json").unlink()  # so it is no case any more
    assert run(source, out, OTHER).finished.done == 2


def test_names_of_a_run_without_a_case_bind_nobody(source, tmp_path):
    out = tmp_path / "out"
    run(source, out, {**TOO_LARGE, "label": {"names": {"liver": 1}}})
    assert "liver" in (out / "agreement.json").read_text()
    corrected = {"label": {"names": {"tumour": 1}}}
    assert run(source, out, corrected).finished.done == 2
    assert is_fresh(source, out, corrected, tmp_path)


def test_a_run_at_work_without_a_case_keeps_its_output(source, tmp_path):
    out = tmp_path / "out"
    with pytest.raises(UsageError, match="flair"):
        run(source, out, UNKNOWN)
    config = load_output_config(str(out))
    with hold(out), pytest.raises(UsageError, match="another run is working"):
        run(source, out, PLAIN)
    assert load_output_config(str(out)) == config


def test_where_the_folder_of_cases_cannot_be_the_config_stays(source, tmp_path):
    out = tmp_path / "out"
    run(source, out, PLAIN)
    shutil.move(out / "cases", tmp_path / "cases")
    (out / "cases").symlink_to(tmp_path / "away")  # a disk that is not mounted
    before = (out / "gpuprep.json").read_bytes()
    with pytest.raises(UsageError, match="cannot write"):
        run(source, out, OTHER)
    assert (out / "gpuprep.json").read_bytes() == before


@pytest.mark.parametrize("newer", [PLAIN, OTHER])
def test_a_case_by_a_worker_of_the_run_before_gives_way(source, tmp_path, newer):
    """It comes between the look whether the case is there and its publishing."""
    older = {"store": {"chunk": 48}}
    run(source, tmp_path / "older", older)
    out = tmp_path / "out"

    def publish(event: object) -> None:
        if isinstance(event, CaseStarted):
            name = f"cases/{event.case_id}.zarr"
            shutil.copytree(tmp_path / "older" / name, out / name)

    assert run(source, out, newer, listeners=[publish]).finished.done == 2
    assert verify_cohort(out, full=True) == []
    assert is_fresh(source, out, newer, tmp_path)


def test_a_worker_that_outlived_its_run_leaves_cases_of_the_next_alone(source, tmp_path):
    out = tmp_path / "out"
    run(source, tmp_path / "newer", OTHER)

    def take_over(event: object) -> None:
        if isinstance(event, CaseStarted):
            for name in ("gpuprep.json", f"cases/{event.case_id}.zarr"):
                copy = shutil.copytree if name.endswith(".zarr") else shutil.copyfile
                copy(tmp_path / "newer" / name, out / name)

    run(source, out, PLAIN, listeners=[take_over])
    assert contents(out) == contents(tmp_path / "newer")
    assert json.loads((out / "gpuprep.json").read_text())["config"]["store"]["chunk"] == 16
    assert gpuprep.open(out)["volume-0"].image.chunks == (16, 16, 16)
