"""Dates of PET that contradict each other, and the clocks that are taken then."""

from __future__ import annotations

from math import log2

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


def by_clock(start: str, injected: str, half_life: float = 6000.0) -> tuple[float, list[str]]:
    """Half-lives from an injection without a date to a scan's start, and what was assumed."""
    one = header(
        SeriesTime=start, AcquisitionTime=start, RadiopharmaceuticalStartDateTime="",
        RadiopharmaceuticalStartTime=injected, RadionuclideHalfLife=half_life,
    )  # fmt: skip
    found, notes = factor_of([pet_of(one)], "bodyweight")
    return log2(found.factor * 400e6 / 80_000), notes


YESTERDAY = "the injection has no date, and was taken as on the day before the scan"
TODAY = "the injection has no date, and was taken as on the day of the scan"
DYNAMIC = "the injection is {} s after the scan's start, as in a dynamic one"


@pytest.mark.parametrize(
    ("start", "injected", "seconds", "told"),
    [
        ("114000", "100000", 6000, []),
        ("004000", "230000", 6000, [YESTERDAY]),
        ("000000", "222000.5", 5999.5, [YESTERDAY]),
        ("235959", "000001", -2, [DYNAMIC.format(2)]),
        ("235000", "000001", None, []),  # 14 half-lives, which no scan waits for
        ("114000", "114041", -41, [DYNAMIC.format(41)]),
        ("235950", "000020", -30, [DYNAMIC.format(30)]),
        ("114000", "115001", None, []),  # nor is it injected 601 s after the start
    ],
)
def test_an_injection_without_a_date_is_of_the_day_that_can_be(
    start: str, injected: str, seconds: float | None, told: list[str]
) -> None:
    """By hand: 10:00:00 to 11:40:00 are 6000 s; 23:00 to 0:40 are 60 + 40 minutes."""
    if seconds is None:
        with pytest.raises(NoSuvError, match="14 half-lives before the scan"):
            by_clock(start, injected)
        return
    assert by_clock(start, injected) == (pytest.approx(seconds / 6000), told)


@pytest.mark.parametrize(
    ("start", "injected", "seconds", "told"),
    [
        ("114000", "100000", 6000, TODAY),
        ("004000", "230000", 6000, YESTERDAY),
        ("100000", "100500", 86_100, YESTERDAY),  # a scan a day after, less five minutes
    ],
)
def test_the_day_of_a_tracer_that_lasts_for_days_is_assumed_and_told(
    start: str, injected: str, seconds: float, told: str
) -> None:
    """Zirconium-89: a scan three days after the injection has the same clocks."""
    half_lives, notes = by_clock(start, injected, 282_060.0)
    assert (half_lives, notes) == (pytest.approx(seconds / 282_060), [told])


@pytest.mark.parametrize(
    ("start", "day", "injected"),
    [
        ("004000", "20241231", "230000"),
        ("235000", "20250101", "221000"),
        ("000000", "20241231", "222000"),
    ],
)
def test_dates_go_over_midnight(start: str, day: str, injected: str) -> None:
    one = header(
        SeriesTime=start, AcquisitionTime=start, RadiopharmaceuticalStartDateTime=day + injected
    )
    found, notes = factor_of([pet_of(one)], "bodyweight")
    assert (found.factor, notes) == (pytest.approx(80_000 / 200e6), [])
