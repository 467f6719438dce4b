"""Nyúl's standard scale: percentiles of every case on one scale, averaged exactly over the cohort.

Nyúl, Udupa, Zhang: New variants of a method of MRI scale standardization, IEEE TMI 2000;19:143. The first and
the last percentile of a case are put at the ends of the scale, those between in proportion; the standard is
the mean over cases. A case is mapped by straight lines between its own percentiles and the standard.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any


@dataclass(frozen=True, slots=True)
class Landmarks:
    """Sums over cases, as fractions: in whatever order they are added, they are the same.

    Attributes:
        key: Names what they were taken of: channel and steps.
        channel: The channel's name.
        percentiles: Of which they are, ascending.
        cases: How many cases have been added.
        sums: Of their percentiles on the scale.
    """

    key: str
    channel: str
    percentiles: tuple[float, ...]
    cases: int
    sums: tuple[Fraction, ...]

    @classmethod
    def of(
        cls,
        key: str,
        channel: str,
        percentiles: Sequence[float],
        found: Sequence[float],
        scale: tuple[float, float],
    ) -> Landmarks:
        """Those of one case, whose percentiles were ``found``; of none, where these are all the same."""
        low, high = map(Fraction, scale)
        first, *_, last = exact = tuple(map(Fraction, found))
        if last <= first:
            return cls(key, channel, tuple(percentiles), 0, (Fraction(0),) * len(found))
        # rounded once, so that sums stay short
        placed = (float(low + (each - first) * (high - low) / (last - first)) for each in exact)
        return cls(key, channel, tuple(percentiles), 1, tuple(map(Fraction, placed)))

    @property
    def standard(self) -> tuple[float, ...]:
        """The means; ValueError where there is no case."""
        if not self.cases:
            raise ValueError(f"no case has landmarks of channel {self.channel}")
        return tuple(float(total / self.cases) for total in self.sums)

    def merge(self, other: Landmarks) -> Landmarks:
        """Those of both sets of cases; ValueError where they are of different things."""
        if (self.key, self.percentiles) != (other.key, other.percentiles):
            raise ValueError(f"landmarks of {self.channel} and {other.channel} do not add up")
        sums = tuple(a + b for a, b in zip(self.sums, other.sums, strict=True))
        return Landmarks(self.key, self.channel, self.percentiles, self.cases + other.cases, sums)

    def to_json(self) -> dict[str, Any]:
        return {
            "landmarks": self.key,
            "channel": self.channel,
            "percentiles": list(self.percentiles),
            "cases": self.cases,
            "sums": list(map(str, self.sums)),
        }

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Landmarks:
        """What ``to_json`` gave; ValueError where it is damaged."""
        percentiles, sums = (
            tuple(map(float, fields["percentiles"])),
            tuple(map(Fraction, fields["sums"])),
        )
        if len(percentiles) != len(sums) or len(sums) < 2:
            raise ValueError(f"{len(percentiles)} percentiles and {len(sums)} landmarks")
        return cls(
            str(fields["landmarks"]),
            str(fields["channel"]),
            percentiles,
            int(fields["cases"]),
            sums,
        )
