"""DICOM pixels, slice by slice in the audited order, each given its meaning exactly once, by its own line.

Plain pixels are read straight out of the file: no decoder has a say in what they mean. Compressed ones come
from a decoder (see ``decoded``). Where it applied another line than the frame's, that is taken back.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuprep.io.dicom.decoded import Frames, decoded_frames
from gpuprep.io.dicom.deflated import MOST_AROUND, open_plain
from gpuprep.io.dicom.itk_pixels import itk_planes
from gpuprep.io.dicom.meaning import narrow, stored_again, voxels_of
from gpuprep.io.dicom.slice import Slice
from gpuprep.io.rules import Reading
from gpuprep.io.scan import Voxels
from gpuprep.io.voxels import KEPT
from gpuprep.values.errors import InputError

Plane = NDArray[Any]


def read_pixels(slices: Sequence[Slice], reading: Reading, volumes: int = 1) -> Voxels:
    """The voxels of sorted slices, ``c, z, y, x``; int16 where the rescaled values allow it.

    ``volumes`` lie one after the other in the slices, all of one size.

    Raises:
        InputError: E_UNREADABLE if a file cannot be decoded or is not as large as its header says;
            E_PIXEL_TYPE if pixels use bits that the header declares unused.
    """
    return gathered(list(_planes(slices, reading)), reading, volumes)


def gathered(planes: Sequence[Plane], reading: Reading, volumes: int = 1) -> Voxels:
    """Planes as one array ``c, z, y, x`` of a dtype that holds all; ``volumes`` lie one after the other."""
    dtype = np.result_type(*{plane.dtype for plane in planes})
    dtype = dtype if dtype in KEPT else np.dtype("f4")
    rows, columns = planes[0].shape
    voxels = reading.allocate((volumes, len(planes) // volumes, rows, columns), dtype)
    for target, plane in zip(voxels.reshape(-1, rows, columns), planes, strict=True):
        np.copyto(target, plane, casting="same_kind")
    return voxels


def _planes(slices: Sequence[Slice], reading: Reading) -> Iterator[Plane]:
    mirrored = reading.findings.fixes("W_MONOCHROME1")
    seen = itk_planes(slices) if reading.rules.reader == "itk" else None
    opened: tuple[str, Any] = ("", None)
    overfull = 0
    for one in slices:
        if is_native(one):
            if one.deflated and opened[0] != one.path:
                opened = (one.path, open_deflated(one))
            stored, odd = stored_pixels(native_bytes(one, opened[1] if one.deflated else None), one)
            overfull += 0 if one.overlay else odd
            yield next(seen) if seen else voxels_of(stored, one, mirrored=mirrored)
            continue
        if seen:
            yield next(seen)
            continue
        if opened[0] != one.path:
            opened = (one.path, decoded_frames(one.image))
        values, odd = _of_decoded(opened[1], one, mirrored=mirrored)
        overfull += 0 if one.overlay else odd
        yield values
    if overfull:
        _report_overfull(overfull, slices[0], reading)


def _of_decoded(frames: Frames, one: Slice, *, mirrored: bool) -> tuple[Plane, int]:
    plane, odd = _tile_of(frames.planes[one.frame], one), 0
    if frames.whole:
        stored = stored_again(plane, frames.line)
        kept, odd = masked(stored.astype(_word(one)), one)
        return voxels_of(kept, one, mirrored=mirrored), odd
    if one.line == frames.line and one.table is None and not mirrored:
        return narrow(plane), odd
    return voxels_of(stored_again(plane, frames.line), one, mirrored=mirrored), odd


def _tile_of(plane: Plane, one: Slice) -> Plane:
    if one.tile is None:
        return plane
    top, left = one.tile.top, one.tile.left
    return plane[top : top + one.rows, left : left + one.columns]


def likely_pixels(slices: Sequence[Slice]) -> np.dtype[Any]:
    """The dtype that ``read_pixels`` will probably give."""
    if (table := slices[0].table) is not None:
        return table.meanings.dtype.newbyteorder("=")
    if any(not number.is_integer() for one in slices for number in one.line):
        return np.dtype("f4")
    one = slices[0]
    if one.line == (1.0, 0.0) and one.bits_allocated <= 16:
        return np.dtype(f"{'i' if one.signed else 'u'}{one.bits_allocated // 8}")
    return np.dtype("i2" if one.bits_allocated <= 16 else "i4")


def is_native(one: Slice) -> bool:
    """Whether pixels are plain words; those of 8 bits may be swapped in pairs where words are big-endian."""
    return not one.compressed and not (one.big_endian and one.bits_allocated == 8)


def open_deflated(one: Slice) -> io.IOBase:
    """The file of a slice as ``open_plain`` has it, as much of it as its header explains."""
    image = one.image
    needed = image.frames * image.rows * image.columns * image.samples * image.bits_allocated // 8
    return open_plain(Path(one.path), needed + MOST_AROUND)


def native_bytes(one: Slice, file: io.IOBase | None = None) -> bytes:
    """The pixels of a native slice as they lie in its file, which may be open already.

    Raises:
        InputError: E_TRUNCATED if the file ends before them.
    """
    if file is None:
        with open_deflated(one) as opened:
            return native_bytes(one, opened)
    pixel = one.samples * one.bits_allocated // 8
    line = (one.tile.columns if one.tile else one.columns) * pixel
    needed = one.rows * line
    file.seek(one.header_bytes + (one.tile.top * line if one.tile else one.frame * needed))
    held: bytes = file.read(needed)
    if len(held) != needed:
        text = f"frame {one.frame} has {len(held):,} of {needed:,} bytes"
        raise InputError("E_TRUNCATED", text, path=one.path, advice="Copy the file again.")
    if one.tile is None:
        return held
    left = one.tile.left * pixel
    lines = np.frombuffer(held, np.uint8).reshape(one.rows, line)
    return lines[:, left : left + one.columns * pixel].tobytes()


def stored_pixels(held: bytes, one: Slice) -> tuple[Plane, int]:
    """Pixels ``y, x`` of the bytes of a native slice, and how many use bits that are declared unused."""
    stored = _word(one, ">" if one.big_endian else "<")
    words = np.frombuffer(held, stored).reshape(one.rows, one.columns)
    return masked(words.astype(stored.newbyteorder("="), copy=False), one)


def _word(one: Slice, order: str = "=") -> np.dtype[Any]:
    return np.dtype(f"{order}{'i' if one.signed else 'u'}{one.bits_allocated // 8}")


def masked(words: Plane, one: Slice) -> tuple[Plane, int]:
    """The declared bits of words, and how many words use others.

    A pixel is the ``bits_stored`` bits that end at ``high_bit`` (PS3.5, 8.1.1). The bits above are
    zeros, or copies of the sign.
    """
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
