"""Exact statistics on a device: the same numbers as ``ops.statistics``, from integer counts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gpuprep.kernels.loader import NULL, Engine
from gpuprep.ops.curve import Curve, Pointwise
from gpuprep.ops.device.arguments import SOURCES, Struct, as_numbers, lengths_of, source_name
from gpuprep.ops.device.curve import curved_device
from gpuprep.ops.device.pointwise import find_mask_device
from gpuprep.ops.distribution import NO_CLIP, Clip, Distribution
from gpuprep.ops.histogram import Histogram
from gpuprep.ops.pointwise import ClipAffine
from gpuprep.ops.radix import decode_key
from gpuprep.ops.table import Table

_THREADS = 256
_CHUNK = 4096  # voxels of a row that a block takes at a time, as in statistics.cu
_BLOCKS = 1024  # at most; results of moments depend on it, so it is the same everywhere
_MOST_BINS = 1 << 16  # an int32 volume of more values is measured by its keys
_ROUNDS = {  # bits below and of each digit of a key, by the key's bytes
    4: ((21, 11), (10, 11), (0, 10)),
    8: ((53, 11), (42, 11), (31, 11), (20, 11), (10, 10), (0, 10)),
}


class Totals(NamedTuple):
    """Sums of ``clip(v) - shift`` over finite voxels; the extremes are of all that are not NaN."""

    sum: float
    squares: float
    minimum: float
    maximum: float
    finite: int
    nan: int
    inf: int


@dataclass(frozen=True, eq=False)
class Voxels:
    """An array (where ``mask`` is not zero) as kernels read it: at most three axes, memory order."""

    engine: Engine
    array: Any
    mask: Any
    arguments: tuple[Any, ...]
    blocks: int

    @classmethod
    def of(cls, engine: Engine, array: Any, mask: Any) -> Voxels:
        """Raises ValueError where the mask has another shape, TypeError for dtypes no kernel reads."""
        if mask is not None and mask.shape != array.shape:
            raise ValueError(f"mask of shape {mask.shape} for an array of shape {array.shape}")
        array = as_numbers(array)
        source_name(array.dtype)
        flags = None if mask is None else _bytes(engine, mask)
        shape, read, flag = _collapsed(array, flags)
        items = shape[0] * shape[1] * -(-shape[2] // _CHUNK)
        arguments = (array, read, NULL if flags is None else flags, flag, lengths_of(shape))
        return cls(engine, array, flags, arguments, min(items, _BLOCKS))

    def launch(self, kernel: str, arguments: Sequence[Any], shared_bytes: int = 0) -> None:
        """Queue a kernel over the voxels, where there are any."""
        if self.blocks:
            name = f"{kernel}_{SOURCES[self.array.dtype]}"
            every = (*self.arguments, *arguments)
            self.engine.launch("statistics", name, (self.blocks,), _THREADS, every, shared_bytes)

    def totals(self, clip: Clip = NO_CLIP, shift: float = 0.0) -> Totals:
        """Sums, extremes and counts in one pass, merged in a fixed order.

        Integers of at most 16 bits have no sums: their histogram is exact, and does not cost more.
        """
        if not self.blocks:
            return Totals(0.0, 0.0, math.inf, -math.inf, 0, 0, 0)
        xp = self.engine.xp
        reals, counts = (
            xp.empty((self.blocks, 4), np.float64),
            xp.empty((self.blocks, 3), np.uint64),
        )
        if self.array.itemsize <= 2:
            self.launch("extent", (reals, counts))
        else:
            limits = [np.float64(number) for number in (*clip, shift)]
            self.launch("moments", (*limits, reals, counts))
        merged = xp.empty(4, np.float64), xp.empty(3, np.uint64)
        arguments = (reals, counts, np.int32(self.blocks), *merged)
        self.engine.launch("statistics", "merge_moments", (1,), _THREADS, arguments)
        four, three = (self.engine.to_host(part).tolist() for part in merged)
        return Totals(*four, *three)

    def histogram(self, start: int, bins: int) -> Histogram:
        """The counts of ``bins`` values from ``start`` on, as many at a time as shared memory holds."""
        counts = self.engine.xp.zeros(bins, np.uint64)
        step = self.engine.shared_bytes // 4
        for first in range(0, bins, step):
            part = counts[first : first + step]
            limits = np.int32(start + first), np.int32(len(part))
            self.launch("histogram", (*limits, part), 4 * len(part))
        return Histogram.of(start, self.engine.to_host(counts).astype(np.int64))

    def digits(self, prefixes: Sequence[int], shift: int, bits: int) -> NDArray[np.int64]:
        """Per prefix, how often each next digit occurs among the keys that begin with it."""
        most = self.engine.shared_bytes // (4 << bits)
        tables = []
        for first in range(0, len(prefixes), most):
            known = np.array(prefixes[first : first + most], f"u{self.array.itemsize}")
            counts = self.engine.xp.zeros((len(known), 1 << bits), np.uint64)
            numbers = np.int32(len(known)), np.int32(shift), np.int32(bits)
            arguments = (self.engine.xp.asarray(known), *numbers, counts)
            self.launch("digits", arguments, len(known) * (4 << bits))
            tables.append(self.engine.to_host(counts).astype(np.int64))
        return np.concatenate(tables)


@dataclass(frozen=True, eq=False)
class DeviceDistribution(Distribution):
    """Floating voxels, or int32 that spread too widely, on a device; reads the array again when asked."""

    voxels: Voxels
    totals: Totals

    @property
    def count(self) -> int:
        return self.totals.finite

    @property
    def nan(self) -> int:
        return self.totals.nan

    @property
    def inf(self) -> int:
        return self.totals.inf

    def moments(self, clip: Clip = NO_CLIP) -> tuple[float, float]:
        count = self.filled()
        mean = self.voxels.totals(clip).sum / count
        return mean, math.sqrt(self.voxels.totals(clip, mean).squares / count)

    def moments_after(self, step: Pointwise) -> tuple[float, float]:
        return self._after(step).moments()

    def histogram_after(self, step: Pointwise, bins: int, ends: Clip) -> NDArray[np.int64]:
        found, (low, high) = self._after(step), ends
        edges = np.linspace(low, high, bins + 1)[1:-1].tolist()
        below = [0, *(found.count_below(edge) for edge in edges), found.count]
        return np.array(below[1:], np.int64) - np.array(below[:-1], np.int64)

    def _after(self, step: Pointwise) -> DeviceDistribution:
        """What a step makes of the voxels, in float32."""
        if isinstance(step, ClipAffine):
            straight = Table((0.0, 1.0), (0.0, 1.0))
            step = Curve(straight, step.low, step.high, step.scale, step.offset)
        mapped = curved_device(self.voxels.engine, self.voxels.array, step)
        voxels = Voxels.of(self.voxels.engine, mapped, self.voxels.mask)
        return DeviceDistribution(voxels, voxels.totals())

    def count_below(self, value: float) -> int:
        below = math.nextafter(
            value, -math.inf
        )  # what is smaller becomes this, what is not the number
        total = self.voxels.totals((below, value), value).sum
        return round(total / (below - value))

    def order_statistics(self, ranks: Sequence[int]) -> list[float]:
        self.check_ranks(ranks)
        found = {rank: (0, rank) for rank in ranks}
        for shift, bits in _ROUNDS[self.voxels.array.itemsize]:
            prefixes = sorted({prefix for prefix, _ in found.values()})
            below = np.cumsum(self.voxels.digits(prefixes, shift, bits), axis=1)
            for rank, (prefix, position) in found.items():
                row = below[prefixes.index(prefix)]
                digit = int(np.searchsorted(row, position, side="right"))
                before = int(row[digit - 1]) if digit else 0
                found[rank] = (prefix << bits) | digit, position - before
        return [decode_key(found[rank][0], self.voxels.array.dtype) for rank in ranks]


def measure_device(engine: Engine, array: Any, mask: Any = None) -> Distribution:
    """``ops.statistics.measure`` on the engine's arrays: equal counts, extremes and percentiles.

    Integers give a ``Histogram`` (int32 where they span at most 65,536 values), everything else a
    distribution that refers to the array. Any strides.

    Raises:
        ValueError: the mask has another shape.
        TypeError: not bool, int8, uint8, int16, uint16, int32, float32 or float64.
    """
    voxels = Voxels.of(engine, array, mask)
    if voxels.array.itemsize == 1:
        return voxels.histogram(int(np.iinfo(voxels.array.dtype).min), 256)
    totals = voxels.totals()
    if voxels.array.dtype.kind in "iu":
        if totals.finite == 0:
            return Histogram.of(0, np.zeros(0, np.int64))
        start, bins = int(totals.minimum), int(totals.maximum - totals.minimum) + 1
        if bins <= _MOST_BINS:
            return voxels.histogram(start, bins)
    return DeviceDistribution(voxels, totals)


def value_range_device(engine: Engine, array: Any) -> tuple[float, float]:
    """The smallest and largest voxel; NaN where any voxel is, as NumPy has it."""
    totals = Voxels.of(engine, array, None).totals()
    return (math.nan, math.nan) if totals.nan else (totals.minimum, totals.maximum)


def _bytes(engine: Engine, mask: Any) -> Any:
    return mask.view(np.uint8) if mask.itemsize == 1 else find_mask_device(engine, [mask])


def _collapsed(array: Any, mask: Any) -> tuple[list[int], Struct, Struct]:
    """Shape and element strides of array and mask along three axes, neighbours joined where they can be.

    Raises ValueError where more than three axes remain.
    """
    parts = [array] if mask is None else [array, mask]
    axes = sorted(range(array.ndim), key=lambda axis: -abs(array.strides[axis]))
    lengths: list[int] = []
    steps: list[tuple[int, ...]] = []
    for axis in axes:
        length, step = (
            array.shape[axis],
            tuple(part.strides[axis] // part.itemsize for part in parts),
        )
        if length == 1:
            continue
        if lengths and steps[-1] == tuple(length * own for own in step):
            lengths[-1], steps[-1] = lengths[-1] * length, step
        else:
            lengths.append(length)
            steps.append(step)
    if len(lengths) > 3:
        raise ValueError(f"an array of shape {array.shape} is too scattered to be read as a volume")
    missing = 3 - len(lengths)
    lengths = [1] * missing + lengths
    steps = [(0,) * len(parts)] * missing + steps
    first, last = (lengths_of([step[k] for step in steps]) for k in (0, -1))
    return lengths, first, last
