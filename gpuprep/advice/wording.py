"""Numbers and counts as sentences have them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

_SHOWN = 5


def times(numbers: Iterable[float]) -> str:
    """Lengths along axes, as ``0.77 x 0.77 x 1``."""
    return " x ".join(f"{number:.4g}" for number in numbers)


def rounded(number: float) -> float:
    """To seven digits, as a config has it."""
    return float(f"{number:.7g}")


def counted(counts: Mapping[str, int], between: str = " ") -> str:
    """Counts, the largest first, as ``LPS 84, LAS 47``."""
    told = sorted(counts.items(), key=lambda each: -each[1])
    more = f" and {len(told) - _SHOWN} more" if len(told) > _SHOWN else ""
    return ", ".join(f"{name}{between}{number}" for name, number in told[:_SHOWN]) + more


def listed(names: Sequence[str]) -> str:
    """The first few of some names."""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def cases(number: int) -> str:
    """As ``131 cases``."""
    return f"{number:,} case" + "s" * (number != 1)
