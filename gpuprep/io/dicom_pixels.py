"""DICOM pixels through SimpleITK, slice by slice in the audited order, rescaled exactly once.

GDCM decodes every transfer syntax and applies the rescale line of a file. It applies one line to all
frames of an enhanced file, namely that of the first; where frames differ, its line is taken back (exactly,
as stored pixels are integers) and each frame gets its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from gpuprep.errors import InputError
from gpuprep.io.dicom_header import Slice
from gpuprep.io.itk import itk_image
from gpuprep.io.scan import Allocate, Voxels

Plane = NDArray[Any]


def read_pixels(slices: Sequence[Slice], allocate: Allocate) -> Voxels:
    """The voxels of sorted slices, ``1, z, y, x``; int16 where the rescaled values allow it.

    Raises:
        InputError: E_UNREADABLE if a file cannot be decoded or is not as large as its header says.
    """
    planes: list[Plane] = []
    opened: tuple[str, Plane] = ("", np.empty(0))
    for one in slices:
        if opened[0] != one.path:
            opened = (one.path, _decoded(one))
        planes.append(_narrow(_own_line(opened[1][one.frame], one)))
    dtype = np.result_type(*{plane.dtype for plane in planes})
    dtype = np.dtype("f4") if dtype.kind == "f" else dtype
    voxels = allocate((1, len(planes), slices[0].rows, slices[0].columns), dtype)
    for target, plane in zip(voxels[0], planes, strict=True):
        np.copyto(target, plane, casting="same_kind")
    return voxels


def likely_pixels(slices: Sequence[Slice]) -> np.dtype[Any]:
    """The dtype that ``read_pixels`` will probably give."""
    if any(not number.is_integer() for one in slices for number in one.line):
        return np.dtype("f4")
    one = slices[0]
    if one.line == (1.0, 0.0) and one.bits_allocated <= 16:
        return np.dtype(f"{'i' if one.signed else 'u'}{one.bits_allocated // 8}")
    return np.dtype("i2" if one.bits_allocated <= 16 else "i4")


def _decoded(one: Slice) -> Plane:
    """All frames of a slice's file, ``frame, y, x``, as GDCM rescales them."""
    array = sitk.GetArrayFromImage(itk_image(Path(one.path), "GDCMImageIO"))
    expected = (one.frames, one.rows, one.columns)
    if array.size != np.prod(expected):
        raise InputError(
            "E_UNREADABLE",
            f"decoding gave an array of shape {array.shape}, the header declares {expected}",
            path=one.path,
            advice="Export the file again.",
        )
    return np.asarray(array.reshape(expected))


def _own_line(plane: Plane, one: Slice) -> Plane:
    if one.line == one.file_line:
        return plane
    slope, intercept = one.file_line
    stored = np.rint((plane.astype(np.float64) - intercept) / slope)
    return np.asarray(stored * one.line[0] + one.line[1])


def _narrow(plane: Plane) -> Plane:
    """Integers that GDCM widened as int16 or int32 where they fit; floats as float32."""
    if plane.dtype.kind == "f":
        return plane.astype(np.float32)
    if plane.dtype.itemsize <= 2:
        return plane
    for dtype in (np.int16, np.int32):
        bounds = np.iinfo(dtype)
        if bounds.min <= plane.min() and plane.max() <= bounds.max:
            return plane.astype(dtype)
    return plane
