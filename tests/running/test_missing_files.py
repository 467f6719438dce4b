"""A file that a manifest or a dataset.json names, and that is not there, costs its own case."""

import json
import shutil

import pytest
from support.cohorts import run
from support.commands import call

import gpuprep

pytestmark = pytest.mark.usefixtures("reads_here")


@pytest.fixture
def manifest(cohort_folder):
    rows = [f"c{n},volume-{n}.nii.gz,segmentation-{n}.nii.gz" for n in range(4)]
    file = cohort_folder / "cases.csv"
    file.write_text("\n".join(["case_id,image,label", *rows]))
    return file


@pytest.mark.parametrize("scheduler", ["serial", pytest.param("local", marks=pytest.mark.slow)])
def test_missing_files_of_a_manifest_cost_their_cases(manifest, tmp_path, scheduler):
    (manifest.parent / "volume-0.nii.gz").unlink()
    (manifest.parent / "segmentation-2.nii.gz").unlink()
    report = run(manifest, tmp_path / "out", scheduler=scheduler, workers=2)
    assert (report.exit_code, report.finished.done) == (1, 2)
    assert {failure.case_id: failure.code for failure in report.failures} == {
        "c0": "E_MISSING",
        "c2": "E_MISSING",
    }
    assert {failure.path for failure in report.failures} == {
        str(manifest.parent / "volume-0.nii.gz"),
        str(manifest.parent / "segmentation-2.nii.gz"),
    }
    assert list(gpuprep.open(tmp_path / "out")) == ["c1", "c3"]


def test_plan_refuses_them_too(manifest):
    (manifest.parent / "volume-0.nii.gz").unlink()
    done = call("plan", manifest, check=1)
    assert "refused c0  E_MISSING" in done.stdout
    assert "3 cases to do, 1 refused" in done.stdout
    assert call("plan", manifest, "--set", "input.policy.E_MISSING=warn").returncode == 2


def test_a_case_of_dataset_json_that_lacks_a_file_fails_by_itself(cohort_folder, tmp_path):
    """Also one whose file lies outside the input folder."""
    secret = shutil.move(cohort_folder / "segmentation-2.nii.gz", tmp_path)
    (cohort_folder / "segmentation-1.nii.gz").unlink()
    (cohort_folder / "volume-3.nii.gz").unlink()
    entries = [
        {"image": f"volume-{n}.nii.gz", "label": f"segmentation-{n}.nii.gz"} for n in range(4)
    ]
    entries[2]["label"] = str(secret)
    description = {"training": entries, "labels": {"0": "background", "1": "a", "2": "b"}}
    (cohort_folder / "dataset.json").write_text(json.dumps(description))
    report = run(cohort_folder, tmp_path / "out")
    assert (report.exit_code, report.finished.done) == (1, 1)
    assert {failure.case_id: failure.code for failure in report.failures} == {
        "volume-1": "E_MISSING",
        "volume-2": "E_UNSAFE_PATH",
        "volume-3": "E_MISSING",
    }
    report = run(
        cohort_folder, tmp_path / "out", config={"input": {"follow_symlinks": True}}, overwrite=True
    )
    assert {failure.case_id for failure in report.failures} == {"volume-1", "volume-3"}
