"""SUV factors against published ones: cornerstone's calculate-suv, and formulas worked by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from math import exp, log

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.pet_headers import factor, header

from gpuprep.io.dicom.pet import Pet, pet_of
from gpuprep.io.dicom.uptake import factor_of
from gpuprep.io.rules import Reading, ReadRules
from gpuprep.io.suv import NoSuvError, Person, amount, average_time, decayed
from gpuprep.io.uptake import suv_factors
from gpuprep.values.errors import InputError

F18 = 6586.2
# Headers of scanners and their factors: github.com/cornerstonejs/calculate-suv (MIT), test/metadata and
# test/calculateSUV_SampleData.test.ts. Units, weight, series, acquired, frame reference, duration, dose,
# half-life, injection, Philips' factors, SUV by weight.
PUBLISHED = {
    "Siemens": ("BQML", 67, "104829.0", "104830.351370", 38513.36, 74324, 374e6, F18,
                "20201217083045.000000 ", None, None, 0.00042748316187197236),
    "GE": ("BQML", 52, "095621", "095621", 0, 120000, 152022720, 6586.2001953125,
           "20201217084500.00 ", None, None, 0.0005367387681819742),
    "Philips Bq/ml": ("BQML", 64, "110155", "110156", 1328700, 120700, 126e6, 6586.199707,
                      "20201217100058", "0.003515736 ", "4.709921", 0.0007463747013889488),
    "Philips counts": ("CNTS", 54, "093556", "095439", 1183000, 120000, 238e6, 6588,
                       "083000", "0.000551", "1.602563", 0.000551),
    "Philips counts to SUV": ("CNTS", 47, "134551", "141336", 1755000, 180000, 208230000, 6588,
                              "123000", "0.000728", None, 0.000728),
    "acquired a moment before the series": (
        "BQML", 65, "123515.000000", "123514.999995", 59936.854672596, 120000, 225e6, F18,
        "114100.000000", None, None, 0.0004069156854009332),
    "a series made later": ("BQML", 69, "134918.000000", "130348.234000", 0, 180000, 388e6, F18,
                            "120037.000000", None, None, 0.00026503312764157046),
    "a clock time alone": ("BQML", 102, "135431.843000", "141555.687000", 1372857.9232493, 180000, 412e6,
                           F18, "125000.000000", None, None, 0.0003721089202818729),
}  # fmt: skip


@pytest.mark.parametrize("name", PUBLISHED)
def test_factors_are_those_that_calculate_suv_publishes_for_real_headers(name):
    units, weight, series, acquired, reference, duration, dose, half_life, injected, *rest = (
        PUBLISHED[name]
    )
    suv, activity, expected = rest
    tags = {
        "Units": units, "PatientWeight": weight, "SeriesDate": "20201217", "SeriesTime": series,
        "AcquisitionDate": "20201217", "AcquisitionTime": acquired, "FrameReferenceTime": reference,
        "ActualFrameDuration": duration, "RadionuclideTotalDose": dose, "RadionuclideHalfLife": half_life,
        "RadiopharmaceuticalStartDateTime": injected if len(injected) > 13 else "",
        "RadiopharmaceuticalStartTime": injected if len(injected) <= 13 else "",
    }  # fmt: skip
    one = header(**tags)
    block = one.private_block(0x7053, "Philips PET Private Group", create=True)
    for element, text in ((0x00, suv), (0x09, activity)):
        if text:
            block.add_new(element, "DS", text)
    assert factor(one) == pytest.approx(expected, abs=1e-6, rel=2e-4)


def test_amounts_of_body_are_those_that_calculate_suv_publishes():
    """Its test has 75 kg, 1.85 m, a man and a dose of 100 Bq, so a hundredth of these amounts.

    Its lean mass by James is that with 120 for 128, which DICOM's LBMJAMES128 is not.
    """
    man = Person(75, 1.85, "M")
    assert amount("bodyweight", man) / 100 == 750
    assert amount("bsa", man) / 100 == pytest.approx(198.13758427117767, rel=1e-12)
    other = 627.7757487216948 - 10 * 8 * (75 / 185) ** 2
    assert amount("lean-james", man) / 100 == pytest.approx(other, rel=1e-12)
    assert amount("lean", man) / 100 == pytest.approx(609.1533588651974, rel=1e-12)


def test_amounts_of_body_of_women_and_of_sex_o():
    woman, other = Person(60, 1.65, "F"), Person(60, 1.65, "O")
    mass = 9270 * 60 / (8780 + 244 * 60 / 1.65**2)
    assert amount("lean", woman) == pytest.approx(1000 * mass)
    assert amount("lean-james", woman) == pytest.approx(1000 * (1.07 * 60 - 148 * (60 / 165) ** 2))
    both = (amount("lean", woman) + amount("lean", replace(woman, sex="M"))) / 2
    assert amount("lean", other) == pytest.approx(both)


def test_start_is_one_half_life_after_the_injection():
    """100 minutes are 6000 s: half the dose is left."""
    assert factor(header()) == pytest.approx(80_000 / 200e6)
    assert factor(header(DecayCorrection="ADMIN")) == pytest.approx(80_000 / 400e6)


def test_values_that_are_not_corrected_are_of_the_mean_activity_of_their_frame():
    one = header(DecayCorrection="NONE", CorrectedImage=["ATTN"], ActualFrameDuration=600_000)
    rate = log(2) / 6000
    mean = (1 - exp(-rate * 600)) / (rate * 600)  # of the activity at the frame's start
    assert factor(one) == pytest.approx(80_000 / (200e6 * mean), rel=1e-9)
    later = header(
        DecayCorrection="NONE",
        CorrectedImage=["ATTN"],
        ActualFrameDuration=600_000,
        AcquisitionTime="115000",
    )
    with pytest.raises(NoSuvError, match="slices are of several times"):
        factor(one, later)


@pytest.mark.parametrize(
    ("group", "owner", "element", "vr"),
    [(0x0009, "GEMS_PETD_01", 0x0D, "DT"), (0x0071, "SIEMENS MEDCOM HEADER", 0x22, "DT")],
)
@pytest.mark.parametrize("block", [0x10, 0x1C])
def test_the_scanners_own_scan_start_goes_first(group, owner, element, vr, block):
    one = header(SeriesTime="120000", AcquisitionTime="120000")
    one.add_new((group, block), "LO", owner)
    one.add_new((group, (block << 8) + element), vr, "20250101114000.00")
    assert factor(one) == pytest.approx(80_000 / 200e6)


@pytest.mark.parametrize(("maker", "within"), [("SIEMENS", True), ("GE MEDICAL SYSTEMS", False)])
def test_a_derived_series_counts_back_from_a_frames_reference_time(maker, within):
    """The second bed of a scan from 11:40 began at 11:43, and lasts 180 s."""
    middle = average_time(180.0, 6000.0) if within else 0.0
    tags = {
        "Manufacturer": maker, "SeriesTime": "150000", "AcquisitionTime": "114300",
        "FrameReferenceTime": (180 + middle) * 1000, "ActualFrameDuration": 180_000,
    }  # fmt: skip
    assert factor(header(**tags)) == pytest.approx(80_000 / 200e6, rel=1e-9)


def test_an_injection_before_midnight_is_of_the_day_before():
    one = header(
        SeriesTime="004000", AcquisitionTime="004000", RadiopharmaceuticalStartDateTime="",
        RadiopharmaceuticalStartTime="230000",
    )  # fmt: skip
    found, notes = factor_of([pet_of(one)], "bodyweight")
    assert found.factor == pytest.approx(80_000 / 200e6)
    assert notes == ["the injection has no date, and was taken as on the day before the scan"]


def test_offsets_from_utc_count_where_both_clocks_have_one():
    one = header(
        TimezoneOffsetFromUTC="+0200", RadiopharmaceuticalStartDateTime="20250101090000+0100"
    )
    assert factor(one) == pytest.approx(80_000 / 200e6)


def test_a_dose_of_megabecquerels_is_told():
    found, notes = factor_of([pet_of(header(RadionuclideTotalDose=400))], "bodyweight")
    assert found.factor == pytest.approx(80_000 / 200e6)
    assert notes == ["an injected dose of 400 Bq was taken as MBq"]


@pytest.mark.parametrize(
    ("units", "suv_type", "kind", "expected"),
    [
        ("GML", "BW", "bodyweight", 1.0),
        ("CM2ML", "BSA", "bsa", 1.0),
        ("GML", "LBMJANMA", "lean", 1.0),
        ("CM2ML", "", "bodyweight", 80_000 / (0.007184 * 80**0.425 * 175**0.725 * 1e4)),
        ("GML", "LBMJAMES128", "bodyweight", 80 / (1.1 * 80 - 128 * (80 / 175) ** 2)),
        ("GML", "IBW", "bodyweight", 80 / (48 + 1.06 * 23)),
    ],
)
def test_values_that_are_suv_already_go_from_one_amount_to_another(units, suv_type, kind, expected):
    one = header(Units=units, SUVType=suv_type)
    del one.RadiopharmaceuticalInformationSequence
    assert factor(one, kind=kind) == pytest.approx(expected)


def test_counts_of_philips_become_activity_by_its_second_factor():
    one = header(Units="CNTS")
    one.private_block(0x7053, "Philips PET Private Group", create=True).add_new(0x09, "DS", "2.5")
    assert factor(one) == pytest.approx(2.5 * 80_000 / 200e6)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"PatientWeight": ""}, "the patient's weight is not given"),
        ({"PatientWeight": 0}, "the patient's weight is not given"),
        ({"PatientWeight": 80_000}, "weight is too large to be in kg"),
        ({"RadionuclideTotalDose": ""}, "the injected dose is not given"),
        ({"RadionuclideHalfLife": ""}, "the half-life of the radionuclide is not given"),
        ({"RadiopharmaceuticalStartDateTime": ""}, "the time of injection is not given"),
        ({"RadiopharmaceuticalStartDateTime": "20250101120000"}, "1200 s after the time"),
        (
            {"RadiopharmaceuticalStartDateTime": "20240101100000", "RadionuclideHalfLife": 40_000},
            "half-lives before the scan",
        ),
        ({"DecayCorrection": ""}, "DecayCorrection is missing"),
        ({"CorrectedImage": ["DECY"]}, "not corrected for ATTN"),
        ({"CorrectedImage": "ATTN"}, "not corrected for DECY"),
        ({"CorrectedImage": ["DECY", "RADL"], "Units": "GML"}, "not corrected for ATTN"),
        ({"Units": ""}, "no Units"),
        ({"Units": "CNTS"}, "values are counts"),
        ({"Units": "GML", "SUVType": "LBM"}, "of SUVType LBM"),
        ({"RadiopharmaceuticalInformationSequence": []}, "0 radiopharmaceuticals"),
    ],
)
def test_what_lacks_or_contradicts_is_refused_by_name(changes, words):
    with pytest.raises(NoSuvError, match=words):
        factor(header(**changes))


@pytest.mark.parametrize(("kind", "without"), [("lean", "PatientSex"), ("bsa", "PatientSize")])
def test_kinds_that_take_more_say_what_lacks(kind, without):
    with pytest.raises(NoSuvError, match=r"sex|height"):
        factor(header(**{without: ""}), kind=kind)


def test_slices_of_several_doses_are_refused():
    with pytest.raises(NoSuvError, match="slices differ in RadionuclideTotalDose"):
        factor(header(), header(RadionuclideTotalDose=300e6))


@given(st.floats(1, 7200), st.floats(60, 1e6))
def test_the_mean_activity_of_a_frame_is_that_at_its_average_time(duration, half_life):
    rate = log(2) / half_life
    mean = (1 - exp(-rate * duration)) / (rate * duration)
    assert exp(-rate * average_time(duration, half_life)) == pytest.approx(mean, rel=1e-6)


@given(st.floats(0, 9), st.floats(1, 1e6))
def test_a_dose_halves_by_half_lives(halves, half_life):
    assert decayed(8.0, half_life, halves * half_life) == pytest.approx(8 * 0.5**halves)


def test_what_is_read_is_plain_values():
    read = pet_of(header())
    assert isinstance(read, Pet)
    assert read.series == datetime(2025, 1, 1, 10) + timedelta(minutes=100)


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        (
            "bodyweight",
            {"FrameReferenceTime": 1e300, "ActualFrameDuration": 1000, "SeriesTime": "12"},
        ),
        ("lean", {"PatientSize": 1e-200}),
        ("lean-james", {"PatientSize": 1e-200}),
        ("bodyweight", {"RadionuclideTotalDose": 1e308, "PatientWeight": 1e-300}),
    ],
)
def test_numbers_that_nothing_can_have_are_a_finding(kind, changes):
    reading = Reading("a", ReadRules(suv=(kind,)), ReadRules().findings())
    with pytest.raises(InputError) as refused:
        suv_factors(reading, lambda kind: factor_of([pet_of(header(**changes))], kind))
    assert refused.value.code == "E_SUV"


def test_messages_keep_no_size_of_the_patient():
    with pytest.raises(NoSuvError) as refused:
        amount("lean", Person(80, 175, "M"))
    assert "175" not in refused.value.text
