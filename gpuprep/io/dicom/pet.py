"""What the header of a PET slice says that SUV takes, as plain values that stay in this process.

Tags and their meaning: DICOM PS3.3 C.8.9 (PET series, isotope, image); private ones as QIBA's vendor-neutral
pseudo-code (https://qibawiki.rsna.org, Standardized Uptake Value) and the manual of IBSI-SUV
(https://oncoray.github.io/suv_computation/suv.html) name them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pydicom.dataset import Dataset

from gpuprep.io.dicom.header import value
from gpuprep.io.suv import Person

_GE = (0x0009, "GEMS_PETD_01")
_SIEMENS = (0x0071, "SIEMENS MEDCOM HEADER")
_PHILIPS = (0x7053, "Philips PET Private Group")
_BLOCKS = range(0x10, 0x20)  # in which private elements are looked for
_OFFSET = re.compile(r"([+-])(\d\d)(\d\d)$")


def _private_tags() -> Iterator[int]:
    for (group, _), elements in ((_GE, (0x0D,)), (_SIEMENS, (0x22,)), (_PHILIPS, (0x00, 0x09))):
        for block in _BLOCKS:
            yield (group << 16) + block
            yield from ((group << 16) + (block << 8) + element for element in elements)


PET_TAGS: list[str | int] = [
    "Units", "SUVType", "DecayCorrection", "CorrectedImage", "Manufacturer", "SeriesDate", "SeriesTime",
    "AcquisitionDate", "AcquisitionTime", "FrameReferenceTime", "ActualFrameDuration", "PatientWeight",
    "PatientSize", "PatientSex", "RadiopharmaceuticalInformationSequence", "TimezoneOffsetFromUTC",
    *_private_tags(),
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Pet:
    """One slice; None, or empty, for what its header does not say.

    Attributes:
        units: BQML, CNTS, GML or CM2ML.
        suv_type: Of values that are SUV already: BW, BSA, LBMJANMA …
        decay: Decay Correction: START, ADMIN or NONE.
        corrected: Corrections made: ATTN, DECY …
        series: Series date and time.
        acquired: Acquisition date and time: when this bed position began.
        frame_reference: Seconds from the time that values are corrected to, to the frame's mean activity.
        duration: Of the frame, in seconds.
        dose: As injected, Bq.
        half_life: Seconds.
        injected: Date and time of injection …
        injected_clock: … or seconds of the day, where only these are given.
        scan_start: The scanner's own time that values are corrected to, in a private tag of GE or Siemens.
        philips_suv: From counts to SUV by weight …
        philips_activity: … and to Bq/ml.
        tracers: How many radiopharmaceuticals are named.
    """

    units: str
    suv_type: str
    decay: str
    corrected: tuple[str, ...]
    manufacturer: str
    series: datetime | None
    acquired: datetime | None
    frame_reference: float | None
    duration: float | None
    dose: float | None
    half_life: float | None
    injected: datetime | None
    injected_clock: float | None
    scan_start: datetime | None
    philips_suv: float | None
    philips_activity: float | None
    tracers: int
    person: Person


def pet_of(dataset: Dataset) -> Pet:
    """What a classic PET file says."""
    tracers = list(value(dataset, "RadiopharmaceuticalInformationSequence", "a sequence") or [])
    tracer = tracers[0] if tracers else Dataset()
    offset = _offset(_text(dataset, "TimezoneOffsetFromUTC"))
    private = _private(dataset, *_GE, 0x0D) or _private(dataset, *_SIEMENS, 0x22)
    corrected = value(dataset, "CorrectedImage") or ()
    return Pet(
        units=_text(dataset, "Units"),
        suv_type=_text(dataset, "SUVType"),
        decay=_text(dataset, "DecayCorrection"),
        corrected=(corrected,) if isinstance(corrected, str) else tuple(map(str, corrected)),
        manufacturer=_text(dataset, "Manufacturer"),
        series=_moment(_text(dataset, "SeriesDate") + _text(dataset, "SeriesTime"), offset),
        acquired=_moment(
            _text(dataset, "AcquisitionDate") + _text(dataset, "AcquisitionTime"), offset
        ),
        frame_reference=_seconds(_number(value(dataset, "FrameReferenceTime"))),
        duration=_seconds(_number(value(dataset, "ActualFrameDuration"))),
        dose=_number(value(tracer, "RadionuclideTotalDose")),
        half_life=_number(value(tracer, "RadionuclideHalfLife")),
        injected=_moment(_text(tracer, "RadiopharmaceuticalStartDateTime"), offset),
        injected_clock=_clock(_text(tracer, "RadiopharmaceuticalStartTime")),
        scan_start=_moment(_words(private), offset),
        philips_suv=_number(_private(dataset, *_PHILIPS, 0x00)),
        philips_activity=_number(_private(dataset, *_PHILIPS, 0x09)),
        tracers=len(tracers),
        person=Person(
            _number(value(dataset, "PatientWeight")),
            _number(value(dataset, "PatientSize")),
            _text(dataset, "PatientSex").upper(),
        ),
    )


def _text(dataset: Dataset, keyword: str) -> str:
    return _words(value(dataset, keyword))


def _words(found: Any) -> str:
    text = found.decode("ascii", "replace") if isinstance(found, bytes) else str(found or "")
    return text.strip().strip("\0").strip()


def _number(found: Any) -> float | None:
    """A finite number; None where there is none, or it is 0."""
    try:
        number = float(_words(found))
    except ValueError:
        return None
    return number if math.isfinite(number) and number else None


def _seconds(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000


def _private(dataset: Dataset, group: int, owner: str, element: int) -> Any:
    """A private element of an owner, in whichever block it has."""
    for block in _BLOCKS:
        creator = dataset.get((group, block))
        if creator is not None and _words(creator.value) == owner:
            found = dataset.get((group, (block << 8) + element))
            return None if found is None else found.value
    return None


def _moment(text: str, offset: timedelta | None) -> datetime | None:
    """Date and time as the clock at the scanner showed them; None unless both are there."""
    zone = _offset(text)
    digits, _, fraction = _OFFSET.sub("", text).partition(".")
    if len(digits) < 12 or not digits.isdecimal():
        return None
    try:
        found = datetime.strptime(digits[:14].ljust(14, "0"), "%Y%m%d%H%M%S")
    except ValueError:
        return None
    found += timedelta(seconds=_fraction(fraction))
    return found if zone is None or offset is None else found - zone + offset


def _clock(text: str) -> float | None:
    digits, _, fraction = text.partition(".")
    if len(digits) < 4 or not digits.isdecimal():
        return None
    digits = digits.ljust(6, "0")
    hours, minutes, seconds = int(digits[:2]), int(digits[2:4]), int(digits[4:6])
    return hours * 3600.0 + minutes * 60 + seconds + _fraction(fraction)


def _fraction(digits: str) -> float:
    return float(f"0.{digits}") if digits.isdecimal() else 0.0


def _offset(text: str) -> timedelta | None:
    found = _OFFSET.search(text)
    if found is None:
        return None
    ahead = timedelta(hours=int(found[2]), minutes=int(found[3]))
    return -ahead if found[1] == "-" else ahead
