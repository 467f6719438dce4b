"""Numbers as people read them."""

from __future__ import annotations

import math

_FEW = 200  # cases that are counted rather than given as a share


def number_text(value: float, unit: str = "") -> str:
    """A number with three or four digits that count, and its unit.

    >>> number_text(0.70312, "mm"), number_text(12345678, "bytes"), number_text(5.0, "mm")
    ('0.703 mm', '12,345,678 bytes', '5 mm')
    """
    if not math.isfinite(value):
        return "none"
    if value == int(value) or abs(value) >= 1000:
        text = f"{value:,.0f}"
    else:
        text = f"{value:.3g}" if abs(value) < 100 else f"{value:.1f}"
    return f"{text} {unit}".rstrip()


def shown(number: int, count: int) -> str:
    """So many of all cases.

    >>> shown(39, 40), shown(9812, 10000)
    ('39 of 40 cases', '98.1 % of cases')
    """
    if count <= _FEW:
        return f"{number} of {count} cases"
    share = min(100 * number / count, 99.9) if number < count else 100
    return f"{share:.3g} % of cases"
