"""The same work on a device and in NumPy: how far apart the results are, and how long each kernel takes.

A kernel's time is that of many launches between two events, so that the time Python needs for one is hidden.
Its bound is the bytes of the arrays it is given, at the speed that was measured for a copy on the device.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from gpuprep.device.clock import Clock
from gpuprep.kernels.loader import Engine
from gpuprep.ops.axis import Interpolation
from gpuprep.ops.crop import find_box
from gpuprep.ops.device.filters import filter_device
from gpuprep.ops.device.labels import resample_labels_device
from gpuprep.ops.device.profiles import find_box_device
from gpuprep.ops.device.resample import resample_device
from gpuprep.ops.device.statistics import measure_device
from gpuprep.ops.filters import Equalizing, Filter, Ranking, Smoothing, filtered, result_dtype
from gpuprep.ops.labels import resample_labels
from gpuprep.ops.pointwise import clip
from gpuprep.ops.resample import Resampling, resample
from gpuprep.ops.statistics import Distribution, measure
from gpuprep.values.geometry import Box, Shape
from gpuprep.values.grids import GridMapping

Array = NDArray[Any]

CT: Shape = (466, 512, 512)
TOLERANCE = 2e-6
_LAUNCHES = 20
_CLIP = clip(-1000, 400)
_SKIN = -500.0  # air below, body above


@dataclass(frozen=True, slots=True)
class KernelTime:
    """One kernel of an operation.

    Attributes:
        seconds: of all its launches in one go of the operation.
        bytes: of the arrays it is given, results included; read or written at least once.
        share: of the speed of a copy.
    """

    kernel: str
    launches: int
    seconds: float
    bytes: int
    share: float


@dataclass(frozen=True, slots=True)
class Trial:
    """One operation, done by both.

    Attributes:
        differs: the largest difference of an image in units of its range, and of a statistic in its own; for
            what must be equal, the share that differs.
        bytes: what the operation must read and write.
        share: of the speed of a copy, by all its kernels together.
    """

    operation: str
    differs: float
    bytes: int
    seconds: float
    share: float
    kernels: tuple[KernelTime, ...]

    @property
    def agrees(self) -> bool:
        return self.differs <= TOLERANCE


class Recorder(Engine):
    """An engine that keeps the launches it has queued, to queue them again."""

    def __init__(self, engine: Engine) -> None:
        self.xp, self.to_host, self.tables = engine.xp, engine.to_host, engine.tables
        self.shared_bytes = engine.shared_bytes
        self._engine = engine
        self.launches: list[tuple[Any, ...]] = []

    def launch(self, *arguments: Any, **more: Any) -> None:
        self.launches.append((arguments, more))
        self._engine.launch(*arguments, **more)

    def times(self, clock: Clock, bandwidth: float) -> tuple[KernelTime, ...]:
        """The kernels that were queued since the last call; results are written over."""
        launches, self.launches = self.launches, []
        found: dict[str, KernelTime] = {}
        for arguments, more in launches:
            _, kernel, _, _, given, *_ = arguments
            start = clock.mark()
            for _ in range(_LAUNCHES):
                self._engine.launch(*arguments, **more)
            stop = clock.mark()
            clock.finish()
            earlier = found.get(kernel, KernelTime(kernel, 0, 0.0, 0, 0.0))
            seconds = earlier.seconds + clock.seconds(start, stop) / _LAUNCHES
            size = earlier.bytes + sum(getattr(each, "nbytes", 0) for each in given)
            share = size / bandwidth / seconds
            found[kernel] = KernelTime(kernel, earlier.launches + 1, seconds, size, share)
        return tuple(found.values())


@dataclass(frozen=True, slots=True)
class _Work:
    """An operation as the device does it and as NumPy does, and the bytes that it must move."""

    operation: str
    own: Callable[[], Array]
    other: Callable[[], Array]
    bytes: int
    timed: Callable[[], Any]
    apart: Callable[[Array, Array], float]


def trials(
    engine: Engine, clock: Clock, bandwidth: float, shape: Shape = CT, threads: int = 1
) -> Iterator[Trial]:
    """Every operation on a made CT of ``shape``, to two thirds of its grid; float16 results are timed.

    Args:
        engine: of the device; its current stream is used.
        clock: of the same stream.
        bandwidth: bytes per second of a copy on the device, read and written.
        shape: of the volume, ``z, y, x``.
        threads: for NumPy.
    """
    recorder = Recorder(engine)
    for work in _works(recorder, shape, threads):
        differs = work.apart(work.own(), work.other())
        recorder.launches.clear()
        work.timed()
        kernels = recorder.times(clock, bandwidth)
        seconds = sum(kernel.seconds for kernel in kernels)
        share = work.bytes / bandwidth / seconds
        yield Trial(work.operation, differs, work.bytes, seconds, share, kernels)


def _works(engine: Engine, shape: Shape, threads: int) -> Iterator[_Work]:
    image, labels = made_ct(shape)
    z, y, x = (max(1, round(n * 2 / 3)) for n in shape)
    mapping = GridMapping((z, y, x), (1.5, 1.47, 1.52), (0.25, 0.2, 0.3))
    held, mask = engine.xp.asarray(image), engine.xp.asarray(labels)
    ends = float(image.min()), float(image.max())
    kinds: tuple[Interpolation, ...] = ("nearest", "linear", "cubic")
    for kind in kinds:
        how = Resampling(mapping, kind, prologue=_CLIP, value_range=ends)
        yield _resampling(engine, image, held, how, threads)
    for kind in kinds[:2]:
        yield _voting(engine, labels, mask, Resampling(mapping, kind), threads)
    yield _measuring(engine, image, held, None, None, threads)
    yield _measuring(engine, image, held, labels, mask, threads)
    floats = image.astype(np.float32)
    yield _measuring(engine, floats, engine.xp.asarray(floats), None, None, threads)
    yield _boxing(engine, image, held)
    z, y, x = (max(1, length // 8) for length in shape)
    steps: tuple[Filter, ...] = (
        Smoothing((1.0, 1.2, 1.2)),
        Ranking(3),
        Ranking(5),
        Equalizing((z, y, x), 0.01, 256),
    )
    for name, step in zip(("gaussian", "median of 3", "median of 5", "clahe"), steps, strict=True):
        yield _filtering(engine, name, image, held, step, threads)


def _resampling(engine: Engine, image: Array, held: Any, how: Resampling, threads: int) -> _Work:
    def own(dtype: DTypeLike = np.float32) -> Any:
        return resample_device(engine, held, how, dtype=dtype)

    return _Work(
        f"resample {how.interpolation}",
        lambda: engine.to_host(own()),
        lambda: resample(image, how, threads=threads),
        image.nbytes + 2 * math.prod(how.mapping.shape),
        lambda: own(np.float16),
        _of_the_range,
    )


def _voting(engine: Engine, labels: Array, held: Any, how: Resampling, threads: int) -> _Work:
    def own() -> Any:
        return resample_labels_device(engine, held, how)

    return _Work(
        f"labels {how.interpolation}",
        lambda: engine.to_host(own()),
        lambda: resample_labels(labels, how, threads=threads),
        labels.nbytes + math.prod(how.mapping.shape),
        own,
        _unequal,
    )


def _measuring(
    engine: Engine, image: Array, held: Any, labels: Array | None, mask: Any, threads: int
) -> _Work:
    def own() -> Array:
        return _numbers(measure_device(engine, held, mask))

    inside = None if labels is None else labels != 0
    return _Work(
        f"statistics of {image.dtype}{'' if labels is None else ' under a mask'}",
        own,
        lambda: _numbers(measure(image, inside, threads=threads)),
        image.nbytes + (0 if labels is None else labels.nbytes),
        own,
        _relative,
    )


def _boxing(engine: Engine, image: Array, held: Any) -> _Work:
    def own() -> Array:
        return _corners(find_box_device(engine, [held], _SKIN))

    return _Work(
        "box of the body",
        own,
        lambda: _corners(find_box([image], _SKIN)),
        image.nbytes,
        own,
        _unequal,
    )


def _filtering(
    engine: Engine, name: str, image: Array, held: Any, step: Filter, threads: int
) -> _Work:
    result = result_dtype(step, image.dtype)

    def own() -> Any:
        return filter_device(engine, held, [step])

    return _Work(
        name,
        lambda: engine.to_host(own()),
        lambda: filtered(image, step, np.empty(image.shape, result), threads),
        image.nbytes + image.size * result.itemsize,
        own,
        _of_the_range if isinstance(step, Smoothing) else _unequal,
    )


def made_ct(shape: Shape) -> tuple[Array, Array]:
    """An int16 volume of air and a body with noise, and a uint8 label map of two structures in it."""
    random = np.random.default_rng(0)
    z, y, x = np.ogrid[tuple(slice(-1, 1, complex(0, n)) for n in shape)]
    inside = np.broadcast_to((x / 0.8) ** 2 + (y / 0.6) ** 2 < 1, shape)
    organ = ((x - 0.2) / 0.3) ** 2 + (y / 0.3) ** 2 + (z / 0.7) ** 2 < 1
    noise = random.normal(0, 30, (16, *shape[1:])).astype(np.int16)
    image = np.where(inside, np.int16(40), np.int16(-1000))
    image[organ] += 110
    for first in range(0, shape[0], 16):
        part = image[first : first + 16]
        part += noise[: len(part)]
    return image, inside.astype(np.uint8) + organ


def _numbers(values: Distribution) -> Array:
    return np.array([values.count, *values.percentiles((0, 0.5, 50, 99.5, 100)), *values.moments()])


def _corners(box: Box | None) -> Array:
    return np.array([(part.start, part.stop) for part in box or ()])


def _of_the_range(made: Array, wanted: Array) -> float:
    return float(np.abs(made.astype(np.float64) - wanted).max() / (np.ptp(wanted) or 1.0))


def _unequal(made: Array, wanted: Array) -> float:
    return float(np.mean(made != wanted))


def _relative(made: Array, wanted: Array) -> float:
    return float((np.abs(made - wanted) / np.maximum(np.abs(wanted), 1e-9)).max())
