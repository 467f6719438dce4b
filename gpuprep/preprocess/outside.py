"""``label.outside``: background outside the image's foreground as a value of its own, which is no class."""

from __future__ import annotations

from collections.abc import Collection, Mapping, MutableMapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuprep.values.errors import InputError

_WITH_SIGN = (np.int8, np.int16, np.int32)


def dtype_with(outside: int, values: Collection[int]) -> np.dtype[Any] | None:
    """The smallest of int8, int16 and int32 that holds 0, a label map's values and ``outside``."""
    low, high = min(0, outside, *values), max([0, *values])
    for dtype in _WITH_SIGN:
        if np.iinfo(dtype).min <= low and high <= np.iinfo(dtype).max:
            return np.dtype(dtype)
    return None


def bytes_with(outside: int, values: Collection[int]) -> int:
    """Bytes of a voxel of a label map with ``outside``; as many as of the largest where it is refused."""
    dtype = dtype_with(outside, values)
    return np.dtype(np.int32).itemsize if dtype is None else dtype.itemsize


def with_room(
    array: NDArray[Any], values: Collection[int], outside: int | None, name: str, path: str
) -> NDArray[Any]:
    """A label map of these values (but 0) in a dtype that has room for ``outside``; as it is without one.

    Often this is a view: bytes up to 127 are the same with a sign.

    Raises:
        InputError: E_LABEL_VALUES, where the map holds that value itself, or one that is too large.
    """
    if outside is None:
        return array
    if outside in values:
        raise InputError(
            "E_LABEL_VALUES",
            f"label {name} holds {outside}, which label.outside gives to what is outside the foreground",
            path=path,
            advice="give label.outside another value, or that of the file with label.map",
        )
    dtype = dtype_with(outside, values)
    if dtype is None:
        raise InputError(
            "E_LABEL_VALUES",
            f"label {name} holds {max(values)}; with label.outside {outside} it goes up to "
            f"{np.iinfo(np.int32).max}",
            path=path,
            advice="give the value a smaller number with label.map",
        )
    return array.view(dtype) if dtype.itemsize == array.itemsize else array.astype(dtype)


def take_outside(
    counts: Mapping[str, MutableMapping[str, int]], outside: int | None
) -> dict[str, Any]:
    """Take the voxels of ``label.outside`` out of those of the classes; what the record says of them."""
    if outside is None:
        return {}
    voxels = {name: values.pop(str(outside), 0) for name, values in counts.items()}
    return {"outside": {"value": outside, "voxels": voxels}}
