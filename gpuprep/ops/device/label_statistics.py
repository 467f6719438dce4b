"""Statistics of an image per label on a device, in one pass over image and labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gpuprep.kernels.loader import Engine
from gpuprep.ops.device.arguments import LABELS, lengths_of, point_grid, source_name, strides_of
from gpuprep.ops.device.pointwise import empty_like
from gpuprep.ops.gather import memory_order
from gpuprep.ops.label_statistics import LabelStatistics, check_labels, collect

_THREADS = 128
_GROUP_BYTES = 4 * 40  # of shared memory per label: four warps
_BLOCKS = 256  # at most; sums of float64 depend on it, so it is the same everywhere


def measure_labels_device(
    engine: Engine, array: Any, labels: Any, names: Sequence[int] | None = None
) -> dict[int, LabelStatistics]:
    """``ops.label_statistics.measure_labels``: equal but for the last digits of float64 sums.

    The same array gives the same bits every time. ``array`` is bool, int8, uint8, int16, uint16, int32,
    float32 or float64, ``labels`` any native integer; any strides.

    Raises:
        ValueError: unequal shapes, or too many names.
        TypeError: another dtype.
    """
    wanted = check_labels(array, labels, names)
    voxels = array.view(np.uint8) if array.dtype == np.bool_ else array
    kernel = f"grouped_{source_name(voxels.dtype)}"
    if labels.dtype not in LABELS:
        raise TypeError(f"labels are native integers, not {labels.dtype}")
    if not wanted or not voxels.size:
        return collect(wanted, *np.zeros((3, len(wanted), 2)), every=names is not None)
    ranks = _ranked(engine, labels, wanted)
    order = memory_order(voxels)
    exact = voxels.dtype.kind in "iu" and voxels.itemsize <= 2
    blocks = min(_BLOCKS, voxels.shape[order[0]] * voxels.shape[order[1]])
    kinds = (np.int64 if exact else np.float64, np.float64, np.uint64)
    tables = [engine.xp.empty((blocks, len(wanted), 2), kind) for kind in kinds]
    arguments = (
        voxels,
        strides_of(voxels, order),
        ranks,
        strides_of(ranks, order),
        lengths_of([voxels.shape[axis] for axis in order]),
        np.int32(len(wanted)),
        *tables,
    )
    shared_bytes = _GROUP_BYTES * len(wanted)
    engine.launch("label_statistics", kernel, (blocks,), _THREADS, arguments, shared_bytes)
    sums, ends, numbers = (engine.to_host(table) for table in tables)
    extremes = np.stack([ends[:, :, 0].min(0), ends[:, :, 1].max(0)], 1)
    total, found = sums.sum(0), numbers.sum(0)
    return collect(wanted, total, extremes, found, every=names is not None)


def _ranked(engine: Engine, labels: Any, names: Sequence[int]) -> Any:
    """uint8: the place of each label among the names, from 1; labels that are their own place stay."""
    if labels.dtype == np.uint8 and list(names) == list(range(1, len(names) + 1)):
        return labels
    out = empty_like(engine, labels, np.uint8)
    order = memory_order(labels)
    shape = [labels.shape[axis] for axis in order]
    arguments = (
        labels,
        strides_of(labels, order),
        lengths_of(shape),
        engine.xp.asarray(np.array(names, np.int64)),
        np.int32(len(names)),
        out,
        strides_of(out, order),
    )
    kernel = f"ranked_{labels.dtype.name}"
    engine.launch("label_statistics", kernel, point_grid(shape, _THREADS), _THREADS, arguments)
    return out
