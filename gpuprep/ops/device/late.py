"""A distribution on a device whose numbers are worked out when they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from gpuprep.ops.curve import Pointwise
from gpuprep.ops.distribution import NO_CLIP, Clip
from gpuprep.ops.statistics import Distribution

Result = TypeVar("Result")


class Retried(Protocol):
    """``work`` on the device, or ``instead`` where there is no room for it."""

    def __call__(self, work: Callable[[], Result], instead: Callable[[], Result]) -> Result: ...


class LateDistribution(Distribution):
    """Numbers that are worked out when they are asked for; by the host where the device has no room then."""

    def __init__(
        self, found: Distribution, retried: Retried, instead: Callable[[], Distribution]
    ) -> None:
        self._found = found
        self._retried = retried
        self._instead = instead

    def _on_host(self) -> Distribution:
        self._found = self._instead()
        return self._found

    @property
    def count(self) -> int:
        return self._found.count

    @property
    def nan(self) -> int:
        return self._found.nan

    @property
    def inf(self) -> int:
        return self._found.inf

    def moments(self, clip: Clip = NO_CLIP) -> tuple[float, float]:
        return self._retried(
            lambda: self._found.moments(clip), lambda: self._on_host().moments(clip)
        )

    def moments_after(self, step: Pointwise) -> tuple[float, float]:
        return self._retried(
            lambda: self._found.moments_after(step), lambda: self._on_host().moments_after(step)
        )

    def histogram_after(self, step: Pointwise, bins: int, ends: Clip) -> NDArray[np.int64]:
        return self._retried(
            lambda: self._found.histogram_after(step, bins, ends),
            lambda: self._on_host().histogram_after(step, bins, ends),
        )

    def count_below(self, value: float) -> int:
        return self._retried(
            lambda: self._found.count_below(value), lambda: self._on_host().count_below(value)
        )

    def order_statistics(self, ranks: Sequence[int]) -> list[float]:
        return self._retried(
            lambda: self._found.order_statistics(ranks),
            lambda: self._on_host().order_statistics(ranks),
        )
