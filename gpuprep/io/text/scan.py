"""MetaImage and NRRD files: a text header, then voxels as plain bytes or one deflate stream.

Voxels take the same single pass as those of NIfTI, with checksum and length compared: SimpleITK gives
garbage without an error for a MetaImage whose compressed voxels are damaged. The rare encodings that are
neither plain nor deflate (text, hex, bzip2) are left to SimpleITK.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np

from gpuprep.io.by_itk import cannot, checked_bytes, native_reading
from gpuprep.io.frames_on_grid import Grid, embedded, is_part
from gpuprep.io.grid import as_one_slice, check_grid, grid_of
from gpuprep.io.hashed import file_identity
from gpuprep.io.integrity import ByteSource
from gpuprep.io.rules import Reading
from gpuprep.io.scan import FileIdentity, Preview, Scan, Voxels, own_memory, volumes_of
from gpuprep.io.text.header import TextHeader
from gpuprep.io.text.metaimage import read_meta_header
from gpuprep.io.text.nrrd import read_nrrd_header
from gpuprep.io.text.segments import combined
from gpuprep.io.voxels import report_not_finite, settled
from gpuprep.values.geometry import Geometry

_PARSERS = {"metaimage": read_meta_header, "nrrd": read_nrrd_header}


def read_text_volume(
    kind: str, reading: Reading, volume: str = "", image: Grid | None = None
) -> Scan:
    """A ``metaimage`` or ``nrrd`` file (``kind``), attached or detached, compressed or not.

    Components and volumes along a fourth axis become channels (W_4D); but of segments that ``volume`` names
    there is one label map, on the grid of the ``image`` if it is a part of it.

    Raises:
        InputError: E_UNREADABLE, E_TRUNCATED, E_LIMIT, E_PIXEL_TYPE, E_NOT_VOLUME, E_UNSAFE_PATH, or
            what the policy makes an error.
    """
    header = _PARSERS[kind](Path(reading.path))
    geometry = _checked(header, kind, reading, segments=bool(volume))
    heights: tuple[float, ...] = ()
    stored = replace(reading, allocate=own_memory) if volume or image else reading
    voxels, identity = _read_voxels(header, kind, stored)
    if volume or image:
        voxels, geometry, heights = _label(voxels, geometry, reading, volume, image)
    report_not_finite(voxels, reading)
    attached = header.voxel_path == header.path
    return Scan(
        volumes_of(voxels, geometry),
        tuple(reading.findings.items),
        (identity,) if attached else (file_identity(header.path), identity),
        kind,
        {**header.facts, "compression": "none" if header.encoding == "raw" else header.encoding},
        heights,
    )


def peek_text_volume(
    kind: str, reading: Reading, volume: str = "", image: Grid | None = None
) -> Preview:
    """What the header promises."""
    header = _PARSERS[kind](Path(reading.path))
    geometry = _checked(header, kind, reading, segments=bool(volume))
    size = sum(file.stat().st_size for file in {header.path, header.voxel_path})
    told = header.preview(geometry, size, reading)
    if not volume and image is None:
        return told
    grid = image if image is not None and is_part(geometry, image, reading) else Grid(geometry)
    dtype = np.dtype(np.uint16 if volume.count(",") > 254 else np.uint8) if volume else told.dtype
    dtype = np.dtype(dtype)
    decoded = grid.geometry.voxels * dtype.itemsize
    return replace(
        told,
        geometry=grid.geometry,
        heights=grid.heights,
        channels=1 if volume else told.channels,
        dtype=str(dtype),
        decoded_bytes=decoded,
    )


def _label(
    voxels: Voxels, geometry: Geometry, reading: Reading, volume: str, image: Grid | None
) -> tuple[Voxels, Geometry, tuple[float, ...]]:
    """The label map of segments, in the memory that the caller gets."""
    own = replace(reading, allocate=own_memory)
    if volume:
        voxels = combined(voxels, volume, reading if image is None else own)
    if image is None:
        return voxels, geometry, ()
    if len(voxels) > 1 or not is_part(geometry, image, reading):
        return _moved(voxels, reading), geometry, ()
    return embedded(voxels, geometry, image, reading), image.geometry, image.heights


def _moved(voxels: Voxels, reading: Reading) -> Voxels:
    out = reading.allocate(voxels.shape, voxels.dtype)
    out[...] = voxels
    return out


def _checked(
    header: TextHeader, kind: str, reading: Reading, *, segments: bool = False
) -> Geometry:
    header.check(reading.rules)
    if reading.rules.reader == "itk" and not reading.rules.headers_alone:
        _check_readable(header, kind)
    geometry = grid_of(header.affine, header.shape, reading)
    if not header.placed:
        reading.report(
            "W_NO_AFFINE",
            "the header does not place the voxels in the patient; axes were taken as L, P, S",
            advice="Repair the header: the orientation is a guess.",
            ways={"error": "refuses such files", "warn": "takes them"},
        )
    check_grid(geometry, reading, channels=1 if segments else header.channels)
    return as_one_slice(geometry, reading) if header.flat else geometry


def _check_readable(header: TextHeader, kind: str) -> None:
    """Refuse by the header what ITK reads otherwise.

    Raises:
        InputError: E_ITK.
    """
    if kind != "metaimage" or header.encoding != "deflate":
        return
    held, told = header.voxel_path.stat().st_size - header.offset, header.compressed
    if told != held and (told is not None or header.voxel_path == header.path):
        size = "no" if told is None else f"another ({told:,})"
        text = f"it inflates its {held:,} bytes wrongly where the header tells {size} CompressedDataSize"
        raise cannot(header.path, text)


def _read_voxels(header: TextHeader, kind: str, reading: Reading) -> tuple[Voxels, FileIdentity]:
    if header.encoding not in ("raw", "deflate"):
        from gpuprep.io.text.itk_voxels import itk_voxels  # loads SimpleITK: a tenth of a second

        identity = file_identity(header.voxel_path)
        return settled(itk_voxels(header, kind), reading), identity
    encoding: Literal["deflate", "raw"] = "deflate" if header.encoding == "deflate" else "raw"
    with ByteSource(header.voxel_path, start=header.offset, encoding=encoding) as source:
        if reading.rules.reader != "itk":
            return header.read(source, reading)
        identity, _ = checked_bytes(source, header, reading.rules)
    from gpuprep.io.text.itk_voxels import itk_voxels

    with native_reading(reading.path):
        return settled(itk_voxels(header, kind), reading), identity
