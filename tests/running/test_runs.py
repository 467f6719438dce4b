"""Whole runs on small cohorts: outcomes, resume, records, exit codes, both executors."""

import json
import shutil
from pathlib import Path

import nibabel
import numpy as np
import pytest
from support.cohorts import CONFIG, contents, run, write_pair

import gpuprep
from gpuprep.store.verify import verify_cohort
from gpuprep.values.errors import BackendError, UsageError
from gpuprep.values.events import CaseDone, RunFinished, RunStarted


def test_cohort_is_done_and_readable(cohort_folder, tmp_path):
    events = []
    report = run(cohort_folder, tmp_path / "out", listeners=[events.append])
    assert report.exit_code == 0
    assert report.finished.done == 4
    assert isinstance(events[0], RunStarted)
    assert isinstance(events[-1], RunFinished)
    assert sum(isinstance(event, CaseDone) for event in events) == 4
    cohort = gpuprep.open(tmp_path / "out")
    assert list(cohort) == ["volume-0", "volume-1", "volume-2", "volume-3"]
    case = cohort["volume-2"]
    image = np.asarray(case.image)
    assert image.dtype == np.float16
    assert image.shape == case.geometry.shape == case.labels["segmentation"].shape
    assert case.geometry.spacing == pytest.approx((1.0, 1.0, 1.5))
    assert case.geometry.orientation == "LPS"
    assert image.min() >= 0
    assert image.max() <= 1
    label = np.asarray(case.labels["segmentation"])
    assert set(np.unique(label)) == {0, 1, 2}
    ball = image[label > 0].mean() * 1400 - 1000
    assert abs(ball - 60) < 20  # the ball's HU, back from the unit range
    assert not list((tmp_path / "out" / ".staging").glob("*"))


def test_record_says_how_the_case_was_made(cohort_folder, tmp_path):
    run(cohort_folder, tmp_path / "out")
    record = gpuprep.open(tmp_path / "out")["volume-1"].record
    assert {Path(entry["path"]).name for entry in record["source"]} == {
        "volume-1.nii.gz",
        "segmentation-1.nii.gz",
    }
    assert all(len(entry["sha256"]) == 64 for entry in record["source"])
    assert record["intensity"][0]["clip"] == [-1000, 400]
    assert record["intensity"][0]["scale"] == pytest.approx(1 / 1400)
    assert record["statistics"][0]["count"] == 43 * 36 * 21
    assert record["geometry"]["source"]["shape"] == [21, 36, 43]
    assert record["labels"]["segmentation"].keys() == {"0", "1", "2"}
    assert {"read", "measure", "resample", "labels", "store"} <= record["timings"].keys()
    assert record["files"].keys() >= {"zarr.json", "0/zarr.json"}


def test_second_run_does_nothing_and_changed_sources_are_redone(cohort_folder, tmp_path):
    run(cohort_folder, tmp_path / "out")
    before = contents(tmp_path / "out")
    again = run(cohort_folder, tmp_path / "out")
    assert (again.finished.done, again.finished.skipped) == (0, 4)
    assert contents(tmp_path / "out") == before
    write_pair(cohort_folder, 7)
    shutil.move(cohort_folder / "volume-7.nii.gz", cohort_folder / "volume-1.nii.gz")
    shutil.move(cohort_folder / "segmentation-7.nii.gz", cohort_folder / "segmentation-1.nii.gz")
    changed = run(cohort_folder, tmp_path / "out")
    assert (changed.finished.done, changed.finished.skipped) == (1, 3)
    assert not verify_cohort(tmp_path / "out", full=True)


def test_bad_cases_cost_only_themselves(cohort_folder, tmp_path):
    bad = cohort_folder / "volume-1.nii.gz"
    bad.write_bytes(bad.read_bytes()[:-2000])
    report = run(cohort_folder, tmp_path / "out")
    assert report.exit_code == 1
    assert report.finished.done == 3
    (failure,) = report.failures
    assert failure.case_id == "volume-1"
    assert failure.code == "E_TRUNCATED"
    assert failure.advice
    (line,) = (tmp_path / "out" / "failures.jsonl").read_text().splitlines()
    assert json.loads(line)["code"] == "E_TRUNCATED"
    write_pair(cohort_folder, 1)
    repaired = run(cohort_folder, tmp_path / "out")
    assert (repaired.exit_code, repaired.finished.done) == (0, 1)
    assert not (tmp_path / "out" / "failures.jsonl").exists()


