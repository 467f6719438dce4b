"""What kernels take by value: strides, lengths and intensity steps, laid out as ``voxel.cuh`` has them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuprep.ops.pointwise import ClipAffine

Struct = NDArray[np.void]

SOURCES = {
    np.dtype(kind): np.dtype(kind).name for kind in ("i1", "u1", "i2", "u2", "i4", "f4", "f8")
}
"""Stored types of images, and their names in the kernels'."""

LABELS = frozenset(np.dtype(f"{kind}{size}") for kind in "iu" for size in (1, 2, 4, 8))
"""Types of label maps."""

TARGETS = {np.dtype(kind): np.dtype(kind).name for kind in ("f4", "f2", "i2")}
"""Types of results."""

RUN = 256  # rows that a thread runs over, as in profiles.cu
MOST_GRID = 65535  # of the second and third dimension

STRIDES = np.dtype([("slice", "i8"), ("row", "i8"), ("column", "i8")])
_LENGTHS = np.dtype([("slices", "i8"), ("rows", "i8"), ("columns", "i8")])
_WIDE = (np.dtype(np.int32), np.dtype(np.float64))
_RULE = np.dtype([("threshold", "f8"), ("above", "i4")], align=True)
_STEP_FIELDS = ("zero", "scale", "rest", "low", "high")


def as_numbers(array: Any) -> Any:
    """Booleans as the bytes 0 and 1; anything else as it is."""
    return array.view(np.uint8) if array.dtype == np.bool_ else array


def strides_of(array: Any, order: Sequence[int] = (0, 1, 2)) -> Struct:
    """Element strides of an array along three of its axes, in the given order."""
    if any(stride % array.itemsize for stride in array.strides):
        raise ValueError(f"strides {array.strides} are not whole voxels of {array.itemsize} bytes")
    return np.array([tuple(array.strides[axis] // array.itemsize for axis in order)], STRIDES)


def lengths_of(shape: Sequence[int]) -> Struct:
    return np.array([tuple(shape)], _LENGTHS)


def step_for(step: ClipAffine, source: np.dtype[Any]) -> Struct:
    """A step in the arithmetic that kernels use for a stored type: float64 for int32 and float64, else
    float32.

    The float32 form is that of ``ClipAffine.apply``. Raises ValueError where float32 cannot hold the
    scale, or the step is a constant (scale 0).
    """
    if step.scale == 0:
        raise ValueError("a constant step needs no voxels")
    if source in _WIDE:
        return _struct("f8", (0.0, step.scale, step.offset, *step.bounds()))
    if not 1e-30 < abs(step.scale) < 1e30:
        raise ValueError(f"scale {step.scale:g} is beyond float32: use the NumPy engine")
    zero = np.float32(np.clip(-step.offset / step.scale, -3e38, 3e38))
    rest = float(zero) * step.scale + step.offset
    return _struct("f4", (float(zero), step.scale, rest, *step.bounds()))


def only_shifts(step: Struct) -> np.int32:
    """1 where a step for kernels does nothing but subtract its zero, else 0."""
    _, *others = step[0]
    return np.int32(tuple(others) == (1, 0, -np.inf, np.inf))


def _struct(kind: str, numbers: tuple[float, ...]) -> Struct:
    zero, scale, rest, *ends = numbers
    numbers = zero or 0.0, scale, rest or -0.0, *ends  # so that -0.0 stays itself
    with np.errstate(over="ignore"):
        return np.array([numbers], np.dtype([(name, kind) for name in _STEP_FIELDS]))


def source_name(dtype: np.dtype[Any]) -> str:
    """The kernels' name of an image's dtype; TypeError where no kernel reads it."""
    if dtype not in SOURCES:
        raise TypeError(f"kernels read {', '.join(SOURCES.values())}, not {dtype}: use NumPy")
    return SOURCES[dtype]


def voxel_name(dtype: np.dtype[Any]) -> str:
    """The kernels' name of an image's or a label map's dtype; TypeError where no kernel reads it."""
    if dtype in LABELS:
        return dtype.name
    return source_name(dtype)


def target_name(dtype: np.dtype[Any]) -> str:
    """The kernels' name of a result's dtype; TypeError where no kernel writes it."""
    if dtype not in TARGETS:
        raise TypeError(f"kernels write {', '.join(TARGETS.values())}, not {dtype}: use NumPy")
    return TARGETS[dtype]


def point_grid(shape: Sequence[int], threads: int) -> tuple[int, int, int]:
    """Blocks for one thread per voxel of ``shape``; kernels loop over longer second and third axes."""
    slices, rows, columns = shape
    return -(-columns // threads), min(rows, MOST_GRID), min(slices, MOST_GRID)


def row_grid(shape: Sequence[int], threads: int) -> tuple[int, int, int]:
    """Blocks for one thread per column and run of ``RUN`` rows; kernels loop as those above."""
    slices, rows, columns = shape
    return point_grid((slices, -(-rows // RUN), columns), threads)


def rule_above(threshold: float | None, dtype: np.dtype[Any]) -> Struct:
    """The kernels' rule for voxels above a threshold, compared as NumPy does; None: all but zero."""
    if threshold is None:
        return np.array([(0.0, 0)], _RULE)
    number = float(dtype.type(threshold)) if dtype.kind == "f" else threshold
    return np.array([(number, 1)], _RULE)
