"""Which cases are chosen: by ranges of their measures and by a text."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gpuprep.quality.measures import Measure
from gpuprep.values.errors import UsageError


@dataclass(frozen=True, slots=True)
class Range:
    """The cases whose number is in a range, both ends included."""

    measure: str
    low: float = -math.inf
    high: float = math.inf

    @classmethod
    def parse(cls, text: str) -> Range:
        """A range as ``MEASURE:LOW:HIGH``; an end that is left out has no bound.

        >>> Range.parse("source_spacing_z:2.5:")
        Range(measure='source_spacing_z', low=2.5, high=inf)

        Raises:
            UsageError: it is not of that form.
        """
        name, *ends = text.rsplit(":", 2)
        try:
            low, high = (float(end) if end else None for end in ends)
        except ValueError:
            low = high = math.nan
        found = cls(name, -math.inf if low is None else low, math.inf if high is None else high)
        if not name or not found.low <= found.high:
            raise UsageError(
                f"{text!r} is not of the form MEASURE:LOW:HIGH",
                advice="such as source_spacing_z:0.5:2, with LOW at most HIGH; either may be left out",
            )
        return found


def find_measure(measures: Mapping[str, Measure], name: str) -> Measure:
    """A measure by its name; raises UsageError where the cohort has none of that name."""
    if name not in measures:
        raise UsageError(f"there is no measure {name!r}", advice=f"there are {', '.join(measures)}")
    return measures[name]


def choose(
    measures: Mapping[str, Measure], texts: Sequence[str], ranges: Iterable[Range], search: str
) -> NDArray[np.bool_]:
    """Which cases, as float32 numbers, are in all ranges and have a text, in upper or lower case, in theirs.

    ``texts`` are one per case, in lower case. Raises UsageError for an unknown measure.
    """
    chosen = np.ones(len(texts), np.bool_)
    for each in ranges:
        values = find_measure(measures, each.measure).rounded
        chosen &= (values >= each.low) & (values <= each.high)
    if search:
        wanted = search.lower()
        chosen &= np.fromiter((wanted in text for text in texts), np.bool_, len(texts))
    return chosen
