"""Numbers with units, as people read and write them."""

from __future__ import annotations

import re

_PREFIXES = ("", "K", "M", "G", "T")


def human_bytes(number: float) -> str:
    """A byte count with a decimal unit.

    >>> human_bytes(1_300_000)
    '1.3 MB'
    """
    for unit in ("B", "kB", "MB", "GB"):
        if number < 1000:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} TB"


def human_seconds(seconds: float) -> str:
    """A duration as a person says it.

    >>> human_seconds(4.2), human_seconds(200), human_seconds(7500)
    ('4.2 s', '3 min 20 s', '2 h 5 min')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min"


def parse_bytes(given: int | str) -> int:
    """Bytes in a text with a unit or a plain number.

    >>> parse_bytes("16GiB"), parse_bytes("500 MB"), parse_bytes(4096)
    (17179869184, 500000000, 4096)

    Raises:
        ValueError: it is no such text.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?) ?([KMGT]?)(i?)B?", str(given), re.IGNORECASE)
    if found is None or not float(found[1]):
        raise ValueError("must be a number of bytes above 0, such as 16GiB or 500MB")
    power = _PREFIXES.index(found[2].upper())
    return int(float(found[1]) * (1024 if found[3] else 1000) ** power)
