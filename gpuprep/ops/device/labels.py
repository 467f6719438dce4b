"""Label maps on a device: nearest by index tables, linear by the vote of eight voxels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from gpuprep.kernels.loader import Engine
from gpuprep.ops.axis import AxisWeights
from gpuprep.ops.device.arguments import LABELS, lengths_of, point_grid, strides_of
from gpuprep.ops.device.linear import pick_tables
from gpuprep.ops.device.sampling import Part, Sampling
from gpuprep.ops.labels import check_votes
from gpuprep.ops.resample import Resampling

_THREADS = 128


def resample_labels_device(
    engine: Engine, array: Any, how: Resampling, *, part: Part | None = None
) -> Any:
    """``ops.labels.resample_labels`` on the engine's arrays: the same labels, voxel for voxel.

    ``array`` is 3-D, of any strides and any integer dtype in native byte order (TypeError for others);
    ``part`` as for ``resample_device``.
    """
    if array.dtype not in LABELS:
        raise TypeError(f"labels are native integers, not {array.dtype}")
    sampling = Sampling.of(array, how, part)
    check_votes(sampling.axes)
    out = engine.xp.empty(sampling.shape, array.dtype)
    if sampling.reach() == 1:  # labels are moved, whatever their type, by their bits
        bits = np.dtype(f"u{array.itemsize}")
        tables = pick_tables(engine, sampling)
        _launch(engine, f"copy_{bits.name}", array.view(bits), sampling, tables, out.view(bits))
        return out
    nearest = replace(how, interpolation="nearest").axes(part.shape if part else array.shape)
    if part is not None:
        nearest = part.cut(nearest, part.inputs(how))
    tables = [
        table
        for axis in sampling.order
        for table in _tap_tables(engine, sampling.axes[axis], nearest[axis])
    ]
    _launch(engine, f"vote_{array.dtype.name}", array, sampling, tables, out)
    return out


def _launch(
    engine: Engine, kernel: str, array: Any, sampling: Sampling, tables: Sequence[Any], out: Any
) -> None:
    order, shape = sampling.order, [axis.m for axis in sampling.ordered]
    source = array, strides_of(array, order)
    arguments = (*source, *tables, lengths_of(shape), out, strides_of(out, order))
    engine.launch("labels", kernel, point_grid(shape, _THREADS), _THREADS, arguments)


def _tap_tables(engine: Engine, linear: AxisWeights, nearest: AxisWeights) -> tuple[Any, ...]:
    """Indices below, above and nearest of each output, and the float64 weights of those above."""

    def taps() -> tuple[Any, Any]:
        width = linear.weights.shape[1]
        weight = linear.weights[:, 1] if width == 2 else np.zeros(linear.m)
        index = [linear.start, linear.start + np.int32(width - 1), nearest.start]
        return np.stack(index), np.ascontiguousarray(weight)

    return engine.tables.get(("votes", linear, nearest), taps)
