"""What the first stage of nnU-Net's cascade hands to the second: a segmentation on the second one's grid."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuprep.store.files import FileSeal, write_file
from gpuprep.store.nnunet.b2nd import LABEL_SEARCH, encode_b2nd
from gpuprep.store.nnunet.chunks import chunk_and_block
from gpuprep.values.exact import exactly

WIDE = 255
"""Foreground labels from which nnU-Net takes two bytes for each voxel."""


def write_previous_stage(
    path: Path,
    segmentation: NDArray[Any],
    *,
    patch: Sequence[int],
    foreground: int,
    threads: int = 1,
    durable: bool = True,
) -> FileSeal:
    """Write ``predicted_next_stage/3d_cascade_fullres/CASE.b2nd``; returns its seal.

    The file has three axes, and uint8, or uint16 from 255 labels on, as nnU-Net's trainer reads it.

    Args:
        path: The file.
        segmentation: Labels on the grid of the second stage's image, axes in the stored order.
        patch: Of the first stage's configuration, which nnU-Net cuts the file for.
        foreground: How many labels there are beside background and the ignore label.
        threads: Threads that compress.
        durable: Wait until the bytes are on the disk.

    Raises:
        UsageError: blosc2 is missing, or a value does not fit.
        RunStopped: the disk is full.
        StoreError: the disk refuses otherwise.
    """
    dtype = np.dtype("<u1" if foreground < WIDE else "<u2")
    array = exactly(segmentation, dtype, f"segmentation of {path.stem}")
    chunk, block = chunk_and_block((1, *array.shape), patch, dtype.itemsize)
    pieces = encode_b2nd(
        array, chunk=chunk[1:], block=block[1:], search=LABEL_SEARCH, threads=threads
    )
    return write_file(path, pieces, fsync=durable)
