"""Sidecars of BIDS further up than the image: which apply, which override, and which contradict."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.hostile import nifti

from gpuprep.io.reader import peek, read
from gpuprep.io.rules import ReadRules
from gpuprep.values.case import Source
from gpuprep.values.errors import InputError

STUDY: dict[str, Any] = {
    "Units": "Bq/mL", "TracerName": "FDG", "TracerRadionuclide": "F18",
    "InjectedRadioactivityUnits": "MBq", "InjectionStart": 0, "ImageDecayCorrected": True,
    "ImageDecayCorrectionTime": 0, "InjectedRadioactivity": 100,
}  # fmt: skip
RULES = ReadRules(suv=("bodyweight",))
NAME = "sub-01_ses-2_trc-FDG_run-1_pet"


@pytest.fixture
def pet(tmp_path: Path) -> Path:
    """A data set of one image, with nothing but the study's own file, and a weight beside the image."""
    folder = tmp_path / "sub-01/ses-2/pet"
    folder.mkdir(parents=True)
    told(tmp_path / "dataset_description.json", Name="x")
    told(tmp_path / "pet.json", **STUDY)
    told(folder / f"{NAME}.json", PatientWeight=80)
    return nifti(folder / f"{NAME}.nii.gz", np.ones((4, 5, 6), np.float32))


def told(path: Path, **keys: object) -> Path:
    path.write_text(json.dumps(keys))
    return path


def read_factor(pet: Path, rules: ReadRules = RULES) -> tuple[float, set[str]]:
    """The dose in MBq that a factor is of, for 80 kg; and the files that are the case's sources."""
    scan = read(Source(str(pet)), rules)
    names = {Path(one.path).name for one in scan.identity}
    return 80_000 / scan.header["suv"]["bodyweight"]["factor"] / 1e6, names


def test_a_file_further_up_applies_and_nearer_ones_override(pet: Path, tmp_path: Path) -> None:
    files = {pet.name, f"{NAME}.json", "pet.json"}
    assert read_factor(pet) == (pytest.approx(100), files)
    told(tmp_path / "sub-01/sub-01_pet.json", InjectedRadioactivity=200, PatientWeight=None)
    files.add("sub-01_pet.json")
    assert read_factor(pet) == (pytest.approx(200), files)
    told(tmp_path / "sub-01/ses-2/sub-01_ses-2_trc-FDG_pet.json", InjectedRadioactivity=300)
    files.add("sub-01_ses-2_trc-FDG_pet.json")
    assert read_factor(pet) == (pytest.approx(300), files)


@pytest.mark.parametrize(
    "name",
    [
        "sub-02_pet", "trc-FDGx_pet", "rec-a_pet", "run-1_ct", "sub-01_task-x_run-1_pet", "x_pet", "sub-01",
        "PET", "run-1_petx",
    ],
)  # fmt: skip
def test_a_file_with_another_suffix_or_entity_does_not_apply(
    pet: Path, tmp_path: Path, name: str
) -> None:
    told(tmp_path / "sub-01" / f"{name}.json", InjectedRadioactivity=200)
    assert read_factor(pet)[0] == pytest.approx(100)


def test_the_order_of_entities_does_not_matter(pet: Path, tmp_path: Path) -> None:
    told(tmp_path / "sub-01/run-1_sub-01_pet.json", InjectedRadioactivity=200)
    assert read_factor(pet)[0] == pytest.approx(200)


def test_two_that_apply_in_one_folder_are_refused_with_both_names(
    pet: Path, tmp_path: Path
) -> None:
    told(tmp_path / "run-1_pet.json", InjectedRadioactivity=200)
    for look in (read, peek):
        with pytest.raises(InputError, match=r"E_SUV.*pet\.json and run-1_pet\.json in"):
            look(Source(str(pet)), RULES)
    told(tmp_path / "pet.json", EchoTime=1)
    told(tmp_path / "run-1_pet.json", EchoTime=2)
    (pet.parent / f"{NAME}.json").unlink()
    assert "suv" not in read(Source(str(pet)), RULES).header  # nothing of them is of PET


def test_a_nearer_data_set_is_one_of_its_own(pet: Path, tmp_path: Path) -> None:
    told(tmp_path / "sub-01/dataset_description.json", Name="derived")
    assert "suv" not in read(Source(str(pet)), RULES).header
    told(pet.parent / f"{NAME}.json", **STUDY, PatientWeight=80)
    assert read_factor(pet) == (pytest.approx(100), {pet.name, f"{NAME}.json"})


def test_without_a_data_set_only_the_file_of_its_very_name_applies(
    pet: Path, tmp_path: Path
) -> None:
    (tmp_path / "dataset_description.json").unlink()
    told(pet.parent / "pet.json", InjectedRadioactivity=200)
    told(pet.parent / f"{NAME}.json", **STUDY, PatientWeight=80)
    assert read_factor(pet) == (pytest.approx(100), {pet.name, f"{NAME}.json"})


def test_a_file_further_up_than_the_input_must_be_allowed(pet: Path, tmp_path: Path) -> None:
    inside = ReadRules(suv=("bodyweight",), roots=(str(tmp_path / "sub-01"),))
    with pytest.raises(InputError, match=r"E_UNSAFE_PATH.*pet\.json"):
        read(Source(str(pet)), inside)
    allowed = ReadRules(suv=("bodyweight",), roots=(str(tmp_path / "sub-01"), str(tmp_path)))
    assert read_factor(pet, allowed)[0] == pytest.approx(100)
