"""Statistics of an image per label: what lies inside each structure, in one pass over both volumes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuprep.ops.gather import memory_order

Array = NDArray[Any]

MOST_LABELS = 255
_VOXELS = (
    1 << 20
)  # of a piece; sums of squares of 16-bit voxels are exact in float64 up to 2²² of them


@dataclass(frozen=True, slots=True)
class LabelStatistics:
    """The voxels of one label.

    Attributes:
        count: finite voxels; everything else but ``excluded`` is about these.
        excluded: voxels that are NaN or infinite.
        sum, squares: of the values and of their squares; int, and exact, for integers of at most 16 bits.
        minimum, maximum: None where there are no finite voxels.
    """

    count: int
    excluded: int
    sum: float
    squares: float
    minimum: float | None
    maximum: float | None

    @property
    def mean(self) -> float:
        """ValueError where there are no finite voxels."""
        if not self.count:
            raise ValueError("no voxels to measure: the label does not occur or nothing is finite")
        return self.sum / self.count

    @property
    def std(self) -> float:
        """The standard deviation, ddof 0.

        Exact for exact sums; else it loses about as many digits as ``(mean / std) ** 2`` has.
        """
        mean = self.mean
        if isinstance(self.sum, int):
            return math.sqrt(self.count * self.squares - self.sum**2) / self.count
        return math.sqrt(max(0.0, self.squares / self.count - mean * mean))


def measure_labels(
    array: Array, labels: Array, names: Sequence[int] | None = None
) -> dict[int, LabelStatistics]:
    """Per label the statistics of the voxels that have it.

    Args:
        array: an image of integers, booleans or floats; any strides.
        labels: integers of the same shape.
        names: the labels to measure, at most 255; None: those of 1 … 255 that occur.

    Returns:
        Ascending by label: all of ``names`` whether they occur or not, or those that occur.

    Raises:
        ValueError: unequal shapes, or too many names.
        TypeError: labels that are not integers.
    """
    wanted = check_labels(array, labels, names)
    array = array.view(np.uint8) if array.dtype == np.bool_ else array
    exact = array.dtype.kind in "iu" and array.dtype.itemsize <= 2
    sums = np.zeros((len(wanted), 2), np.int64 if exact else np.float64)
    ends = np.tile([np.inf, -np.inf], (len(wanted), 1))
    numbers = np.zeros((len(wanted), 2), np.int64)
    for values, ranks in _pieces(array, labels, np.array(wanted, np.int64)):
        finite = np.isfinite(values)
        numbers[:, 1] += np.bincount(ranks[~finite], minlength=len(wanted))
        values, ranks = values[finite], ranks[finite]
        numbers[:, 0] += np.bincount(ranks, minlength=len(wanted))
        for power in (1, 2):
            part = np.bincount(ranks, values**power, minlength=len(wanted))
            sums[:, power - 1] += part.astype(sums.dtype)
        np.minimum.at(ends[:, 0], ranks, values)
        np.maximum.at(ends[:, 1], ranks, values)
    return collect(wanted, sums, ends, numbers, every=names is not None)


def check_labels(array: Any, labels: Any, names: Sequence[int] | None) -> list[int]:
    """The labels to measure, ascending and each once; the errors of ``measure_labels``."""
    if labels.shape != array.shape or array.ndim != 3:
        raise ValueError(f"labels of shape {labels.shape} for an array of shape {array.shape}")
    if labels.dtype.kind not in "iu":
        raise TypeError(f"labels are integers, not {labels.dtype}")
    wanted = sorted(set(range(1, MOST_LABELS + 1) if names is None else names))
    if len(wanted) > MOST_LABELS:
        raise ValueError(f"{len(wanted)} labels are more than {MOST_LABELS}")
    return wanted


def collect(
    names: Sequence[int], sums: Array, ends: Array, numbers: Array, *, every: bool
) -> dict[int, LabelStatistics]:
    """Rows of (sum, squares), (minimum, maximum) and (count, excluded) under their labels."""
    found = {}
    rows = zip(names, sums.tolist(), ends.tolist(), numbers.tolist(), strict=True)
    for name, (total, squares), (low, high), (count, excluded) in rows:
        if every or count or excluded:
            extremes = (low, high) if count else (None, None)
            found[name] = LabelStatistics(count, excluded, total, squares, *extremes)
    return found


def _pieces(
    array: Array, labels: Array, names: NDArray[np.int64]
) -> Iterator[tuple[NDArray[np.float64], NDArray[np.intp]]]:
    """Values and places among the names of the voxels that have one of the labels."""
    if not len(names):
        return
    order = memory_order(array)
    for plane, marks in zip(array.transpose(order), labels.transpose(order), strict=True):
        height = max(1, _VOXELS // plane.shape[1])
        for first in range(0, len(plane), height):
            strip = marks[first : first + height].ravel().astype(np.int64)
            places = np.searchsorted(names, strip)
            named = names[np.minimum(places, len(names) - 1)] == strip
            values = plane[first : first + height].ravel()[named]
            yield values.astype(np.float64), places[named]
