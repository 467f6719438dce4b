"""MetaImage and NRRD files: a text header, then voxels as plain bytes or one deflate stream.

Voxels take the same single pass as those of NIfTI, with checksum and length compared: SimpleITK gives
garbage without an error for a MetaImage whose compressed voxels are damaged. The rare encodings that are
neither plain nor deflate (text, hex, bzip2) are left to SimpleITK.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from gpuprep.io.grid import as_one_slice, check_grid, grid_of
from gpuprep.io.hashed import file_identity
from gpuprep.io.integrity import ByteSource
from gpuprep.io.rules import Reading
from gpuprep.io.scan import FileIdentity, Preview, Scan, Voxels, volumes_of
from gpuprep.io.text.header import TextHeader
from gpuprep.io.text.metaimage import read_meta_header
from gpuprep.io.text.nrrd import read_nrrd_header
from gpuprep.io.voxels import report_not_finite, settled
from gpuprep.values.geometry import Geometry

_PARSERS = {"metaimage": read_meta_header, "nrrd": read_nrrd_header}


def read_text_volume(kind: str, reading: Reading) -> Scan:
    """A ``metaimage`` or ``nrrd`` file (``kind``), attached or detached, compressed or not.

    Components and volumes along a fourth axis become channels (W_4D).

    Raises:
        InputError: E_UNREADABLE, E_TRUNCATED, E_LIMIT, E_PIXEL_TYPE, E_NOT_VOLUME, E_UNSAFE_PATH, or
            what the policy makes an error.
    """
    header = _PARSERS[kind](Path(reading.path))
    geometry = _checked(header, reading)
    voxels, identity = _read_voxels(header, kind, reading)
    report_not_finite(voxels, reading)
    attached = header.voxel_path == header.path
    return Scan(
        volumes_of(voxels, geometry),
        tuple(reading.findings.items),
        (identity,) if attached else (file_identity(header.path), identity),
        kind,
        {**header.facts, "compression": "none" if header.encoding == "raw" else header.encoding},
    )


def peek_text_volume(kind: str, reading: Reading) -> Preview:
    """What the header promises."""
    header = _PARSERS[kind](Path(reading.path))
    geometry = _checked(header, reading)
    size = sum(file.stat().st_size for file in {header.path, header.voxel_path})
    return header.preview(geometry, size, reading)


def _checked(header: TextHeader, reading: Reading) -> Geometry:
    header.check(reading.rules)
    geometry = grid_of(header.affine, header.shape, reading)
    if not header.placed:
        reading.report(
            "W_NO_AFFINE",
            "the header does not place the voxels in the patient; axes were taken as L, P, S",
            advice="Repair the header: the orientation is a guess.",
            ways={"error": "refuses such files", "warn": "takes them"},
        )
    check_grid(geometry, reading, channels=header.channels)
    return as_one_slice(geometry, reading) if header.flat else geometry


def _read_voxels(header: TextHeader, kind: str, reading: Reading) -> tuple[Voxels, FileIdentity]:
    if header.encoding not in ("raw", "deflate"):
        from gpuprep.io.text.itk_voxels import itk_voxels  # loads SimpleITK: a tenth of a second

        identity = file_identity(header.voxel_path)
        return settled(itk_voxels(header, kind), reading), identity
    encoding: Literal["deflate", "raw"] = "deflate" if header.encoding == "deflate" else "raw"
    with ByteSource(header.voxel_path, start=header.offset, encoding=encoding) as source:
        return header.read(source, reading)
