"""Runs whose cohort learns a standard scale, and runs that use one."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest

import gpuprep
from gpuprep.ledger.fingerprint import load_fingerprint
from gpuprep.ops.landmarks import Landmarks
from gpuprep.values.errors import UsageError

pytestmark = pytest.mark.usefixtures("reads_here")

STEP = {"nyul": {"percentiles": [1, 25, 50, 75, 99]}}


def scan(file: Path, seed: int) -> np.ndarray:
    """A scan in units of its own."""
    rng = np.random.default_rng(seed)
    array = (rng.gamma(3, 40, (12, 13, 14)) * (1 + seed) + 50 * seed).astype(np.int16)
    array[:3] = 0
    file.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(array.T, np.diag([-1, -1, 2, 1.0])), file)
    return array


def run(source: Path, output: Path, *steps: dict, **more: object) -> gpuprep.RunReport:
    config = {"image": {"intensity": list(steps) or [STEP]}, "store": {"dtype": "float32"}, **more}
    return gpuprep.run(
        source, output, config=gpuprep.Config.model_validate(config), scheduler="serial"
    )


def stored(output: Path, case: str) -> np.ndarray:
    return np.asarray(gpuprep.Cohort(output)[case].image)


def by_hand(arrays: list[np.ndarray], array: np.ndarray) -> np.ndarray:
    """The same with NumPy alone."""
    qs = STEP["nyul"]["percentiles"]
    found = [np.percentile(each[each != 0], qs) for each in arrays]
    standard = np.mean([100 * (each - each[0]) / (each[-1] - each[0]) for each in found], axis=0)
    own = np.percentile(array[array != 0], qs)
    made = np.interp(array, own, standard)
    for beyond, a, b in ((array < own[0], 0, 1), (array > own[-1], -2, -1)):
        slope = (standard[b] - standard[a]) / (own[b] - own[a])
        made[beyond] = standard[a] + (array[beyond] - own[a]) * slope
    return made


def test_a_cohort_learns_its_scale_and_another_one_uses_it(tmp_path):
    arrays = [scan(tmp_path / "in" / f"{seed}.nii.gz", seed) for seed in range(3)]
    out = tmp_path / "out"
    assert run(tmp_path / "in", out).exit_code == 0
    for seed, array in enumerate(arrays):
        np.testing.assert_allclose(stored(out, str(seed)), by_hand(arrays, array), atol=2e-4)
    (row,) = json.loads((out / "landmarks.json").read_text())["nyul"]
    assert (row["cases"], row["standard"][0], row["standard"][-1]) == (3, 0, 100)
    (learnt,) = [each for each in load_fingerprint(out).channels if isinstance(each, Landmarks)]
    assert list(learnt.standard) == row["standard"]

    fresh = scan(tmp_path / "new" / "7.nii.gz", 7)
    step = {"nyul": {"landmarks": str(out)}}
    assert run(tmp_path / "new", tmp_path / "other", step).exit_code == 0
    np.testing.assert_allclose(stored(tmp_path / "other", "7"), by_hand(arrays, fresh), atol=4e-4)
    assert not (tmp_path / "other" / "landmarks.json").exists()


def test_a_new_case_changes_the_scale_as_if_all_had_come_at_once(tmp_path):
    for seed in range(2):
        scan(tmp_path / "in" / f"{seed}.nii.gz", seed)
    run(tmp_path / "in", tmp_path / "out")
    scan(tmp_path / "in" / "2.nii.gz", 2)
    run(tmp_path / "in", tmp_path / "out")
    run(tmp_path / "in", tmp_path / "at_once")
    files = [tmp_path / name / "landmarks.json" for name in ("out", "at_once")]
    assert files[0].read_bytes() == files[1].read_bytes()
    for case in "012":
        assert (stored(tmp_path / "out", case) == stored(tmp_path / "at_once", case)).all()


def test_a_frozen_scale_takes_new_cases_in(tmp_path):
    arrays = [scan(tmp_path / "in" / f"{seed}.nii.gz", seed) for seed in range(2)]
    run(tmp_path / "in", tmp_path / "out")
    fresh = scan(tmp_path / "in" / "5.nii.gz", 5)
    report = run(tmp_path / "in", tmp_path / "out", run={"statistics": "keep"})
    assert (report.finished.done, report.finished.failed) == (1, 0)
    np.testing.assert_allclose(stored(tmp_path / "out", "5"), by_hand(arrays, fresh), atol=4e-4)


def test_a_reference_gives_its_histogram(tmp_path):
    reference = scan(tmp_path / "reference.nii.gz", 0)
    array = scan(tmp_path / "in" / "4.nii.gz", 4)
    step = {"histogram_match": {"reference": str(tmp_path / "reference.nii.gz")}}
    run(tmp_path / "in", tmp_path / "out", step)
    made = stored(tmp_path / "out", "4")
    assert (np.diff(made.ravel()[np.argsort(array.ravel(), kind="stable")]) >= -1e-3).all()
    qs = np.arange(20, 100, 5)
    step_of_rank = np.ptp(reference) / 100
    np.testing.assert_allclose(
        np.percentile(made, qs), np.percentile(reference, qs), atol=step_of_rank
    )


def test_a_standard_for_other_channels_stops_the_run_before_it_begins(tmp_path):
    scan(tmp_path / "in" / "1.nii.gz", 1)
    both = {"MR": [0, 1, 2, 3, 4], "CT": [0, 1, 2, 3, 4]}
    step = {"nyul": {**STEP["nyul"], "standard": both}}
    with pytest.raises(UsageError, match="standard for MR, CT, and not for channel_0"):
        run(tmp_path / "in", tmp_path / "out", step)


def two_channels(folder: Path, first: str, second: str) -> Path:
    """A manifest of one case with two channels."""
    for number, seed in ((0, 1), (1, 6)):
        scan(folder / f"a_{number}.nii.gz", seed)
    row = {"case_id": "a", "image": "a_0.nii.gz", "image_1": "a_1.nii.gz"}
    manifest = folder / "cohort.json"
    manifest.write_text(json.dumps({"channel_names": [first, second], "cases": [row]}))
    return manifest


def test_the_scale_of_one_channel_is_not_that_of_another(tmp_path):
    source = two_channels(tmp_path / "in", "T1", "T2")
    step = {"nyul": {**STEP["nyul"], "standard": {"T1": [0, 1, 2, 3, 4]}}}
    with pytest.raises(UsageError, match="standard for T1, and not for T2"):
        run(source, tmp_path / "out", step)
    alone = {"channels": {"T1": {"intensity": [step]}}, "intensity": [{"multiply": {"by": 1}}]}
    assert run(source, tmp_path / "other", image=alone).exit_code == 0


def test_channels_of_one_name_learn_a_scale_each(tmp_path):
    run(two_channels(tmp_path / "in", "MRI", "MRI"), tmp_path / "out")
    rows = json.loads((tmp_path / "out" / "landmarks.json").read_text())["nyul"]
    assert [row["channel"] for row in rows] == ["0", "1"]
    assert rows[0]["standard"] != rows[1]["standard"]


@pytest.mark.parametrize("step", [STEP, {"zscore": {"over": "cohort"}}])
def test_labels_alone_take_no_statistics_of_a_cohort(tmp_path, step):
    scan(tmp_path / "in" / "a.nii.gz", 1)
    label = np.zeros((14, 13, 12), np.uint8)
    label[3:6, 3:6, 3:6] = 1
    file = tmp_path / "in" / "mask.nii.gz"
    nibabel.save(nibabel.Nifti1Image(label, np.diag([-1, -1, 2, 1.0])), file)
    rows = [{"case_id": "a", "image": "a.nii.gz", "label": "mask.nii.gz"}]
    manifest = tmp_path / "in" / "rows.json"
    manifest.write_text(json.dumps({"channel_names": ["MRI"], "cases": rows}))
    report = run(manifest, tmp_path / "out", step, label={"only": True})
    assert report.finished.done == 1
    assert not report.failures


@pytest.mark.parametrize("by", [(1e200, 1e200), (1e307,)])
def test_numbers_beyond_all_range_are_the_configs_fault(tmp_path, by):
    scan(tmp_path / "in" / "1.nii.gz", 1)
    steps = [*({"multiply": {"by": number}} for number in by), STEP]
    (failure,) = run(tmp_path / "in", tmp_path / "out", *steps).failures
    assert failure.code == "RANGE"
    assert "lead out of the range of numbers" in failure.message


def test_a_lost_file_of_landmarks_is_written_anew_by_kept_statistics_too(tmp_path):
    scan(tmp_path / "in" / "1.nii.gz", 1)
    run(tmp_path / "in", tmp_path / "out")
    text = (tmp_path / "out" / "landmarks.json").read_text()
    (tmp_path / "out" / "landmarks.json").unlink()
    run(tmp_path / "in", tmp_path / "out", run={"statistics": "keep"})
    assert (tmp_path / "out" / "landmarks.json").read_text() == text


def test_a_file_that_is_none_stops_the_run_before_it_begins(tmp_path):
    scan(tmp_path / "in" / "1.nii.gz", 1)
    with pytest.raises(UsageError, match=r"landmarks .*none\.json cannot be used"):
        run(tmp_path / "in", tmp_path / "out", {"nyul": {"landmarks": str(tmp_path / "none.json")}})
    assert not (tmp_path / "out").exists()


def test_that_a_new_case_changed_the_scale_is_told_of_those_made_anew(tmp_path):
    scan(tmp_path / "in" / "0.nii.gz", 0)
    run(tmp_path / "in", tmp_path / "out")
    scan(tmp_path / "in" / "1.nii.gz", 1)
    told = run(tmp_path / "in", tmp_path / "out").changed
    (text,) = told.first
    assert text.startswith("0: statistics of the cohort are others by now")
    assert "run.statistics: keep" in text
