"""Foreground masks on a device, and voxels cleaned or set to zero with their help."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from gpuprep.kernels.loader import Engine
from gpuprep.ops.curve import Curve, Pointwise
from gpuprep.ops.device.arguments import (
    as_numbers,
    lengths_of,
    point_grid,
    rule_above,
    source_name,
    step_for,
    strides_of,
    voxel_name,
)
from gpuprep.ops.device.curve import curved_device
from gpuprep.ops.gather import memory_order
from gpuprep.ops.pointwise import clip

_THREADS = 128


def find_mask_device(engine: Engine, arrays: Sequence[Any], above: float | None = None) -> Any:
    """``ops.mask.find_mask`` on the engine's arrays, as uint8; they are read one after another."""
    out = empty_like(engine, arrays[0], np.uint8)
    order = memory_order(arrays[0])
    for number, array in enumerate(map(as_numbers, arrays)):
        rule = rule_above(above, array.dtype), np.int32(number)
        _each(engine, f"marked_{voxel_name(array.dtype)}", array, order, rule, out)
    return out


def masked_device(engine: Engine, array: Any, mask: Any, step: Pointwise) -> Any:
    """float32: ``step`` of the finite voxels where ``mask`` (bool or uint8) is not zero, 0 elsewhere.

    Raises:
        ValueError: the mask has another shape, or float32 cannot hold the step's scale.
        TypeError: a dtype that no kernel reads.
    """
    _check_shape(mask, array)
    if isinstance(step, Curve):
        return curved_device(engine, array, step, mask)
    if step.scale == 0:  # a constant, as a step that kernels take
        step = clip(step.offset, step.offset)
    voxels = as_numbers(array)
    order = memory_order(voxels)
    name = f"masked_{source_name(voxels.dtype)}"
    flags = as_numbers(mask)
    inside = step_for(step, voxels.dtype), flags, strides_of(flags, order)
    return _each(engine, name, voxels, order, inside, empty_like(engine, voxels, np.float32))


def marked_device(engine: Engine, array: Any, mask: Any, value: int) -> Any:
    """A copy of a label map with ``value`` where it is 0 and ``mask`` (bool or uint8) is 0, too.

    Raises:
        ValueError: the mask has another shape.
        TypeError: the labels are not int8, int16 or int32.
    """
    _check_shape(mask, array)
    if array.dtype not in (np.int8, np.int16, np.int32):
        raise TypeError(f"a label map with a mark outside has a signed type, not {array.dtype}")
    order = memory_order(array)
    flags = as_numbers(mask)
    given = array.dtype.type(value), flags, strides_of(flags, order)
    name = f"outside_{array.dtype.name}"
    return _each(engine, name, array, order, given, empty_like(engine, array, array.dtype))


def cleaned_device(engine: Engine, array: Any, nan: float, posinf: float, neginf: float) -> Any:
    """``numpy.nan_to_num``: a float32 or float64 copy with numbers in place of NaN and the infinities."""
    if array.dtype not in (np.float32, np.float64):
        raise TypeError(f"only float32 and float64 voxels are cleaned here, not {array.dtype}")
    order = memory_order(array)
    numbers = tuple(array.dtype.type(number) for number in (nan, posinf, neginf))
    name = f"cleaned_{array.dtype.name}"
    return _each(engine, name, array, order, numbers, empty_like(engine, array, array.dtype))


def restore_device(engine: Engine, array: Any, out: Any) -> None:
    """Write what is not finite of a floating array over the same voxels of a float32 one, or of its dtype."""
    order = memory_order(array)
    _each(engine, f"restored_{array.dtype.name}_{out.dtype.name}", array, order, (), out)


def _check_shape(mask: Any, array: Any) -> None:
    if mask.shape != array.shape:
        raise ValueError(f"mask of shape {mask.shape} for an array of shape {array.shape}")


def empty_like(engine: Engine, array: Any, dtype: DTypeLike) -> Any:
    """A new array whose axes lie in memory in the order of another's."""
    order = memory_order(array)
    memory = engine.xp.empty(tuple(array.shape[axis] for axis in order), dtype)
    return memory.transpose([order.index(axis) for axis in range(3)])


def _each(
    engine: Engine, kernel: str, array: Any, order: Sequence[int], between: Sequence[Any], out: Any
) -> Any:
    """Launch a kernel of pointwise.cu over an array; ``between`` are its own arguments."""
    shape = [array.shape[axis] for axis in order]
    given = array, strides_of(array, order), lengths_of(shape)
    arguments = (*given, *between, out, strides_of(out, order))
    engine.launch("pointwise", kernel, point_grid(shape, _THREADS), _THREADS, arguments)
    return out
