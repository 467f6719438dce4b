"""Boxes of voxels out of decoded chunks, laid out as a batch of patches by one kernel."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuprep.kernels.loader import Engine
from gpuprep.ops.device.arguments import MOST_GRID

BOX_FIELDS = (
    *("source", "target", "source_slice", "source_row"),
    *("slices", "rows", "columns", "unused"),
)
"""Columns of a table of boxes, as scatter.cu has them; lengths, steps and places are in voxels."""

ZEROS, PADDING = -1, -2
"""In place of a box's source: all of it is zero, or the padding."""

_THREADS = 128
_BLOCKS_PER_BOX = 8  # 32 rows at once, a slice of the usual chunk


def scatter_device(
    engine: Engine, decoded: Any, boxes: Any, out: Any, padding: NDArray[Any]
) -> None:
    """Copy boxes of voxels to their places; they do not overlap there.

    Args:
        engine: Of the device that holds the arrays.
        decoded: uint8, chunks of ``out``'s dtype one after another.
        boxes: int64 ``(n, 8)`` with the columns ``BOX_FIELDS``.
        out: C-contiguous ``..., z, y, x`` of voxels with 1, 2, 4 or 8 bytes.
        padding: One number of ``out``'s dtype.
    """
    if not len(boxes):
        return
    bits = np.dtype(f"u{out.dtype.itemsize}")
    *_, rows, columns = out.shape
    steps = np.int64(rows * columns), np.int64(columns)
    engine.launch(
        "scatter",
        f"scatter_{bits.name}",
        (_BLOCKS_PER_BOX, min(len(boxes), MOST_GRID)),
        _THREADS,
        (
            *(decoded.view(bits), boxes, np.int64(len(boxes))),
            *(out.view(bits), *steps, padding.view(bits)[0]),
        ),
    )


def convert_device(engine: Engine, source: Any, out: Any, misfits: Any) -> None:
    """Write integers as those of another dtype.

    Args:
        engine: Of the device that holds the arrays.
        source: Contiguous, of any integer dtype.
        out: Contiguous, of any integer dtype, as long as ``source``.
        misfits: One uint64, which becomes 1 where a value does not fit the dtype of ``out``.
    """
    count = source.size
    if not count:
        return
    blocks = min(-(-count // _THREADS), MOST_GRID)
    given = (source.view(np.uint8), _kind(source.dtype), np.int64(count))
    arguments = (*given, out.view(np.uint8), _kind(out.dtype), misfits)
    engine.launch("scatter", "convert_integers", (blocks,), _THREADS, arguments)


def _kind(dtype: np.dtype[Any]) -> np.int32:
    return np.int32(dtype.itemsize if dtype.kind == "u" else -dtype.itemsize)
