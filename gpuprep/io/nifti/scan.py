"""NIfTI voxels: one pass over the file, decompressed straight into the array that the caller gets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from gpuprep.io.grid import check_grid
from gpuprep.io.integrity import ByteSource
from gpuprep.io.limits import check_capacity, check_inside, check_limits
from gpuprep.io.nifti.affine import nifti_geometry
from gpuprep.io.nifti.header import NiftiHeader, read_header
from gpuprep.io.rules import ReadRules
from gpuprep.io.scan import Allocate, FileIdentity, Preview, Scan, Voxels, volumes_of
from gpuprep.io.voxels import KEPT, likely_dtype, report_not_finite, rescaled, settled
from gpuprep.values.errors import InputError
from gpuprep.values.findings import Findings
from gpuprep.values.geometry import Geometry


def read_nifti(path: Path, rules: ReadRules, findings: Findings, allocate: Allocate) -> Scan:
    """A ``.nii``, ``.nii.gz`` or ``.hdr``/``.img`` pair, NIfTI-1 or NIfTI-2, in either byte order.

    Voxels keep their stored dtype unless the header has a slope or the dtype is wider than 32 bits (see
    ``voxels``). Volumes along the fourth or fifth axis become channels (W_4D).

    Raises:
        InputError: E_UNREADABLE, E_TRUNCATED, E_LIMIT, E_PIXEL_TYPE, E_NOT_VOLUME, or what the policy
            makes an error.
    """
    identity: list[FileIdentity] = []
    with ByteSource(header_path(path)) as source:
        header = read_header(source)
        geometry = _checked(header, rules, findings)
        if header.kind == "single":
            voxels = _read_voxels(source, header, rules, findings, allocate)
        identity.append(source.finish(rules))
    if header.kind != "single":
        with ByteSource(_image_path(source.path, rules)) as source:
            voxels = _read_voxels(source, header, rules, findings, allocate)
            identity.append(source.finish(rules))
    report_not_finite(voxels, findings, path)
    return Scan(
        volumes_of(voxels, geometry),
        tuple(findings.items),
        tuple(identity),
        "analyze" if header.kind == "analyze" else f"nifti{header.version}",
        _facts(header, source),
    )


def peek_nifti(path: Path, rules: ReadRules, findings: Findings) -> Preview:
    """What the header promises; only the header and the file sizes are read."""
    with ByteSource(header_path(path)) as source:
        header = read_header(source)
        geometry = _checked(header, rules, findings)
        size, voxels = source.size, source
    if header.kind != "single":
        with ByteSource(_image_path(source.path, rules)) as voxels:
            size += voxels.size
    needed = header.offset + _stored_bytes(header)
    check_capacity(voxels.path, needed, voxels.size, deflated=voxels.deflated)
    dtype = likely_dtype(header.stored.newbyteorder("="), header.slope, header.intercept)
    decoded = geometry.voxels * header.channels * dtype.itemsize
    return Preview(geometry, header.channels, str(dtype), decoded, size, tuple(findings.items))


def header_path(path: Path) -> Path:
    """The file with the header: of a pair this is ``.hdr``, whichever of the two was named."""
    name = path.name
    for image, header in ((".img.gz", ".hdr.gz"), (".img", ".hdr")):
        if name.lower().endswith(image):
            return _existing(path, name[: -len(image)], header)
    return path


def _image_path(header: Path, rules: ReadRules) -> Path:
    name = header.name
    stem = name[: name.lower().rindex(".hdr")] if ".hdr" in name.lower() else header.stem
    path = _existing(header, stem, ".img.gz" if name.lower().endswith(".gz") else ".img")
    check_inside(path, rules)
    return path


def _existing(partner: Path, stem: str, suffix: str) -> Path:
    """The other file of a pair, compressed or not."""
    plain = suffix.removesuffix(".gz")
    for candidate in (suffix, plain, f"{plain}.gz", plain.upper()):
        if (path := partner.with_name(stem + candidate)).is_file():
            return path
    raise InputError(
        "E_UNREADABLE",
        f"its other half {stem + plain} is missing",
        path=str(partner),
        advice="Keep both files of a pair in one folder.",
    )


def _checked(header: NiftiHeader, rules: ReadRules, findings: Findings) -> Geometry:
    """Limits first, so that a hostile header costs nothing; then geometry."""
    check_limits(header.path, (header.channels, *header.shape), header.stored.itemsize, rules)
    geometry = nifti_geometry(header, rules, findings)
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
    source: ByteSource,
    header: NiftiHeader,
    rules: ReadRules,
    findings: Findings,
    allocate: Allocate,
) -> Voxels:
    needed = header.offset + _stored_bytes(header)
    check_capacity(source.path, needed, source.size, deflated=source.deflated)
    source.skip(header.offset - source.position)
    shape = (header.channels, *header.shape)
    native = header.stored.newbyteorder("=")
    direct = native in KEPT and not header.scaled
    stored = allocate(shape, native) if direct else np.empty(shape, native)
    source.fill(stored)
    if not header.stored.isnative:
        stored.byteswap(inplace=True)
    if direct:
        return stored
    if header.scaled:
        return rescaled(stored, header.slope, header.intercept, allocate)
    return settled(stored, allocate, findings, header.path)


def _stored_bytes(header: NiftiHeader) -> int:
    z, y, x = header.shape
    return header.channels * z * y * x * header.stored.itemsize


def _facts(header: NiftiHeader, source: ByteSource) -> dict[str, Any]:
    return {
        "stored_dtype": str(header.stored.newbyteorder("=")),
        "byte_order": "little" if header.stored.str[0] in "<|" else "big",
        "slope": header.slope,
        "intercept": header.intercept,
        "compression": "gzip" if source.deflated else "none",
        "sform_code": 0 if header.kind == "analyze" else int(header.fields["sform_code"]),
        "qform_code": 0 if header.kind == "analyze" else int(header.fields["qform_code"]),
    }
