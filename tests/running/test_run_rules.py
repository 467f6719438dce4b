"""Whole runs under rules that change what is stored: dtypes, grids, labels, foreground, slices."""

import io

import nibabel
import numpy as np
import pytest
from support.cohorts import run, write_pair

import gpuprep

pytestmark = pytest.mark.usefixtures("reads_here")


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
