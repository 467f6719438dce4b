"""Whole numbers in another dtype: the same values, or an error."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from gpuprep.values.errors import UsageError


def exactly(array: NDArray[Any], dtype: DTypeLike, what: str) -> NDArray[Any]:
    """The array in another dtype, itself where it has that already.

    >>> exactly(np.array([0, 7], np.int32), np.uint8, "case a, label organ")
    array([0, 7], dtype=uint8)

    Raises:
        UsageError: a value would become another; ``what`` and the value are named.
    """
    wanted = np.dtype(dtype)
    if np.can_cast(array.dtype, wanted) or not array.size:
        return array.astype(wanted, copy=False)
    value = _misfit(array, wanted)
    if value is not None:
        raise UsageError(
            f"{what} holds the value {value}, which does not fit {wanted}",
            advice="bring it to smaller values first, with label.map: {VALUE: VALUE} for instance",
        )
    return array.astype(wanted)


def _misfit(array: NDArray[Any], wanted: np.dtype[Any]) -> float | int | None:
    """A value of the array that another dtype cannot hold; None where there is none."""
    if array.dtype.kind in "iu" and wanted.kind in "iu":
        limits, ends = np.iinfo(wanted), (int(array.min()), int(array.max()))
        return next((end for end in ends if not limits.min <= end <= limits.max), None)
    with np.errstate(invalid="ignore", over="ignore"):
        wrong = array[array.astype(wanted).astype(array.dtype) != array]
    return wrong[0].item() if wrong.size else None
