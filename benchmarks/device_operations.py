"""The rows of ``engine.py`` on a device: gpuprep's kernels and cupyx, beside the bound of a copy."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from cpu_operations import OURS, summary
from cpu_peers import Peers, optional, scipy_resample
from gpuprep.device.clock import Clock
from gpuprep.kernels.loader import Engine
from gpuprep.ops.device.labels import resample_labels_device
from gpuprep.ops.device.resample import resample_device
from gpuprep.ops.device.statistics import measure_device
from gpuprep.ops.device.trial import Recorder
from gpuprep.ops.resample import Resampling
from operations import PERCENTILES, RESAMPLINGS, Array, Row, Variant, Volume, difference
from timing import Spent, spent


class Bench:
    """One device: measures paths in turns, and knows the bound."""

    def __init__(self, engine: Engine, clock: Clock, bandwidth: float, rounds: int) -> None:
        self.engine = Recorder(engine)
        self._clock, self._bandwidth, self._rounds = clock, bandwidth, rounds

    def rows(
        self,
        operation: str,
        volume: Volume,
        ours: Callable[[], Any],
        peers: Peers,
        *,
        reference: Array,
        moved: int,
        exact: bool = False,
    ) -> Iterator[Row]:
        """Ours and the peers; compiled and warmed up before they are measured."""
        own = 0.0
        for name, path in {OURS: ours, **peers}.items():
            host, took, kernels = self._fastest(path)
            own = own or took.wall
            apart = difference(host, reference, exact=exact and host.dtype != np.float16)
            yield Row(
                operation, volume.name, name, "cuda", 1, took.wall, took.cpu,
                took.wall / own, apart, moved, kernels or None, moved / self._bandwidth,
            )  # fmt: skip

    def _fastest(self, path: Callable[[], Any]) -> tuple[Array, Spent, float]:
        """The result on the host, its fastest round, and seconds of the kernels, which then run again."""

        def complete() -> Any:
            self.engine.launches.clear()
            result = path()
            self._clock.finish()
            return result

        result = complete()
        best = Spent(math.inf, 0.0)
        for _ in range(self._rounds):
            result, took = spent(complete)
            best = min(best, took, key=lambda each: each.wall)
        host = np.array(self.engine.to_host(result))
        kernels = self.engine.times(self._clock, self._bandwidth)
        return host, best, sum(kernel.seconds for kernel in kernels)


def device_rows(
    engine: Engine, clock: Clock, volumes: Sequence[Volume], *, bandwidth: float, rounds: int
) -> Iterator[Row]:
    """Every operation on every volume; the volumes are on the device before, results stay there."""
    bench = Bench(engine, clock, bandwidth, rounds)
    for volume in volumes:
        image, labels = (engine.xp.asarray(array) for array in (volume.image, volume.labels))
        for how in RESAMPLINGS:
            yield from _resampling(bench, volume, image, how)
        yield from _labels(bench, volume, labels)
        mask = engine.xp.asarray(volume.labels > 0)
        yield from _statistics(bench, volume, image, mask)


def _resampling(bench: Bench, volume: Volume, image: Any, how: Variant) -> Iterator[Row]:
    chosen = how.of(volume)

    def ours(dtype: Any = np.float16) -> Any:
        return resample_device(bench.engine, image, chosen, dtype=dtype)

    yield from bench.rows(
        f"resample {how.name}",
        volume,
        ours,
        _cupyx(volume, image, how),
        reference=bench.engine.to_host(ours(np.float32)),
        moved=image.nbytes + 2 * int(np.prod(volume.mapping.shape)),
        exact=how.interpolation == "nearest",
    )


def _cupyx(volume: Volume, image: Any, how: Variant) -> Peers:
    cupy = None if isinstance(image, np.ndarray) else optional("cupy")
    if cupy is None:
        return {}
    ndimage = optional("cupyx.scipy.ndimage")
    return {"cupyx": lambda: scipy_resample(ndimage, cupy, image, volume, how)}


def _labels(bench: Bench, volume: Volume, labels: Any) -> Iterator[Row]:
    for kind in ("linear", "nearest"):

        def ours(kind: Any = kind) -> Any:
            return resample_labels_device(bench.engine, labels, Resampling(volume.mapping, kind))

        peers = _cupyx(volume, labels, Variant("nearest", "nearest"))
        reference = bench.engine.to_host(ours())
        yield from bench.rows(
            f"labels {kind}",
            volume,
            ours,
            peers if kind == "nearest" else {},
            reference=reference,
            moved=labels.nbytes + reference.nbytes,
            exact=True,
        )


def _statistics(bench: Bench, volume: Volume, image: Any, mask: Any) -> Iterator[Row]:
    for name, chosen in (("percentiles", None), ("masked statistics", mask)):

        def ours(chosen: Any = chosen) -> Array:
            values = measure_device(bench.engine, image, chosen)
            return summary(values, masked=chosen is not None)

        peers = _cupy_percentiles(image) if chosen is None else {}
        moved = image.nbytes + (0 if chosen is None else chosen.nbytes)
        yield from bench.rows(name, volume, ours, peers, reference=ours(), moved=moved)


def _cupy_percentiles(image: Any) -> Peers:
    cupy = None if isinstance(image, np.ndarray) else optional("cupy")
    return {"cupy.percentile": lambda: cupy.percentile(image, PERCENTILES)} if cupy else {}
