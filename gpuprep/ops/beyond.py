"""What lies beyond a volume: outputs of a resampling whose centre is outside the source."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuprep.ops.axis import snapped
from gpuprep.values.grids import GridMapping


def fill_beyond(
    array: NDArray[Any], shape: tuple[int, ...], mapping: GridMapping, value: float
) -> None:
    """Set the voxels of a resampled volume that lie outside a source of ``shape``, in place.

    Outside is an index beyond ``[-½, n - ½)`` along any axis, as ITK has it. In an array of integers the
    value is rounded half to even.
    """
    filling = round(value) if array.dtype.kind in "iu" else value
    rows = zip(shape, mapping.shape, mapping.scale, mapping.offset, strict=True)
    for axis, (n, m, scale, offset) in enumerate(rows):
        index = snapped(m, scale, offset)
        np.moveaxis(array, axis, 0)[(index < -0.5) | (index >= n - 0.5)] = filling
