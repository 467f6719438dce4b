"""The factors of SUV that are asked of one source: found from its headers, told, or refused."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from gpuprep.io.rules import Reading
from gpuprep.io.suv import Factor, NoSuvError

_ADVICE = "Correct the headers, or leave the step suv out for this channel."


def suv_factors(
    reading: Reading, find: Callable[[str], tuple[Factor, list[str]]]
) -> dict[str, dict[str, Any]]:
    """By the kinds that are asked for: factor and formula. What had to be assumed is a finding.

    Raises:
        InputError: E_SUV, unless the policy goes on without.
    """
    found: dict[str, dict[str, Any]] = {}
    told: list[str] = []
    try:
        for kind in reading.rules.suv:
            factor, notes = _within_numbers(find, kind)
            found[kind] = factor.to_json()
            told += notes
    except NoSuvError as error:
        advice = " ".join(filter(None, (error.advice, _ADVICE)))
        reading.report("E_SUV", f"there is no SUV: {error.text}", advice=advice)
        return {}
    for note in dict.fromkeys(told):
        reading.report(
            "W_SUV", f"for SUV, {note}", advice="Compare the SUV of a liver or a phantom."
        )
    return found


def _within_numbers(
    find: Callable[[str], tuple[Factor, list[str]]], kind: str
) -> tuple[Factor, list[str]]:
    """A factor that voxels can be multiplied by; headers may hold any number.

    Raises:
        NoSuvError: there is none.
    """
    try:
        factor, notes = find(kind)
    except (ArithmeticError, ValueError):  # of times and of logarithms, too
        factor, notes = Factor(math.nan, ""), []
    if not 0 < factor.factor < math.inf:
        raise NoSuvError("times, dose, half-life and body give no factor above 0 that is a number")
    return factor, notes
