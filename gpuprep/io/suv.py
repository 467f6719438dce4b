"""Standardised uptake values (SUV): activity over dose per amount of body, as one factor for a whole series.

    SUV = value · amount(kind) / (dose · 2^(−seconds / half-life))

with the dose as injected, decayed over the seconds from the injection to the time that the values are
corrected to. The amounts of body:

- ``bodyweight``: the weight in g.
- ``lean``: Janmahasatian et al., Clin Pharmacokinet 2005;44:1051, which IBSI-SUV recommends:
  9270 w / (6680 + 216 b) kg for men and 9270 w / (8780 + 244 b) kg for women, b being the body mass index.
- ``lean-james``: James, Research on Obesity 1976, DICOM's LBMJAMES128: 1.10 w − 128 (w/h)² kg for men and
  1.07 w − 148 (w/h)² kg for women, with h in cm. Some code has 120 in place of 128.
- ``ideal``: Sugawara et al., Radiology 1999;213:521, DICOM's IBW, of values that are SUV by it already:
  48 + 1.06 (h − 152) kg for men and 45.5 + 0.91 (h − 152) kg for women, with h in cm.
- ``bsa``: DuBois & DuBois, Arch Intern Med 1916;17:863: 0.007184 w^0.425 h^0.725 m², taken in cm².

For a person whose sex is given as O the mean of both masses is taken (IBSI-SUV).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

_HEAVIEST, _TALLEST = 700.0, 3.0  # kg and m; beyond are other units
MOST_HALF_LIVES = 10.0
"""After so many no scan is made."""
LONGEST_BEFORE = 600.0
"""Seconds by which a dynamic scan may begin before the injection."""
_LEAST_DOSE = 1e4  # Bq; below, megabecquerels were meant (IBSI-SUV)
_MEGA = 1e6


class NoSuvError(Exception):
    """Why there is no SUV: ``text`` says what lacks or contradicts, and ``advice`` what to do."""

    def __init__(self, text: str, advice: str = "") -> None:
        super().__init__(text)
        self.text = text
        self.advice = advice


@dataclass(frozen=True, slots=True)
class Person:
    """Whose body it is: weight in kg and height in m, None where they are not given; sex M, F, O or empty."""

    weight: float | None
    height: float | None
    sex: str = ""


@dataclass(frozen=True, slots=True)
class Factor:
    """What values are multiplied by, and how that was found; no field of the patient's."""

    factor: float
    formula: str

    def to_json(self) -> dict[str, Any]:
        return {"factor": self.factor, "formula": self.formula}


def amount(kind: str, person: Person) -> float:
    """The amount of body of a kind: g, or cm² for ``bsa``.

    Raises:
        NoSuvError: what it takes is not given, or is no number of its unit.
    """
    weight = _given(person.weight, "weight", "kg", _HEAVIEST)
    if kind == "bodyweight":
        return weight * 1000
    height = _given(person.height, "height", "m", _TALLEST)
    if kind == "bsa":
        return float(0.007184 * weight**0.425 * (height * 100) ** 0.725 * 1e4)
    if person.sex not in ("M", "F", "O"):
        raise NoSuvError(
            f"SUV by {kind} mass takes the patient's sex, which is not given as M, F or O"
        )
    sexes = "MF" if person.sex == "O" else person.sex
    masses = [_lean(kind, weight, height, male=sex == "M") for sex in sexes]
    if min(masses) <= 0:
        raise NoSuvError("weight and height give no lean mass above 0")
    return 1000 * math.fsum(masses) / len(masses)


def _lean(kind: str, weight: float, height: float, *, male: bool) -> float:
    if kind == "ideal":
        return (48 + 1.06 * (height * 100 - 152)) if male else (45.5 + 0.91 * (height * 100 - 152))
    if kind == "lean-james":
        a, b = (1.10, 128) if male else (1.07, 148)
        return a * weight - b * (weight / (height * 100)) ** 2
    a, b = (6680, 216) if male else (8780, 244)
    return 9270 * weight / (a + b * weight / height**2)


def _given(number: float | None, name: str, unit: str, most: float) -> float:
    if number is None or not number > 0:
        raise NoSuvError(f"the patient's {name} is not given")
    if number > most:
        raise NoSuvError(f"the patient's {name} is too large to be in {unit}")
    return number


def dose_in_becquerel(dose: float | None) -> tuple[float, str]:
    """The injected dose, and a word if it had to be taken as megabecquerel.

    Raises:
        NoSuvError: none is given.
    """
    if dose is None or not dose > 0:
        raise NoSuvError("the injected dose is not given")
    if dose < _LEAST_DOSE:
        return dose * _MEGA, f"an injected dose of {dose:g} Bq was taken as MBq"
    return dose, ""


def decayed(dose: float, half_life: float | None, seconds: float) -> float:
    """What is left of a dose.

    Raises:
        NoSuvError: the half-life is not given, or no scan is made so many seconds after an injection.
    """
    if half_life is None or not half_life > 0:
        raise NoSuvError("the half-life of the radionuclide is not given")
    if seconds < -LONGEST_BEFORE:
        raise NoSuvError(
            f"the injection is {-seconds:.0f} s after the time that the values are corrected to"
        )
    if seconds > MOST_HALF_LIVES * half_life:
        raise NoSuvError(
            f"the injection is {seconds / half_life:.0f} half-lives before the scan",
            "Were the dates changed when the files were made anonymous?",
        )
    return float(dose * 2.0 ** (-seconds / half_life))


def average_time(duration: float, half_life: float) -> float:
    """When within a frame the activity is its mean: ``ln(d / (1 − e^−d)) / λ``, with d = λ · duration."""
    rate = math.log(2) / half_life
    decay = rate * duration
    return math.log(decay / -math.expm1(-decay)) / rate if decay > 1e-12 else duration / 2
