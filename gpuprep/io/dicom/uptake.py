"""From the headers of a PET series to the factor of its SUV, or to the reason why there is none.

Units: BQML goes by dose and time. CNTS of Philips goes by a factor in a private tag, to SUV (7053,xx00) or to
Bq/ml (7053,xx09). GML and CM2ML are SUV already. These are QIBA's rules, in IBSI-SUV's reading of GML (by its
SUV Type).

What Decay Correction corrects values to:

- ADMIN: the injection.
- START: the start of the scan. That is what the scanner says in a private tag (GE (0009,xx0D), Siemens
  (0071,xx22)); else the series' date and time, unless these are after the first acquisition, as in a series
  that was made of another one; else it is counted back from a frame's own reference time, to its mean
  activity (QIBA; without the mean for GE, IBSI-SUV); else the first acquisition.
- NONE: nothing; values are of the mean activity of their frame (IBSI-SUV). Frames of several times would take
  a factor each, and are refused.

Of dates that contradict each other the clocks are taken where these leave one answer (see ``days``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime, timedelta

from gpuprep.io.dicom.days import on_the_day_of, seconds_between, seconds_by_clock
from gpuprep.io.dicom.pet import Pet
from gpuprep.io.suv import (
    Factor,
    NoSuvError,
    amount,
    average_time,
    decayed,
    dose_in_becquerel,
)

_COMMON = frozenset(field.name for field in fields(Pet)) - {
    "acquired", "frame_reference", "duration", "series", "scan_start",
}  # fmt: skip
_NAMES = {
    "units": "Units", "suv_type": "SUVType", "decay": "DecayCorrection", "corrected": "CorrectedImage",
    "manufacturer": "Manufacturer", "dose": "RadionuclideTotalDose", "half_life": "RadionuclideHalfLife",
    "injected": "RadiopharmaceuticalStartDateTime", "injected_clock": "RadiopharmaceuticalStartTime",
    "philips_suv": "Philips' SUV factor", "philips_activity": "Philips' activity factor",
    "tracers": "RadiopharmaceuticalInformationSequence", "person": "the patient's weight, size or sex",
}  # fmt: skip
_READY = {
    "": "bodyweight",
    "BW": "bodyweight",
    "LBMJANMA": "lean",
    "LBMJAMES128": "lean-james",
    "IBW": "ideal",
}
_SAME_TIME = timedelta(seconds=1)  # clocks of one scan are written in full seconds, or not
_FAR_OFF = timedelta(seconds=60)
_OWN_TIME = "the scanner's own scan start"


def factor_of(slices: Sequence[Pet], kind: str) -> tuple[Factor, list[str]]:
    """The factor for an SUV of a kind (see ``suv``), and what had to be assumed for it.

    Raises:
        NoSuvError: a tag lacks, or tags contradict.
    """
    one = _common(slices)
    notes: list[str] = []
    match one.units:
        case "BQML":
            return _of_activity(slices, kind, 1.0, "Bq/ml", notes), notes
        case "CNTS" if one.philips_suv:
            text = "Philips' SUV factor (7053,xx00)"
            return _of_ready(one, "bodyweight", kind, one.philips_suv, text), notes
        case "CNTS" if one.philips_activity:
            text = "counts × Philips' activity factor (7053,xx09)"
            return _of_activity(slices, kind, one.philips_activity, text, notes), notes
        case "GML" if one.suv_type in _READY:
            if not one.suv_type:
                notes.append("values in g/ml without SUVType were taken as SUV by body weight")
            return _of_ready(one, _READY[one.suv_type], kind, 1.0, "SUV as stored"), notes
        case "CM2ML" if one.suv_type in ("", "BSA"):
            return _of_ready(one, "bsa", kind, 1.0, "SUV as stored"), notes
    if one.units == "CNTS":
        raise NoSuvError("values are counts, and no tag of Philips says what they mean")
    if one.units in ("GML", "CM2ML"):
        raise NoSuvError(
            f"values in {one.units} of SUVType {one.suv_type} are none that this converts"
        )
    raise NoSuvError(f"values are in {one.units or 'no Units'}, not BQML, CNTS, GML or CM2ML")


def _common(slices: Sequence[Pet]) -> Pet:
    one = slices[0]
    for other in slices[1:]:
        for name in _COMMON:
            if getattr(one, name) != getattr(other, name):
                raise NoSuvError(f"slices differ in {_NAMES[name]}")
    return one


def _of_ready(one: Pet, source: str, kind: str, scale: float, text: str) -> Factor:
    """Values that are SUV of one kind already, or are so by a factor."""
    if one.corrected and "ATTN" not in one.corrected:
        raise NoSuvError(f"values are not corrected for ATTN, but for {', '.join(one.corrected)}")
    if source == kind:
        return Factor(scale, text)
    factor = scale * amount(kind, one.person) / amount(source, one.person)
    return Factor(factor, f"{text} × amount of {kind} ÷ amount of {source}")


def _of_activity(
    slices: Sequence[Pet], kind: str, scale: float, text: str, notes: list[str]
) -> Factor:
    one = slices[0]
    needed = {"ATTN"} if one.decay == "NONE" else {"ATTN", "DECY"}
    if missing := needed - set(one.corrected):
        made = ", ".join(one.corrected) or "nothing"
        raise NoSuvError(
            f"values are not corrected for {' and '.join(sorted(missing))}, but for {made}"
        )
    if one.tracers != 1:
        raise NoSuvError(f"{one.tracers} radiopharmaceuticals are named, not one")
    dose, note = dose_in_becquerel(one.dose)
    seconds, until = _elapsed(slices, notes)
    notes += [note] * bool(note)
    factor = scale * amount(kind, one.person) / decayed(dose, one.half_life, seconds)
    return Factor(factor, f"{text} × amount of {kind} ÷ dose, decayed until {until}")


def _elapsed(slices: Sequence[Pet], notes: list[str]) -> tuple[float, str]:
    """Seconds from the injection to the time that values are corrected to, and what that time is."""
    one = slices[0]
    if one.decay == "ADMIN":
        return 0.0, "the injection"
    if one.decay not in ("START", "NONE"):
        raise NoSuvError(f"DecayCorrection is {one.decay or 'missing'}, not START, ADMIN or NONE")
    if one.half_life is None or one.half_life < 0:
        raise NoSuvError("the half-life of the radionuclide is not given")
    moment, name = _start(slices, notes) if one.decay == "START" else _within_frame(slices)
    if one.injected is not None:
        return seconds_between(one.injected, moment, one.half_life, notes), name
    if one.injected_clock is None:
        raise NoSuvError("the time of injection is not given")
    return seconds_by_clock(one.injected_clock, moment, one.half_life, notes), name


def _start(slices: Sequence[Pet], notes: list[str]) -> tuple[datetime, str]:
    """The time that START means."""
    own = {each.scan_start for each in slices}
    acquired = [each.acquired for each in slices if each.acquired is not None]
    if len(own) == 1 and (found := own.pop()) is not None:
        return on_the_day_of(min(acquired, default=None), found, notes), _OWN_TIME
    series = {each.series for each in slices}
    moment = series.pop() if len(series) == 1 else None
    counted = _counted_back(slices)
    if moment is not None and (not acquired or moment <= min(acquired) + _SAME_TIME):
        if counted is not None and abs(counted - moment) > _FAR_OFF:
            apart = (counted - moment).total_seconds()
            notes.append(
                f"the scan's start by its frames is {apart:+.0f} s from that of the series, which was taken"
            )
        return moment, "the time of the series"
    if counted is not None:
        return counted, "the start counted back from a frame's reference time"
    if not acquired:
        raise NoSuvError("neither series nor slices have a date and time")
    notes.append("the first acquisition was taken as the scan's start, as no frame tells that")
    return min(acquired), "the first acquisition"


def _counted_back(slices: Sequence[Pet]) -> datetime | None:
    timed = [
        each
        for each in slices
        if each.acquired and (each.frame_reference or 0) > 0 and (each.duration or 0) > 0
    ]
    if not timed:
        return None
    one = min(timed, key=lambda each: each.acquired or datetime.max)
    assert one.acquired is not None
    assert one.frame_reference is not None
    assert one.duration is not None
    assert one.half_life is not None
    within = (
        0.0
        if one.manufacturer.upper().startswith("GE")
        else average_time(one.duration, one.half_life)
    )
    return one.acquired + timedelta(seconds=within - one.frame_reference)


def _within_frame(slices: Sequence[Pet]) -> tuple[datetime, str]:
    """The time of mean activity of a frame whose values are not corrected."""
    one = slices[0]
    if len({(each.acquired, each.duration) for each in slices}) > 1:
        raise NoSuvError(
            "values are not corrected for decay, and slices are of several times",
            "Have the scanner correct them to the start of the scan.",
        )
    if one.acquired is None or not (one.duration or 0) > 0:
        raise NoSuvError("AcquisitionDate, AcquisitionTime or ActualFrameDuration is not given")
    assert one.half_life is not None
    assert one.duration is not None
    within = average_time(one.duration, one.half_life)
    return one.acquired + timedelta(seconds=within), "the mean activity of the frame"
