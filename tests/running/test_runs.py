"""Whole runs on small cohorts: outcomes, resume, records, exit codes, both executors."""

import io
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


def test_int16_without_steps_keeps_every_voxel(cohort_folder, tmp_path):
    config = {"store": {"dtype": "int16"}, "image": {"orientation": "RAS"}}
    assert run(cohort_folder, tmp_path / "out", config).exit_code == 0
    stored = np.asarray(gpuprep.open(tmp_path / "out")["volume-0"].image)
    source = np.asarray(nibabel.load(cohort_folder / "volume-0.nii.gz").dataobj)
    np.testing.assert_array_equal(stored, source.transpose(2, 1, 0))


def test_label_on_another_grid_is_refused_with_both_geometries_or_brought_over(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    write_pair(folder, 0)
    label = nibabel.load(folder / "segmentation-0.nii.gz")
    whole = np.asarray(label.dataobj).copy()
    smaller = whole[4:, 2:, 1:]
    affine = label.affine.copy()
    affine[:3, 3] = (label.affine @ [4, 2, 1, 1])[:3]
    nibabel.save(nibabel.Nifti1Image(smaller, affine), folder / "segmentation-0.nii.gz")
    config = {"store": {"dtype": "int16"}}
    (failure,) = run(folder, tmp_path / "refused", config).failures
    assert failure.code == "E_SHAPE_MISMATCH"
    assert "36×34×19" in failure.message
    assert "40×36×20" in failure.message
    fixed = {**config, "input": {"policy": {"E_SHAPE_MISMATCH": "fix"}}}
    report = run(folder, tmp_path / "fixed", fixed)
    assert report.exit_code == 0
    (case,) = gpuprep.open(tmp_path / "fixed").values()
    whole = whole.transpose(2, 1, 0)[:, ::-1, ::-1]
    stored = np.asarray(case.labels["segmentation"])
    inside = np.zeros(whole.shape, bool)
    inside[1:, 2:, 4:] = True
    np.testing.assert_array_equal(stored, np.where(inside[:, ::-1, ::-1], whole, 0))
    assert "W_LABEL_REGRID" in {finding.code for finding in case.findings}


def test_labels_only_stores_no_image(cohort_folder, tmp_path):
    config = {"label": {"only": True}, "image": {"resample": {"spacing": [2, 2, 2]}}}
    assert run(cohort_folder, tmp_path / "out", config).exit_code == 0
    case = gpuprep.open(tmp_path / "out")["volume-0"]
    assert case.image is None
    assert set(np.unique(np.asarray(case.labels["segmentation"]))) == {0, 1, 2}


@pytest.mark.parametrize(
    "image",
    [
        {"crop": {"to": "label"}},
        {"foreground": {"where": "label"}, "intensity": [{"zscore": {"over": "foreground"}}]},
    ],
)
def test_a_config_that_needs_labels_says_which_case_has_none(cohort_folder, tmp_path, image):
    (cohort_folder / "segmentation-2.nii.gz").unlink()
    report = run(cohort_folder, tmp_path / "out", {"image": image})
    assert [(failure.case_id, failure.code) for failure in report.failures] == [
        ("volume-2", "E_LABEL_MISSING")
    ]
    lenient = {"image": image, "input": {"policy": {"E_LABEL_MISSING": "warn"}}}
    assert run(cohort_folder, tmp_path / "lenient", lenient).exit_code == 0


def test_a_bug_of_ours_is_told_without_a_traceback_unless_asked(
    cohort_folder, tmp_path, monkeypatch
):
    from rich.console import Console

    from gpuprep.cli.progress import ProgressView
    from gpuprep.ops import operations

    def broken(*_, **__):
        raise ZeroDivisionError("on purpose")

    monkeypatch.setattr(operations, "resample", broken)
    for verbose in (False, True):
        console = Console(file=io.StringIO())
        view = ProgressView(console, live=False, verbose=verbose)
        report = run(cohort_folder, tmp_path / f"{verbose}", limit=1, listeners=[view])
        (failure,) = report.failures
        assert (failure.kind, failure.code) == ("bug", "BUG")
        assert "report" in failure.advice
        printed = console.file.getvalue()
        assert "ZeroDivisionError: on purpose" in printed
        assert ("Traceback" in printed) is verbose


def test_thick_slices_are_resampled_one_by_one_where_asked(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    levels = np.array([0, 100, 300, 200, 50, 400])
    voxels = np.broadcast_to(levels, (24, 20, 6)).astype(np.int16)
    nibabel.save(nibabel.Nifti1Image(voxels, np.diag([1, 1, 5, 1])), folder / "a.nii.gz")
    resample = {"spacing": [1, 2, 2.5], "separate_z": "auto"}
    config = {"image": {"resample": resample}, "store": {"dtype": "int16"}}
    assert run(folder, tmp_path / "out", config).exit_code == 0
    (case,) = gpuprep.open(tmp_path / "out").values()
    assert case.record["mapping"]["separate_axis"] == 0
    stored = np.asarray(case.image)
    assert stored.shape == (12, 10, 24)
    assert [np.unique(plane).tolist() for plane in stored] == [[k] for k in np.repeat(levels, 2)]


def test_outside_the_foreground_is_zero_where_asked(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    voxels = np.zeros((20, 21, 22), np.float32)
    voxels[5:15, 4:16, 6:17] = np.random.default_rng(0).gamma(4, 30, (10, 12, 11))
    voxels[9, 9, 9] = 0  # a hole
    nibabel.save(nibabel.Nifti1Image(voxels, np.eye(4)), folder / "a.nii.gz")
    foreground = {"fill_holes": True, "outside": "zero"}
    steps = [{"zscore": {"over": "foreground"}}, {"offset": {"by": 5}}]
    config = {
        "image": {"orientation": "RAS", "foreground": foreground, "intensity": steps},
        "store": {"dtype": "float32"},
    }
    assert run(folder, tmp_path / "out", config).exit_code == 0
    (case,) = gpuprep.open(tmp_path / "out").values()
    inside = np.zeros(voxels.shape, bool)
    inside[5:15, 4:16, 6:17] = True
    values = voxels[inside].astype(np.float64)
    expected = np.zeros(voxels.shape)
    expected[inside] = (values - values.mean()) / values.std() + 5
    stored = np.asarray(case.image).transpose(2, 1, 0)
    assert (stored[~inside] == 0).all()
    np.testing.assert_allclose(stored, expected, atol=1e-5)


def test_what_left_the_device_is_counted_and_said(cohort_folder, tmp_path, monkeypatch):
    from rich.console import Console

    from gpuprep.cli.progress import ProgressView
    from gpuprep.executors import task

    def with_fallback(*arguments):
        record = run_case(*arguments)
        return record | {"engine": {"backend": "cupy", "fallbacks": ["the device has no room"]}}

    run_case = task.run_case
    monkeypatch.setattr(task, "run_case", with_fallback)
    console = Console(file=io.StringIO(), width=200)
    view = ProgressView(console, live=False)
    report = run(cohort_folder, tmp_path / "out", limit=2, scheduler="serial", listeners=[view])
    assert report.finished.fallbacks == {"the device has no room": 2}
    assert "NumPy did (parts of) 2 cases: the device has no room" in console.file.getvalue()
