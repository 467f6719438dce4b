"""DICOM pixels, slice by slice in the audited order, rescaled exactly once by each slice's own line.

Plain pixels are read straight out of the file: no decoder has a say in what they mean. Compressed ones are
decoded by GDCM, which applies a rescale line: one to all frames of a file. Where a frame has another, GDCM's
is taken back (exactly, as stored pixels are integers).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuprep.io.dicom.header import damaged
from gpuprep.io.dicom.slice import Slice
from gpuprep.io.hashed import open_regular
from gpuprep.io.itk import itk_array, itk_image
from gpuprep.io.rules import Reading
from gpuprep.io.scan import Voxels
from gpuprep.io.voxels import KEPT, fitting
from gpuprep.values.errors import InputError

Plane = NDArray[Any]

_LARGEST = 2**30  # a slope with which pixels of 32 bits are still exact in int64


def read_pixels(slices: Sequence[Slice], reading: Reading, volumes: int = 1) -> Voxels:
    """The voxels of sorted slices, ``c, z, y, x``; int16 where the rescaled values allow it.

    ``volumes`` lie one after the other in the slices, all of one size.

    Raises:
        InputError: E_UNREADABLE if a file cannot be decoded or is not as large as its header says;
            E_PIXEL_TYPE if pixels use bits that the header declares unused.
    """
    planes: list[Plane] = []
    opened: tuple[str, Plane] = ("", np.empty(0))
    overfull = 0
    for one in slices:
        if is_native(one):
            stored, odd = _native_pixels(one)
            planes.append(_narrow(_rescaled(stored, one)))
            overfull += 0 if one.overlay else odd
            continue
        if opened[0] != one.path:
            opened = (one.path, _decoded(one.image))
        planes.append(_narrow(_own_line(_tile_of(opened[1][one.frame], one), one)))
    if overfull:
        _report_overfull(overfull, slices[0], reading)
    dtype = np.result_type(*{plane.dtype for plane in planes})
    dtype = dtype if dtype in KEPT else np.dtype("f4")
    deep, rows, columns = len(planes) // volumes, slices[0].rows, slices[0].columns
    voxels = reading.allocate((volumes, deep, rows, columns), dtype)
    for target, plane in zip(voxels.reshape(-1, rows, columns), planes, strict=True):
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


def is_native(one: Slice) -> bool:
    """Whether pixels are plain words; those of 8 bits may be swapped in pairs where words are big-endian."""
    return not one.compressed and not (one.big_endian and one.bits_allocated == 8)


def native_bytes(one: Slice) -> bytes:
    """The pixels of a native slice as they lie in the file.

    Raises:
        InputError: E_TRUNCATED if the file ends before them.
    """
    pixel = one.samples * one.bits_allocated // 8
    line = (one.tile.columns if one.tile else one.columns) * pixel
    needed = one.rows * line
    with open_regular(Path(one.path)) as file:
        start = one.tile.top * line if one.tile else one.frame * needed
        file.seek(one.header_bytes + start)
        held = file.read(needed)
    if len(held) != needed:
        text = f"frame {one.frame} has {len(held):,} of {needed:,} bytes"
        raise InputError("E_TRUNCATED", text, path=one.path, advice="Copy the file again.")
    if one.tile is None:
        return held
    left = one.tile.left * pixel
    lines = np.frombuffer(held, np.uint8).reshape(one.rows, line)
    return lines[:, left : left + one.columns * pixel].tobytes()


def _native_pixels(one: Slice) -> tuple[Plane, int]:
    """Stored pixels ``y, x`` of a native slice, and how many of them use bits that are declared unused.

    A pixel is the ``bits_stored`` bits that end at ``high_bit`` (PS3.5, 8.1.1). The bits above are
    zeros, or copies of the sign.
    """
    order = ">" if one.big_endian else "<"
    stored = np.dtype(f"{order}{'i' if one.signed else 'u'}{one.bits_allocated // 8}")
    words = np.frombuffer(native_bytes(one), stored).reshape(one.rows, one.columns)
    words = words.astype(stored.newbyteorder("="), copy=False)
    above = one.bits_allocated - 1 - one.high_bit
    below = one.high_bit + 1 - one.bits_stored
    if above == below == 0:
        return words, 0
    pixels = (words << above) >> (above + below)
    used = words != pixels << below
    if one.signed:
        used &= words >> (one.high_bit + 1) != 0
    return pixels, int(np.count_nonzero(used))


def _report_overfull(count: int, one: Slice, reading: Reading) -> None:
    replace(reading, path=one.path).report(
        "E_PIXEL_TYPE",
        f"{count:,} pixels use bits outside of the {one.bits_stored} up to bit {one.high_bit} that the "
        "header declares, and no overlay is declared there",
        advice="Repair BitsStored and HighBit if the pixels are whole words.",
        ways={"warn": "takes the declared bits alone"},
        pixels=count,
    )


def _rescaled(stored: Plane, one: Slice) -> Plane:
    slope, intercept = one.line
    if one.line == (1.0, 0.0):
        return stored
    whole = slope.is_integer() and intercept.is_integer()
    if whole and max(abs(slope), abs(intercept)) < _LARGEST:
        return np.asarray(stored.astype(np.int64) * int(slope) + int(intercept))
    return np.asarray(stored * slope + intercept)


def _decoded(one: Slice) -> Plane:
    """All frames of a slice's file, ``frame, y, x``, as GDCM rescales them."""
    array = itk_array(itk_image(Path(one.path), "GDCMImageIO"))
    expected = (one.frames, one.rows, one.columns)
    if array.size != np.prod(expected):
        text = f"decoding gave an array of shape {array.shape}, the header declares {expected}"
        raise damaged(one.path, text)
    return np.asarray(array.reshape(expected))


def _tile_of(plane: Plane, one: Slice) -> Plane:
    if one.tile is None:
        return plane
    top, left = one.tile.top, one.tile.left
    return plane[top : top + one.rows, left : left + one.columns]


def _own_line(plane: Plane, one: Slice) -> Plane:
    if one.line == one.file_line:
        return plane
    slope, intercept = one.file_line
    stored = np.rint((plane.astype(np.float64) - intercept) / slope)
    return _rescaled(stored.astype(np.int64), one)


def _narrow(plane: Plane) -> Plane:
    """Whole numbers that rescaling widened as int16 or int32 where they fit; others as float32."""
    if plane.dtype.kind != "f" and plane.dtype.itemsize <= 2:
        return plane
    if plane.dtype.kind != "f":
        dtype = fitting(int(plane.min()), int(plane.max()), "i2", "i4")
        if dtype.kind != "f":
            return plane.astype(dtype)
    with np.errstate(over="ignore"):  # infinite voxels are reported
        return plane if plane.dtype in KEPT else plane.astype(np.float32)
