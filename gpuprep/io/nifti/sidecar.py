"""SUV of a NIfTI file by its JSON files, as BIDS has them for PET.

Keys and units: BIDS 1.10, Positron Emission Tomography
(https://bids-specification.readthedocs.io/en/stable/modality-specific-files/positron-emission-tomography.html).
BIDS keeps no weight in the sidecar: dcm2niix's PatientWeight, PatientSize and PatientSex are read, and
BodyWeight and BodyHeight in kg and m. Half-lives: dcm2niix's RadionuclideHalfLife, else that of
TracerRadionuclide, in seconds, from the evaluations of the Laboratoire National Henri Becquerel (http://www.lnhb.fr/nuclear-data).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gpuprep.io.limits import check_inside
from gpuprep.io.nifti.inherited import sidecars_by_folder
from gpuprep.io.rules import ReadRules
from gpuprep.io.suv import (
    Factor,
    NoSuvError,
    Person,
    amount,
    average_time,
    decayed,
    dose_in_becquerel,
)

_MOST_BYTES = 4 << 20
_HALF_LIVES = {
    "C11": 1221.66, "N13": 597.9, "O15": 122.46, "F18": 6586.2, "CU64": 45724.0, "GA68": 4070.1,
    "RB82": 76.3, "ZR89": 282060.0, "I124": 360800.0,
}  # fmt: skip
_CONCENTRATION = {
    "bq/ml": 1.0,
    "kbq/ml": 1e3,
    "mbq/ml": 1e6,
    "bqml": 1.0,
    "bq/cc": 1.0,
    "kbq/cc": 1e3,
}
_ACTIVITY = {
    "bq": 1.0,
    "kbq": 1e3,
    "mbq": 1e6,
    "gbq": 1e9,
    "uci": 3.7e4,
    "mci": 3.7e7,
    "ci": 3.7e10,
}
_READY = {"g/ml": "bodyweight", "gml": "bodyweight", "suv": "bodyweight", "suvbw": "bodyweight"}
_TELLING = ("InjectedRadioactivity", "TracerRadionuclide", "TracerName")


def sidecars_of(path: Path, rules: ReadRules) -> tuple[list[Path], dict[str, Any]] | None:
    """The JSON files that tell of an image, and what they say together; None where that is not of PET.

    Nearer ones override those further up, see ``inherited``.

    Raises:
        NoSuvError: one is no JSON object, or several of one folder apply.
    """
    folders = sidecars_by_folder(path)
    told: dict[str, Any] = {}
    for file in (file for files in folders for file in files):
        told |= {key: each for key, each in _object_in(file, rules).items() if each is not None}
    if told.get("Modality", "PT") != "PT" or not any(key in told for key in _TELLING):
        return None
    for files in folders:
        if len(files) > 1:
            names = " and ".join(file.name for file in files)
            text = f"{names} in {files[0].parent} both apply to it, where one of a folder may"
            raise NoSuvError(text, "Keep one of them, or give each its own entities.")
    return [file for (file,) in folders], told


def _object_in(file: Path, rules: ReadRules) -> dict[str, Any]:
    check_inside(file, rules)
    if file.stat().st_size > _MOST_BYTES:
        raise NoSuvError(f"{file.name} is too large for a sidecar")
    try:
        found = json.loads(file.read_bytes())
    except (ValueError, RecursionError):
        raise NoSuvError(f"{file.name} is no JSON") from None
    if not isinstance(found, dict):
        raise NoSuvError(f"{file.name} holds no JSON object")
    return found


def factor_of(told: Mapping[str, Any], kind: str) -> tuple[Factor, list[str]]:
    """The factor for an SUV of a kind (see ``suv``), and what had to be assumed for it.

    Raises:
        NoSuvError: a key lacks, or has another unit.
    """
    unit = _unit(told, "Units")
    person = Person(
        _first(told, "BodyWeight", "PatientWeight"),
        _first(told, "BodyHeight", "PatientSize"),
        str(told.get("PatientSex") or told.get("Sex") or "").strip().upper()[:1],
    )
    if (source := _READY.get(unit)) is not None:
        factor = 1.0 if source == kind else amount(kind, person) / amount(source, person)
        return Factor(factor, "SUV as stored"), []
    if unit not in _CONCENTRATION:
        raise NoSuvError(f"Units are {told.get('Units')!r}, not Bq/mL or kBq/mL")
    activity = _unit(told, "InjectedRadioactivityUnits")
    if activity not in _ACTIVITY:
        text = f"InjectedRadioactivityUnits are {told.get('InjectedRadioactivityUnits')!r}"
        raise NoSuvError(f"{text}, not Bq, MBq or mCi")
    dose, note = dose_in_becquerel(
        _scaled(_number(told, "InjectedRadioactivity"), _ACTIVITY[activity])
    )
    half_life = _half_life(told)
    seconds, until = _elapsed(told, half_life)
    factor = _CONCENTRATION[unit] * amount(kind, person) / decayed(dose, half_life, seconds)
    formula = f"{told['Units']} × amount of {kind} ÷ dose, decayed until {until}"
    return Factor(factor, formula), [note] * bool(note)


def _elapsed(told: Mapping[str, Any], half_life: float) -> tuple[float, str]:
    """Seconds from the injection to the time that values are corrected to; both from TimeZero."""
    injected = _number(told, "InjectionStart")
    if injected is None:
        raise NoSuvError("InjectionStart is not given")
    if told.get("ImageDecayCorrected") is True:
        corrected = _number(told, "ImageDecayCorrectionTime")
        if corrected is None:
            raise NoSuvError("ImageDecayCorrectionTime is not given")
        return corrected - injected, "ImageDecayCorrectionTime"
    if told.get("ImageDecayCorrected") is not False:
        raise NoSuvError("ImageDecayCorrected is not given")
    starts, durations = (_list(told, key) for key in ("FrameTimesStart", "FrameDuration"))
    if len(starts) != 1 or len(durations) != 1 or durations[0] <= 0:
        raise NoSuvError(
            "values are not corrected for decay, and are not of one frame with start and duration",
            "Correct them for decay to one time.",
        )
    within = average_time(durations[0], half_life)
    return starts[0] + within - injected, "the mean activity of the frame"


def _half_life(told: Mapping[str, Any]) -> float:
    given = _number(told, "RadionuclideHalfLife")
    if given is not None and given > 0:
        return given
    name = str(told.get("TracerRadionuclide") or "")
    letters = "".join(filter(str.isalpha, name)).upper()
    mass = "".join(filter(str.isdigit, name))
    if letters + mass not in _HALF_LIVES:
        raise NoSuvError(
            f"TracerRadionuclide is {name!r}, whose half-life is not known here",
            "Give RadionuclideHalfLife, in seconds.",
        )
    return _HALF_LIVES[letters + mass]


def _unit(told: Mapping[str, Any], key: str) -> str:
    return str(told.get(key) or "").replace(" ", "").replace("μ", "u").replace("µ", "u").lower()


def _first(told: Mapping[str, Any], *keys: str) -> float | None:
    return next((found for key in keys if (found := _number(told, key)) is not None), None)


def _number(told: Mapping[str, Any], key: str) -> float | None:
    found = told.get(key)
    if isinstance(found, bool) or not isinstance(found, int | float):
        return None
    try:
        number = float(found)
    except OverflowError:  # a whole number may be of any size
        return None
    return number if math.isfinite(number) else None


def _list(told: Mapping[str, Any], key: str) -> list[float]:
    found = told.get(key)
    each = found if isinstance(found, list) else [found]
    numbers = [_number({key: one}, key) for one in each]
    return [number for number in numbers if number is not None]


def _scaled(number: float | None, by: float) -> float | None:
    return None if number is None else number * by
