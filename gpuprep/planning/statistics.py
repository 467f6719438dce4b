"""Cohort statistics: counts of the voxels of every channel and case, merged in any order to the same sum.

Every voxel weighs the same, so a large foreground weighs more than a small one.
"""

from __future__ import annotations

import hashlib
import json

from gpuprep.ops.landmarks import Landmarks
from gpuprep.ops.mergeable import Mergeable, merge
from gpuprep.values.errors import UsageError


class CohortHistograms:
    """The cohort's histogram per channel, and its landmarks, summed up case by case.

    They are as large after 10⁶ cases as after one.
    """

    def __init__(self) -> None:
        self.cases = 0
        self._sums: tuple[Mergeable, ...] = ()
        self._counts: dict[int, str] = {}  # number of channels → a case that has so many

    def add(self, case_id: str, channels: tuple[Mergeable, ...]) -> None:
        """Take in a case."""
        self.cases += 1
        number = sum(not isinstance(each, Landmarks) for each in channels)
        self._counts.setdefault(number, case_id)
        if len(self._counts) > 1:
            return
        merged = (merge(a, b) for a, b in zip(self._sums, channels, strict=True))
        self._sums = tuple(merged) if self._sums else channels

    def take(self, cases: int, channels: tuple[Mergeable, ...]) -> None:
        """Take in the sums of so many cases."""
        self.add("the cohort", channels)
        self.cases += cases - 1

    @property
    def channels(self) -> tuple[Mergeable, ...]:
        """The sums.

        Raises:
            UsageError: cases differ in their number of channels.
        """
        if len(self._counts) > 1:
            shown = ", ".join(f"{name} has {number}" for number, name in self._counts.items())
            raise UsageError(f"cases differ in their number of channels: {shown}")
        return self._sums


def cohort_digest(digest: str, channels: tuple[Mergeable, ...]) -> str:
    """A config digest that also covers the statistics the cohort was normalised with."""
    text = json.dumps([digest, [channel.to_json() for channel in channels]], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
