"""Label maps on a device: nearest by index tables, linear by the vote of eight voxels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from gpuprep.kernels.loader import Engine
from gpuprep.ops.axis import AxisWeights, grid_axes, slicewise
from gpuprep.ops.device.arguments import LABELS, lengths_of, point_grid, strides_of
from gpuprep.ops.device.linear import pick_tables
from gpuprep.ops.device.sampling import Part, Sampling
from gpuprep.ops.device.target import Target
from gpuprep.values.grids import GridMapping

_THREADS = 128


def resample_labels_device(
    engine: Engine,
    array: Any,
    mapping: GridMapping,
    *,
    interpolation: Literal["nearest", "linear"] = "nearest",
    separate_axis: int | None = None,
    part: Part | None = None,
    chunk: int = 0,
    out: Any = None,
) -> Any:
    """``ops.labels.resample_labels`` on the engine's arrays: the same labels, voxel for voxel.

    ``array`` is 3-D, of any strides and any integer dtype in native byte order (TypeError for others);
    ``part``, ``chunk`` and ``out`` as for ``resample_device``.
    """
    if array.dtype not in LABELS:
        raise TypeError(f"labels are native integers, not {array.dtype}")
    shape = array.shape if part is None else part.shape
    axes = grid_axes(shape, mapping, slicewise(interpolation, separate_axis))
    sampling = Sampling.of(array, axes, part)
    target = Target.of(engine, sampling.shape, array.dtype, chunk, out)
    if sampling.reach() == 1:
        _copy(engine, array, sampling, target)
        return target.array
    nearest = grid_axes(shape, mapping, "nearest")
    if part is not None:
        nearest = part.cut(nearest, part.inputs(axes))
    tables = [
        table
        for axis in sampling.order
        for table in _tap_tables(engine, sampling.axes[axis], nearest[axis])
    ]
    _launch(engine, f"vote_{array.dtype.name}", array, sampling, tables, target)
    return target.array


def _copy(engine: Engine, array: Any, sampling: Sampling, target: Target) -> None:
    """Write the labels that the axes pick, whatever their type, by their bits."""
    unsigned = np.dtype(f"u{array.itemsize}")
    bits = Target(target.array.view(unsigned), target.shape, target.chunk)
    tables = pick_tables(engine, sampling)
    _launch(engine, f"copy_{unsigned.name}", array.view(unsigned), sampling, tables, bits)


def _launch(
    engine: Engine,
    kernel: str,
    array: Any,
    sampling: Sampling,
    tables: Sequence[Any],
    target: Target,
) -> None:
    order, shape = sampling.order, [axis.m for axis in sampling.ordered]
    source = array, strides_of(array, order)
    arguments = (*source, *tables, lengths_of(shape), target.array, target.places(order))
    engine.launch("labels", kernel, point_grid(shape, _THREADS), _THREADS, arguments)


def _tap_tables(engine: Engine, linear: AxisWeights, nearest: AxisWeights) -> tuple[Any, ...]:
    """Indices below, above and nearest of each output, and the float64 weights of those above."""

    def taps() -> tuple[Any, Any]:
        width = linear.weights.shape[1]
        weight = linear.weights[:, 1] if width == 2 else np.zeros(linear.m)
        index = [linear.start, linear.start + np.int32(width - 1), nearest.start]
        return np.stack(index), np.ascontiguousarray(weight)

    return engine.tables.get(("votes", linear, nearest), taps)
