"""The numbers of a sample as MONAI's ``SampleOperations`` gives them, which PyTorch computes in float32."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuprep.ops.distribution import NO_CLIP, Clip, Distribution
from gpuprep.ops.statistics import measure

PERCENTILES = (0.5, 10.0, 90.0, 99.5)
NAMES = ("percentile_00_5", "percentile_10_0", "percentile_90_0", "percentile_99_5")
_NUMPYS = 1_000_000  # values above which MONAI asks NumPy for percentiles


class SortedSample(Distribution):
    """Finite voxels in order: what is quickest for fractions."""

    def __init__(self, values: NDArray[Any]) -> None:
        self._sorted = np.sort(values[np.isfinite(values)], axis=None)

    @property
    def count(self) -> int:
        return self._sorted.size

    @property
    def nan(self) -> int:
        return 0

    @property
    def inf(self) -> int:
        return 0

    def moments(self, clip: Clip = NO_CLIP) -> tuple[float, float]:
        values = self._sorted.astype(np.float64)
        if clip != NO_CLIP:
            np.clip(values, *clip, out=values)
        return float(values.mean()), float(values.std())

    def order_statistics(self, ranks: Sequence[int]) -> list[float]:
        return [float(self._sorted[rank]) for rank in ranks]

    def count_below(self, value: float) -> int:
        return int(np.searchsorted(self._sorted, value))


def sample(array: NDArray[Any], mask: NDArray[np.bool_] | None = None) -> Distribution:
    """The finite voxels of an array, or of those where ``mask`` is set."""
    if array.dtype.kind != "f":
        return measure(array, mask)
    return SortedSample(array if mask is None else array[mask])


def numbers(values: Distribution) -> dict[str, Any]:
    """Maximum, mean, median (the lower of two), minimum, deviation and percentiles.

    Raises:
        ValueError: there are no voxels.
    """
    count = values.filled()
    mean, deviation = values.moments()
    at = _numpys(count) if count > _NUMPYS else _torchs(count)
    middle, last = (count - 1) // 2, count - 1
    ranks = sorted({0, middle, last, *(rank for below, above, _ in at for rank in (below, above))})
    known = dict(zip(ranks, map(np.float32, values.order_statistics(ranks)), strict=True))
    percentiles = [
        _float(_between(known[below], known[above], weight)) for below, above, weight in at
    ]
    return {
        "max": _float(known[last]),
        "mean": _float(mean),
        "median": _float(known[middle]),
        "min": _float(known[0]),
        "stdev": _float(deviation),
        "percentile": percentiles,
        **dict(zip(NAMES, percentiles, strict=True)),
    }


def of_nothing() -> dict[str, Any]:
    """Of a single zero, which MONAI takes where there is no foreground."""
    return numbers(measure(np.zeros(1, np.int16)))


def _torchs(count: int) -> list[tuple[int, int, np.float32 | np.float64]]:
    """Where ``torch.quantile`` looks: ranks below and above, and the weight of the second."""
    places = (np.float32(q / 100) * np.float32(count - 1) for q in PERCENTILES)
    return [(int(each), int(np.ceil(each)), each - np.float32(int(each))) for each in places]


def _numpys(count: int) -> list[tuple[int, int, np.float32 | np.float64]]:
    places = (np.float64(q / 100) * (count - 1) for q in PERCENTILES)
    return [(int(each), min(int(each) + 1, count - 1), each - int(each)) for each in places]


def _between(low: Any, high: Any, weight: np.float32 | np.float64) -> Any:
    """Linear, from the nearer end, as both do it."""
    step = high - low
    return low + weight * step if weight < 0.5 else high - step * (1 - weight)


def _float(number: Any) -> float:
    """To float32, as a tensor has it."""
    return float(np.float32(number))


def summary(values: Iterable[Any], *, axes: int | tuple[int, int] = 0) -> dict[str, Any]:
    """The numbers of values of all cases, over the first axes of an array: NumPy's, as MONAI takes them.

    Percentiles of whole numbers are cut to whole numbers, as there.
    """
    array = np.asarray(values)
    percentiles = np.percentile(array, PERCENTILES, axis=axes).astype(array.dtype)
    return {
        "max": array.max(axes).tolist(),
        "mean": array.mean(axes).tolist(),
        "median": np.median(array, axes).tolist(),
        "min": array.min(axes).tolist(),
        "stdev": array.std(axes).tolist(),
        "percentile": percentiles.tolist(),
        **dict(zip(NAMES, percentiles.tolist(), strict=True)),
    }
