"""SUV of NIfTI by a BIDS sidecar."""

from __future__ import annotations

import json
from math import exp, log
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.hostile import nifti

from gpuprep.io.nifti.sidecar import factor_of
from gpuprep.io.reader import peek, read
from gpuprep.io.rules import ReadRules
from gpuprep.io.suv import NoSuvError
from gpuprep.values.case import Source
from gpuprep.values.errors import InputError

TOLD: dict[str, Any] = {
    "Units": "Bq/mL", "TracerName": "FDG", "TracerRadionuclide": "F18", "InjectedRadioactivity": 400,
    "InjectedRadioactivityUnits": "MBq", "TimeZero": "10:00:00", "InjectionStart": 0, "ScanStart": 3600,
    "ImageDecayCorrected": True, "ImageDecayCorrectionTime": 6586.2, "FrameTimesStart": [3600],
    "FrameDuration": [600], "PatientWeight": 80, "PatientSize": 1.75, "PatientSex": "M",
}  # fmt: skip


def factor(**changes: Any) -> float:
    told = {key: value for key, value in (TOLD | changes).items() if value is not None}
    return factor_of(told, "bodyweight")[0].factor


def test_a_dose_decays_from_the_injection_to_the_time_of_correction():
    assert factor() == pytest.approx(80_000 / 200e6)
    assert factor(InjectionStart=6586.2) == pytest.approx(80_000 / 400e6)
    assert factor(ImageDecayCorrectionTime=0) == pytest.approx(80_000 / 400e6)


def test_values_not_corrected_are_of_their_frame():
    rate = log(2) / 6586.2
    mean = exp(-rate * 3600) * (1 - exp(-rate * 600)) / (rate * 600)
    assert factor(ImageDecayCorrected=False) == pytest.approx(80_000 / (400e6 * mean))
    with pytest.raises(NoSuvError, match="not of one frame"):
        factor(ImageDecayCorrected=False, FrameTimesStart=[0, 600], FrameDuration=[600, 600])


@pytest.mark.parametrize(
    ("changes", "times"),
    [
        ({"Units": "kBq/mL"}, 1000.0),
        ({"InjectedRadioactivity": 400e3, "InjectedRadioactivityUnits": "kBq"}, 1.0),
        ({"InjectedRadioactivity": 400 / 37, "InjectedRadioactivityUnits": "mCi"}, 1.0),
        ({"TracerRadionuclide": "18F"}, 1.0),
        ({"TracerRadionuclide": "Xx9", "RadionuclideHalfLife": 6586.2}, 1.0),
        ({"PatientWeight": None, "BodyWeight": 40}, 0.5),
    ],
)
def test_units_and_other_keys(changes, times):
    assert factor(**changes) == pytest.approx(times * 80_000 / 200e6)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"PatientWeight": None}, "weight is not given"),
        ({"Units": "counts"}, "Units are 'counts'"),
        ({"InjectedRadioactivityUnits": None}, "InjectedRadioactivityUnits are None"),
        ({"InjectedRadioactivity": "n/a"}, "the injected dose is not given"),
        ({"InjectionStart": None}, "InjectionStart is not given"),
        ({"ImageDecayCorrectionTime": None}, "ImageDecayCorrectionTime is not given"),
        ({"ImageDecayCorrected": None}, "ImageDecayCorrected is not given"),
        ({"TracerRadionuclide": "Tc99m"}, "whose half-life is not known here"),
    ],
)
def test_what_lacks_is_named(changes, words):
    with pytest.raises(NoSuvError, match=words):
        factor(**changes)


def with_sidecar(folder: Path, text: str) -> Source:
    (folder / "a.json").write_text(text)
    return Source(str(nifti(folder / "a.nii", np.ones((4, 5, 6), np.float32))))


def test_a_file_tells_its_factor_only_where_it_is_asked_and_nothing_of_the_patient(tmp_path):
    source = with_sidecar(tmp_path, json.dumps(TOLD))
    told = read(source, ReadRules(suv=("bodyweight", "bsa"))).header["suv"]
    assert set(told) == {"bodyweight", "bsa"}
    assert told["bodyweight"]["factor"] == pytest.approx(80_000 / 200e6)
    assert set(told["bodyweight"]) == {"factor", "formula"}
    assert not any(character.isdigit() for character in told["bodyweight"]["formula"])
    assert "suv" not in read(source, ReadRules()).header


def test_headers_alone_refuse_it_too(tmp_path):
    source = with_sidecar(tmp_path, json.dumps({**TOLD, "PatientWeight": None}))
    for look in (read, peek):
        with pytest.raises(InputError, match="weight is not given") as error:
            look(source, ReadRules(suv=("bodyweight",)))
        assert error.value.code == "E_SUV"


@pytest.mark.parametrize("text", ["[1]", "{", "\xff"])
def test_a_sidecar_that_is_no_object_is_refused(tmp_path, text):
    with pytest.raises(InputError, match="E_SUV"):
        read(with_sidecar(tmp_path, text), ReadRules(suv=("lean",)))


@pytest.mark.parametrize("told", [{"EchoTime": 1}, {"Modality": "CT", "TracerName": "x"}])
def test_a_sidecar_of_another_modality_tells_nothing(tmp_path, told):
    scan = read(with_sidecar(tmp_path, json.dumps(told)), ReadRules(suv=("lean",)))
    assert "suv" not in scan.header


def test_a_file_without_an_extension_has_a_sidecar_of_its_name(tmp_path: Path) -> None:
    path = Path(with_sidecar(tmp_path, json.dumps(TOLD)).path)
    bare = path.rename(tmp_path / "bare")
    assert "suv" not in read(Source(str(bare)), ReadRules(suv=("bodyweight",))).header
    (tmp_path / "bare.json").write_text(json.dumps(TOLD))
    assert read(Source(str(bare)), ReadRules(suv=("bodyweight",))).header["suv"]


@pytest.mark.parametrize(
    "text",
    [
        "[" * 200_000,
        json.dumps(TOLD).replace('"InjectionStart": 0', f'"InjectionStart": 1{"0" * 400}'),
        json.dumps(TOLD | {"ImageDecayCorrected": False, "RadionuclideHalfLife": 1e-320}),
    ],
)
def test_sidecars_of_nonsense_are_findings(tmp_path: Path, text: str):
    nifti(tmp_path / "a.nii", np.ones((4, 5, 6), np.float32))
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(InputError) as refused:
        peek(Source(str(tmp_path / "a.nii")), ReadRules(suv=("bodyweight",)))
    assert refused.value.code == "E_SUV"
