"""MetaImage and NRRD files: a text header, then voxels as plain bytes or one deflate stream.

Voxels take the same single pass as those of NIfTI, with checksum and length compared: SimpleITK gives
garbage without an error for a MetaImage whose compressed voxels are damaged. The rare encodings that are
neither plain nor deflate (text, hex, bzip2) are left to SimpleITK.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import SimpleITK as sitk

from gpuprep.io.grid import check_grid, grid_of
from gpuprep.io.integrity import ByteSource, file_identity
from gpuprep.io.itk import itk_image
from gpuprep.io.rules import ReadRules
from gpuprep.io.scan import Allocate, FileIdentity, Preview, Scan, Voxels, volumes_of
from gpuprep.io.text.header import TextHeader
from gpuprep.io.text.metaimage import read_meta_header
from gpuprep.io.text.nrrd import read_nrrd_header
from gpuprep.io.voxels import KEPT, likely_dtype, report_not_finite, settled
from gpuprep.values.errors import InputError
from gpuprep.values.findings import Findings
from gpuprep.values.geometry import Geometry

_IMAGE_IO = {"metaimage": "MetaImageIO", "nrrd": "NrrdImageIO"}
_AGREE = 1e-5  # relative to the volume's extent: what two parsers of one header may differ by

_PARSERS = {"metaimage": read_meta_header, "nrrd": read_nrrd_header}


def read_text_volume(
    path: Path, kind: str, rules: ReadRules, findings: Findings, allocate: Allocate
) -> Scan:
    """A ``metaimage`` or ``nrrd`` file (``kind``), attached or detached, compressed or not.

    Components and volumes along a fourth axis become channels (W_4D).

    Raises:
        InputError: E_UNREADABLE, E_TRUNCATED, E_LIMIT, E_PIXEL_TYPE, E_NOT_VOLUME, E_UNSAFE_PATH, or
            what the policy makes an error.
    """
    header = _PARSERS[kind](path)
    geometry = _checked(header, rules, findings)
    if header.encoding in ("raw", "deflate"):
        voxels, identity = _read_voxels(header, rules, findings, allocate)
    else:
        identity = file_identity(header.voxel_path)
        voxels = _final(itk_voxels(header), header, findings, allocate)
    report_not_finite(voxels, findings, path)
    attached = header.voxel_path == path
    return Scan(
        volumes_of(voxels, geometry),
        tuple(findings.items),
        (identity,) if attached else (file_identity(path), identity),
        kind,
        {
            "stored_dtype": str(header.stored.newbyteorder("=")),
            "byte_order": "little" if header.stored.str[0] in "<|" else "big",
            "compression": "none" if header.encoding == "raw" else header.encoding,
        },
    )


def peek_text_volume(path: Path, kind: str, rules: ReadRules, findings: Findings) -> Preview:
    """What the header promises."""
    header = _PARSERS[kind](path)
    geometry = _checked(header, rules, findings)
    dtype = likely_dtype(header.stored.newbyteorder("="), 1.0, 0.0)
    files = {path, header.voxel_path}
    return Preview(
        geometry,
        header.channels,
        str(dtype),
        geometry.voxels * header.channels * dtype.itemsize,
        sum(file.stat().st_size for file in files),
        tuple(findings.items),
    )


def _checked(header: TextHeader, rules: ReadRules, findings: Findings) -> Geometry:
    header.check(rules)
    geometry = grid_of(header.affine, header.shape, rules, findings, header.path)
    if not header.placed:
        findings.report(
            "W_NO_AFFINE",
            "the header does not place the voxels in the patient; axes were taken as L, P, S",
            path=header.path,
            advice="The orientation is a guess. Set the policy of W_NO_AFFINE to error to refuse it.",
        )
    check_grid(geometry, rules, findings, header.path)
    if header.channels > 1:
        findings.report(
            "W_4D",
            f"{header.channels} volumes in one file; each became a channel",
            path=header.path,
            channels=header.channels,
        )
    return geometry


def _read_voxels(
    header: TextHeader, rules: ReadRules, findings: Findings, allocate: Allocate
) -> tuple[Voxels, FileIdentity]:
    native = header.stored.newbyteorder("=")
    direct = native in KEPT and header.channel_axis in (None, 0)
    shape = (header.channels, *header.shape)
    stored = allocate(shape, native) if direct else np.empty(header.layout, native)
    encoding: Literal["deflate", "raw"] = "deflate" if header.encoding == "deflate" else "raw"
    with ByteSource(header.voxel_path, start=header.offset, encoding=encoding) as source:
        source.fill(stored)
        identity = source.finish(rules)
    if not header.stored.isnative:
        stored.byteswap(inplace=True)
    if direct:
        return stored, identity
    channels = np.moveaxis(stored, header.channel_axis or 0, 0).reshape(shape)
    return _final(channels, header, findings, allocate), identity


def _final(stored: Voxels, header: TextHeader, findings: Findings, allocate: Allocate) -> Voxels:
    if stored.dtype not in KEPT:
        return settled(stored, allocate, findings, header.path)
    voxels = allocate(stored.shape, stored.dtype)
    np.copyto(voxels, stored)
    return voxels


def itk_voxels(header: TextHeader) -> Voxels:
    """The voxels of a MetaImage or NRRD file, in order c, z, y, x, as ITK reads them.

    Raises:
        InputError: E_UNREADABLE if ITK cannot, or saw another size, dtype or grid than our own parser.
    """
    image = itk_image(header.path, _IMAGE_IO[header.format])
    array = sitk.GetArrayFromImage(image)
    declared = (header.channels, *header.shape)
    native = header.stored.newbyteorder("=")
    if array.size != np.prod(declared) or array.dtype != native:
        raise InputError(
            "E_UNREADABLE",
            f"ITK read {array.size:,} voxels of {array.dtype}, "
            f"the header declares {np.prod(declared):,} of {native}",
            path=str(header.path),
            advice="Write the file again with a current tool.",
        )
    _check_agreement(image, header)
    if image.GetNumberOfComponentsPerPixel() > 1:
        return np.moveaxis(array.reshape(*header.shape, header.channels), -1, 0)
    return array.reshape(declared)


def _check_agreement(image: sitk.Image, header: TextHeader) -> None:
    """Two independent parsers of one header must place the voxels alike."""
    axes = min(3, image.GetDimension())
    own = Geometry.from_affine(header.affine, header.shape)
    direction = np.reshape(image.GetDirection(), (image.GetDimension(),) * 2)[:axes, :axes]
    affine = np.eye(4)
    affine[:axes, :axes] = direction * np.array(image.GetSpacing()[:axes])
    affine[:axes, 3] = image.GetOrigin()[:axes]
    other = Geometry.from_affine(affine, header.shape)
    extent = float(np.linalg.norm(own.corners()[0] - own.corners()[-1])) + 1.0
    if own.distance(other) > _AGREE * extent:
        raise InputError(
            "E_UNREADABLE",
            f"our reading of the header ({own.describe()}) and ITK's ({other.describe()}) differ",
            path=str(header.path),
            advice="Write the file again with a current tool.",
        )
