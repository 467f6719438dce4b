"""Dates of PET that contradict each other, and the clocks that are taken then."""

from __future__ import annotations

import pytest
from support.pet_headers import factor, header

from gpuprep.io.dicom.pet import pet_of
from gpuprep.io.dicom.uptake import factor_of
from gpuprep.io.suv import NoSuvError


@pytest.mark.parametrize("day", ["20240301", "20241231", "20250102", "20250628"])
def test_a_scan_start_of_another_day_gives_its_clock(day):
    """As public collections have it, whose anonymisers moved the dates of private tags otherwise."""
    one = header(SeriesTime="120000", AcquisitionTime="114300")
    one.add_new((0x0009, 0x0010), "LO", "GEMS_PETD_01")
    one.add_new((0x0009, 0x100D), "DT", f"{day}114000.00")
    found, (note,) = factor_of([pet_of(one)], "bodyweight")
    assert found.factor == pytest.approx(80_000 / 200e6)
    assert note.startswith("the scanner's own scan start is ")


@pytest.mark.parametrize("day", ["20240301", "20241231", "20250102", "20250628"])
def test_an_injection_of_another_day_gives_its_clock(day):
    """A half-life of 6000 s: nothing is left after a day, so it was on the day of the scan."""
    found, (note,) = factor_of(
        [pet_of(header(RadiopharmaceuticalStartDateTime=f"{day}100000"))], "bodyweight"
    )
    assert found.factor == pytest.approx(80_000 / 200e6)
    assert note.startswith("the date of the injection is ")


@pytest.mark.parametrize("day", ["20240301", "20250102"])
def test_an_injection_of_another_day_is_refused_where_much_is_left_after_one(day):
    one = header(RadiopharmaceuticalStartDateTime=f"{day}100000", RadionuclideHalfLife=45_000)
    with pytest.raises(NoSuvError, match=r"half-lives before|after the time"):
        factor(one)


def test_an_injection_soon_after_the_start_of_a_dynamic_scan_decays_backwards():
    one = header(RadiopharmaceuticalStartDateTime="20250101114041")
    found, (note,) = factor_of([pet_of(one)], "bodyweight")
    assert found.factor == pytest.approx(80_000 / (400e6 * 2 ** (41 / 6000)))
    assert note == "the injection is 41 s after the scan's start, as in a dynamic one"
