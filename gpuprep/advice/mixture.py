"""The foreground of a cohort in which every case weighs the same, as nnU-Net's sample has it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuprep.ops.mergeable import Mergeable

_NEAR = 1e-12  # of the weight: less is the rounding of its sums
_MANY = 1 << 20  # values beside one another that are worth joining


@dataclass(frozen=True, slots=True)
class Spread:
    """The numbers of a channel's foreground.

    Attributes:
        cases: Of which they are.
        low: The 0.5 percentile.
        high: The 99.5 percentile.
        mean: Of all voxels.
        std: Their standard deviation (ddof 0).
    """

    cases: int
    low: float
    high: float
    mean: float
    std: float


class Mixture:
    """Takes the counts of one case after the other."""

    def __init__(self) -> None:
        self._moments: list[tuple[float, float]] = []
        self._values: list[NDArray[np.float64]] = []
        self._weights: list[NDArray[np.float64]] = []

    def add(self, counted: Mergeable) -> None:
        """Take in a case; one without foreground changes nothing."""
        if counted.count:
            self.add_points(*counted.points, counted.moments())

    def add_points(
        self, values: NDArray[Any], counts: NDArray[Any], moments: tuple[float, float]
    ) -> None:
        """Take in a case by its values, how often each occurs, and their mean and standard deviation."""
        if not len(values):
            return
        self._moments.append(moments)
        self._values.append(values.astype(np.float64))
        self._weights.append(counts / counts.sum())
        if sum(map(len, self._values)) > _MANY:
            values, weights = self._joined()
            self._values, self._weights = [values], [weights]

    @property
    def spread(self) -> Spread | None:
        """What came together; None where no case has foreground.

        A percentile is the smallest value at which so much of the weight is reached.
        """
        cases = len(self._moments)
        if not cases:
            return None
        mean = math.fsum(each for each, _ in self._moments) / cases
        square = math.fsum(std**2 + (each - mean) ** 2 for each, std in self._moments) / cases
        values, weights = self._joined()
        reached = np.cumsum(weights)
        places = np.searchsorted(reached, (np.array([0.005, 0.995]) - _NEAR) * reached[-1])
        low, high = (float(values[min(place, len(values) - 1)]) for place in places)
        return Spread(cases, low, high, mean, math.sqrt(square))

    def _joined(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Every value once, ascending, with its weight over all cases."""
        values, places = np.unique(np.concatenate(self._values), return_inverse=True)
        weights = np.bincount(places, np.concatenate(self._weights), len(values))
        return values, weights.astype(np.float64)
