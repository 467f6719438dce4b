"""The rows of ``engine.py`` on the CPU: gpuprep and, in turns with it, its peers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from scipy import ndimage

from cpu_peers import (
    Peers,
    as_array,
    label_peers,
    percentile_peers,
    resampling_peers,
    scipy_resample,
)
from gpuprep.ops.labels import resample_labels
from gpuprep.ops.resample import Resampling, resample
from gpuprep.ops.statistics import Distribution, measure
from operations import PERCENTILES, RESAMPLINGS, Array, Row, Variant, Volume, difference
from timing import fastest

OURS = "gpuprep"


def cpu_rows(volumes: Sequence[Volume], *, threads: int, rounds: int) -> Iterator[Row]:
    """Every operation on every volume."""
    for volume in volumes:
        for how in RESAMPLINGS:
            yield from _resampling(volume, how, threads, rounds)
        for kind in ("linear", "nearest"):
            yield from _labels(volume, kind, threads, rounds)
        for mask in (None, volume.labels > 0):
            yield from _statistics(volume, mask, threads, rounds)


def _resampling(volume: Volume, how: Variant, threads: int, rounds: int) -> Iterator[Row]:
    chosen = how.of(volume)

    def ours(dtype: Any = np.float16) -> Array:
        return resample(volume.image, chosen, dtype=dtype, threads=threads)

    result_bytes = 2 * int(np.prod(volume.mapping.shape))
    yield from rows(
        f"resample {how.name}",
        volume,
        ours,
        resampling_peers(volume, how, threads),
        reference=ours(np.float32),
        moved=volume.image.nbytes + result_bytes,
        threads=threads,
        rounds=rounds,
        exact=how.interpolation == "nearest",
    )


def _labels(volume: Volume, kind: Any, threads: int, rounds: int) -> Iterator[Row]:
    def ours() -> Array:
        return resample_labels(volume.labels, Resampling(volume.mapping, kind), threads=threads)

    def by_scipy() -> Array:
        return scipy_resample(ndimage, np, volume.labels, volume, Variant("nearest", "nearest"))

    reference = ours()
    yield from rows(
        f"labels {kind}",
        volume,
        ours,
        label_peers(volume) if kind == "linear" else {"scipy": by_scipy},
        reference=reference,
        moved=volume.labels.nbytes + reference.nbytes,
        threads=threads,
        rounds=rounds,
        exact=True,
    )


def _statistics(volume: Volume, mask: Any, threads: int, rounds: int) -> Iterator[Row]:
    def ours() -> Array:
        return summary(measure(volume.image, mask, threads), masked=mask is not None)

    yield from rows(
        "percentiles" if mask is None else "masked statistics",
        volume,
        ours,
        percentile_peers(volume.image, mask),
        reference=ours(),
        moved=volume.image.nbytes + (0 if mask is None else mask.nbytes),
        threads=threads,
        rounds=rounds,
        exact=False,
    )


def summary(values: Distribution, *, masked: bool) -> Array:
    """Percentiles; with a mask, mean and standard deviation before them."""
    moments = values.moments() if masked else ()
    return np.array([*moments, *values.percentiles(PERCENTILES)])


def rows(
    operation: str,
    volume: Volume,
    ours: Callable[[], Array],
    peers: Peers,
    *,
    reference: Array,
    moved: int,
    threads: int,
    rounds: int,
    exact: bool,
) -> Iterator[Row]:
    """Measured in turns; differences are from ``reference``, ours in more digits than it stores."""
    best = fastest({OURS: ours, **peers}, rounds)
    own = best[OURS][1].wall
    for name, (returned, took) in best.items():
        result = as_array(returned)
        apart = difference(result, reference, exact=exact and result.dtype != np.float16)
        yield Row(
            operation, volume.name, name, "cpu", threads, took.wall, took.cpu,
            took.wall / own, apart, moved,
        )  # fmt: skip
