"""The situations of IBSI-SUV's digital reference objects, as their list names them, with numbers of our own.

github.com/oncoray/suv_computation, docs/DRO_list.csv (CC BY 4.0). In all of them 200 MBq are left of 400, and
80 kg are 80,000 g, so that 2,500 Bq/ml are an SUV of 1. Objects that need a factor for each bed position
(DRO_3_4) and enhanced PET (DRO_7) are refused by name, and are no part of this.
"""

from __future__ import annotations

import pytest
from support.pet_headers import factor, header

from gpuprep.io.suv import NoSuvError, Person, amount, average_time

ONE = 1 / 2500
LATE = {"SeriesTime": "120000", "AcquisitionTime": "114300", "ActualFrameDuration": 180_000}
REFERENCE = 1000 * (180 + average_time(180, 6000))
ZIRCONIUM = 282_240  # s
AT_NIGHT = {"SeriesTime": "004000", "AcquisitionTime": "004000"}


def ready(suv_type: str, kind: str, sex: str = "M", units: str = "GML"):
    """Values that are SUV already, and what they are times to be SUV by weight."""
    person = Person(80, 1.75, sex)
    tags = {"Units": units, "SUVType": suv_type, "PatientSex": sex}
    return tags, amount("bodyweight", person) / amount(kind, person)


OBJECTS = {
    "DRO_0_0": ({}, ONE),
    "DRO_2_0": ({"Units": "GML", "SUVType": "BW"}, 1.0),
    "DRO_2_1_0": ready("LBMJAMES128", "lean-james"),
    "DRO_2_1_1": ready("LBMJAMES128", "lean-james", "F"),
    "DRO_2_1_2": ready("LBMJAMES128", "lean-james", "O"),
    "DRO_2_2_0": ready("IBW", "ideal"),
    "DRO_2_2_1": ready("IBW", "ideal", "F"),
    "DRO_2_2_2": ready("IBW", "ideal", "O"),
    "DRO_2_3": ready("BSA", "bsa", units="CM2ML"),
    "DRO_2_6_0": ready("LBMJANMA", "lean"),
    "DRO_2_6_1": ready("LBMJANMA", "lean", "F"),
    "DRO_2_6_2": ready("LBMJANMA", "lean", "O"),
    "DRO_3_0": ({"RadionuclideTotalDose": 400}, ONE),
    "DRO_3_1": ({"DecayCorrection": "ADMIN"}, ONE / 2),
    "DRO_3_2_0": ({**LATE, "Manufacturer": "SIEMENS", "FrameReferenceTime": REFERENCE}, ONE),
    "DRO_3_2_1": ({**LATE, "Manufacturer": "GE MEDICAL SYSTEMS", "FrameReferenceTime": 180_000}, ONE),
    "DRO_3_2_2": ({**LATE, "Manufacturer": "Philips", "FrameReferenceTime": REFERENCE}, ONE),
    "DRO_4_1": ({"RadiopharmaceuticalStartDateTime": "", "RadiopharmaceuticalStartTime": "100000"}, ONE),
    "DRO_4_2": (
        {**AT_NIGHT, "RadiopharmaceuticalStartDateTime": "", "RadiopharmaceuticalStartTime": "230000"},
        ONE,
    ),
    "DRO_4_3": ({**AT_NIGHT, "RadiopharmaceuticalStartDateTime": "20241231230000"}, ONE),
    "DRO_4_4": (
        {**AT_NIGHT, "SeriesDate": "19000101", "AcquisitionDate": "19000101",
         "RadiopharmaceuticalStartDateTime": "20241231230000"},
        ONE,
    ),
    "DRO_4_5": (
        {"RadiopharmaceuticalStartDateTime": "20241228114000", "RadionuclideHalfLife": 4 * 86400}, ONE,
    ),
    "DRO_5_0": (
        {"RadiopharmaceuticalStartDateTime": "20250101103222", "RadionuclideHalfLife": 4058}, ONE,
    ),
}  # fmt: skip
REFUSED = {
    "DRO_error_2_0": {"PatientWeight": ""},
    "DRO_error_2_1": {"PatientWeight": 0},
    "DRO_error_2_2": {"Units": "GML", "SUVType": "IBW", "PatientSex": ""},
    "DRO_error_2_3": {"Units": "GML", "SUVType": "IBW", "PatientSex": "X"},
    "DRO_error_2_4": {"Units": "GML", "SUVType": "IBW", "PatientSize": ""},
    "DRO_error_2_5": {"Units": "GML", "SUVType": "IBW", "PatientSize": 0},
    "DRO_error_2_6": {"Units": "CNTS"},
    "DRO_error_2_7": {"Units": "PROPCNTS"},
    "DRO_error_3_0": {"RadionuclideTotalDose": ""},
    "DRO_error_3_1": {"RadionuclideTotalDose": -4e8},
    "DRO_error_4_0": {"RadiopharmaceuticalStartDateTime": ""},
    "DRO_error_4_2": {
        "RadiopharmaceuticalStartDateTime": "19000101100000",
        "RadionuclideHalfLife": ZIRCONIUM,
    },
    "DRO_error_5_0": {"RadionuclideHalfLife": ""},
}


@pytest.mark.parametrize("name", OBJECTS)
def test_a_situation_with_a_value(name: str) -> None:
    changes, expected = OBJECTS[name]
    assert factor(header(**changes)) == pytest.approx(expected, rel=2e-4)


@pytest.mark.parametrize(("element", "value", "expected"), [(0, 0.25, 0.25), (9, 2.5, 2.5 * ONE)])
def test_counts_of_philips(element: int, value: float, expected: float) -> None:
    """DRO_2_4 and DRO_2_5."""
    one = header(Units="CNTS")
    block = one.private_block(0x7053, "Philips PET Private Group", create=True)
    block.add_new(element, "DS", str(value))
    assert factor(one) == pytest.approx(expected)


@pytest.mark.parametrize("name", REFUSED)
def test_a_situation_without_one(name: str) -> None:
    with pytest.raises(NoSuvError):
        factor(header(**REFUSED[name]))