def test_local_dask_gives_the_same_bytes_as_serial(cohort_folder, tmp_path):
    serial = run(cohort_folder, tmp_path / "serial")
    local = run(cohort_folder, tmp_path / "local", scheduler="local", workers=2)
    assert serial.exit_code == local.exit_code == 0
    assert contents(tmp_path / "serial") == contents(tmp_path / "local")


def test_cohort_statistics_do_not_depend_on_order_or_workers(cohort_folder, tmp_path):
    config = {"image": {"intensity": [{"zscore": {"over": "cohort"}}]}}
    run(cohort_folder, tmp_path / "serial", config)
    local = run(cohort_folder, tmp_path / "local", config, scheduler="local", workers=2)
    assert local.exit_code == 0
    assert contents(tmp_path / "serial") == contents(tmp_path / "local")
    sources = [np.asarray(nibabel.load(path).dataobj) for path in cohort_folder.glob("volume-*")]
    foreground = np.concatenate([source[source != 0] for source in sources]).astype(np.float64)
    for case in gpuprep.open(tmp_path / "local").values():
        numbers = case.record["intensity"][0]
        assert numbers["scale"] == pytest.approx(1 / foreground.std(), rel=1e-12)
        assert numbers["offset"] == pytest.approx(-foreground.mean() / foreground.std(), rel=1e-12)
    assert run(cohort_folder, tmp_path / "serial", config).finished.skipped == 4


def test_another_config_is_refused_unless_overwriting(cohort_folder, tmp_path):
    run(cohort_folder, tmp_path / "out")
    other = {**CONFIG, "store": {"chunk": 16}}
    with pytest.raises(UsageError, match="another config"):
        run(cohort_folder, tmp_path / "out", other)
    report = run(cohort_folder, tmp_path / "out", other, overwrite=True)
    assert report.finished.done == 4
    assert gpuprep.open(tmp_path / "out")["volume-0"].image.chunks == (16, 16, 16)


@pytest.mark.parametrize("place", ["in/out", ".", "in"])
def test_output_inside_input_is_refused(cohort_folder, tmp_path, place):
    with pytest.raises(UsageError, match="inside one another"):
        run(cohort_folder, tmp_path / place)


def test_a_folder_with_other_things_in_it_is_not_an_output(cohort_folder, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.docx").write_text("precious")
    with pytest.raises(UsageError, match="not empty"):
        run(cohort_folder, tmp_path / "out")


def test_wrong_options_are_usage_errors(cohort_folder, tmp_path):
    for options in ({"workers": 0, "scheduler": "local"}, {"scheduler": "slurm9"}):
        with pytest.raises(UsageError):
            run(cohort_folder, tmp_path / "out", **options)
    with pytest.raises(UsageError):
        run(tmp_path / "nowhere", tmp_path / "out")
    with pytest.raises(BackendError, match=r"CuPy|kernels"):
        run(cohort_folder, tmp_path / "out", backend="cupy")


def test_crop_resample_and_several_channels(tmp_path):
    folder = tmp_path / "in" / "patient"
    folder.mkdir(parents=True)
    body = np.zeros((30, 32, 34), np.float32)
    body[5:25, 6:28, 7:20] = np.random.default_rng(0).gamma(4, 30, (20, 22, 13))
    for name, gain in (("T1", 1), ("FLAIR", 3)):
        nibabel.save(nibabel.Nifti1Image(body * gain, np.eye(4)), folder / f"{name}.nii.gz")
    nibabel.save(
        nibabel.Nifti1Image((body > 150).astype(np.uint8), np.eye(4)), folder / "lesion.nii.gz"
    )
    config = {
        "image": {
            "crop": {"to": "nonzero", "margin": 1},
            "intensity": [{"zscore": {"over": "foreground"}}],
        }
    }
    report = run(tmp_path / "in", tmp_path / "out", config)
    assert report.exit_code == 0, report.failures
    (case,) = gpuprep.open(tmp_path / "out").values()
    assert case.image.shape == (2, 15, 24, 22)
    assert sorted(case.channel_names) == ["FLAIR", "T1"]
    assert case.record["geometry"]["crop"] == [[6, 21], [3, 27], [4, 26]]
    first, second = np.asarray(case.image, np.float32)
    np.testing.assert_allclose(first, second, atol=2e-3)  # z-scores do not see the gain
    (label,) = case.labels.values()
    assert label.shape == (15, 24, 22)
