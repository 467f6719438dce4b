"""Orientation codes: three letters that say which patient directions the axes x, y, z follow."""

from __future__ import annotations

from functools import lru_cache

LETTERS = ("LR", "PA", "SI")
"""Positive and negative letter of each LPS axis."""


def check_orientation(code: str) -> str:
    """Returns the upper-case code; raises ValueError unless it names each patient axis once."""
    parse_orientation(code)
    return code.upper()


@lru_cache(64)
def parse_orientation(code: str) -> tuple[list[int], list[int]]:
    """For each of x, y, z its LPS axis, and 1 or -1 for the way along it; raises as ``check_orientation``."""
    axes, signs = [], []
    for letter in code.upper():
        axis = next((i for i, pair in enumerate(LETTERS) if letter in pair), None)
        if axis is None:
            break
        axes.append(axis)
        signs.append(1 if letter == LETTERS[axis][0] else -1)
    if sorted(axes) != [0, 1, 2] or len(code) != 3:
        raise ValueError(
            f"orientation {code!r}: give three letters, one each of L/R, P/A and S/I, such as LPS"
        )
    return axes, signs
