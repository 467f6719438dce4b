"""Sidecars of PET are source files of their cases: a change of one makes them anew."""

import json

import nibabel
import numpy as np
import pytest
from support.cohorts import run

import gpuprep
from gpuprep.values.events import CaseChanged

pytestmark = pytest.mark.usefixtures("reads_here")

PET = {
    "Units": "Bq/mL", "TracerRadionuclide": "F18", "InjectedRadioactivity": 400,
    "InjectedRadioactivityUnits": "MBq", "InjectionStart": 0, "ImageDecayCorrected": True,
    "ImageDecayCorrectionTime": 6586.2, "PatientWeight": 80,
}  # fmt: skip
CONFIG = {"image": {"intensity": [{"suv": "bodyweight"}]}, "store": {"dtype": "float32"}}
ACTIVITY = np.arange(512, dtype=np.float32).reshape(8, 8, 8)


def done(source, output):
    """How many cases a run made and left, and what it told of files that changed."""
    heard = []
    report = run(source, output, CONFIG, listeners=[heard.append])
    changes = [event.change for event in heard if isinstance(event, CaseChanged)]
    return report.finished.done, report.finished.skipped, changes


def test_a_changed_sidecar_makes_its_case_anew(tmp_path):
    source, output = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    for name in "ab":
        nibabel.save(nibabel.Nifti1Image(ACTIVITY, np.eye(4)), source / f"{name}.nii.gz")
        (source / f"{name}.json").write_text(json.dumps(PET))
    assert done(source, output) == (2, 0, [])
    before = gpuprep.open(output)["a"].image[:]
    (source / "a.json").touch()  # looked into, and found to be the same
    assert done(source, output) == (0, 2, [])
    (source / "a.json").write_text(json.dumps(PET | {"PatientWeight": 40}))
    assert done(source, output) == (1, 1, ["a.json changed (other contents in as many bytes, 221)"])
    np.testing.assert_allclose(gpuprep.open(output)["a"].image[:], before / 2, rtol=1e-6)
    (source / "a.json").unlink()
    assert [f.code for f in run(source, output, CONFIG).failures] == ["E_SUV"]


def test_so_does_a_changed_sidecar_further_up(tmp_path):
    source, output = tmp_path / "in", tmp_path / "out"
    (source / "sub-1").mkdir(parents=True)
    nibabel.save(nibabel.Nifti1Image(ACTIVITY, np.eye(4)), source / "sub-1/sub-1_pet.nii.gz")
    (source / "dataset_description.json").write_text("{}")
    (source / "pet.json").write_text(json.dumps(PET))
    assert done(source, output) == (1, 0, [])
    assert done(source, output) == (0, 1, [])
    (source / "pet.json").write_text(json.dumps(PET | {"PatientWeight": 40}))
    told = ["pet.json changed (other contents in as many bytes, 221)"]
    assert done(source, output) == (1, 0, told)
