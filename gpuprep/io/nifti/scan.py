"""NIfTI voxels: one pass over the file, decompressed straight into the array that the caller gets."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from gpuprep.io.grid import as_one_slice, check_grid
from gpuprep.io.hashed import file_identity
from gpuprep.io.integrity import ByteSource
from gpuprep.io.limits import check_capacity, check_inside, check_limits
from gpuprep.io.nifti.affine import nifti_geometry
from gpuprep.io.nifti.header import NiftiHeader, read_header
from gpuprep.io.nifti.itk_voxels import check_readable, itk_voxels
from gpuprep.io.nifti.sidecar import factor_of, sidecars_of
from gpuprep.io.placeholders import is_annex_link
from gpuprep.io.rules import Reading, ReadRules
from gpuprep.io.scan import FileIdentity, Preview, Scan, Voxels, volumes_of
from gpuprep.io.suv import Factor, NoSuvError
from gpuprep.io.uptake import suv_factors
from gpuprep.io.voxels import report_not_finite
from gpuprep.values.errors import InputError
from gpuprep.values.geometry import Geometry


def read_nifti(reading: Reading, volume: str = "") -> Scan:
    """A ``.nii``, ``.nii.gz`` or ``.hdr``/``.img`` pair, NIfTI-1 or NIfTI-2, in either byte order.

    Voxels keep their stored dtype unless the header has a slope or the dtype is wider than 32 bits (see
    ``voxels``). Volumes along the fourth or fifth axis become channels (W_4D); of ``volume`` alone
    (``t0``, ``t1``) nothing but its own voxels is kept.

    Raises:
        InputError: E_UNREADABLE, E_TRUNCATED, E_LIMIT, E_PIXEL_TYPE, E_NOT_VOLUME, or what the policy
            makes an error.
    """
    of_header = _of_header(reading)
    with ByteSource(Path(of_header.path)) as source:
        header = _of_volume(read_header(source), volume, of_header)
        geometry = _checked(header, of_header)
        if header.kind == "single":
            voxels, *identities = _read_voxels(source, header, geometry, of_header)
        else:
            identities = [source.finish(reading.rules)]
    if header.kind != "single":
        with ByteSource(_image_path(source.path, reading.rules)) as source:
            voxels, identity = _read_voxels(source, header, geometry, of_header)
            identities.append(identity)
    report_not_finite(voxels, reading)
    suv, told_by = _uptake(of_header)
    return Scan(
        volumes_of(voxels, geometry),
        tuple(reading.findings.items),
        (*identities, *map(file_identity, told_by)),
        "analyze" if header.kind == "analyze" else f"nifti{header.version}",
        {
            **_facts(header, source),
            **({"volumes": [volume]} if volume else {}),
            **({"suv": suv} if suv else {}),
        },
    )


def peek_nifti(reading: Reading, volume: str = "") -> Preview:
    """What the header promises; only the header and the file sizes are read."""
    of_header = _of_header(reading)
    with ByteSource(Path(of_header.path)) as source:
        whole = read_header(source, any_type=reading.rules.headers_alone)
        header = _of_volume(whole, volume, of_header)
        geometry = _checked(header, of_header)
        size, voxels = source.size, source
    if reading.rules.headers_alone:
        return header.preview(geometry, size, reading)
    if header.kind != "single":
        with ByteSource(_image_path(source.path, reading.rules)) as voxels:
            size += voxels.size
    _check_held(voxels, header)
    _uptake(of_header)
    return header.preview(geometry, size, reading)


def _of_volume(header: NiftiHeader, volume: str, reading: Reading) -> NiftiHeader:
    """The header as if the file held one volume of several alone; as it is where none is named.

    Raises:
        InputError: E_NOT_VOLUME if there is no such volume.
    """
    if not volume:
        return header
    number = int(volume[1:]) if volume[1:].isdecimal() else header.channels
    if number >= header.channels:
        text = f"the file holds no volume {volume!r}, but {header.channels} volumes"
        raise reading.error("E_NOT_VOLUME", text, "Plan again: the file is another than it was.")
    if reading.rules.several_volumes == "first" and header.channels > 1:
        text = f"{header.channels} volumes in one file; the first was taken"
        reading.report("W_4D", text, channels=1)
    return header.only(number)


def _of_header(reading: Reading) -> Reading:
    return replace(reading, path=str(header_path(Path(reading.path))))


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
        path = partner.with_name(stem + candidate)
        if path.is_file() or is_annex_link(path):
            return path
    raise InputError(
        "E_UNREADABLE",
        f"its other half {stem + plain} is missing",
        path=str(partner),
        advice="Keep both files of a pair in one folder.",
    )


def _checked(header: NiftiHeader, reading: Reading) -> Geometry:
    """Limits first, so that a hostile header costs nothing; then geometry."""
    if not reading.rules.headers_alone:
        if reading.rules.reader == "itk":
            check_readable(header, reading.path)
        check_limits(reading.path, header.layout, header.stored.itemsize, reading.rules)
    geometry = nifti_geometry(header, reading)
    check_grid(geometry, reading, channels=header.channels)
    return as_one_slice(geometry, reading) if header.flat else geometry


def _uptake(reading: Reading) -> tuple[dict[str, Any], list[Path]]:
    """The factors of SUV, where asked for, by sidecars of PET; and the files that told them."""
    if not reading.rules.suv:
        return {}, []
    try:
        sidecars = sidecars_of(Path(reading.path), reading.rules)
    except NoSuvError as error:
        reading.report("E_SUV", f"there is no SUV: {error.text}", advice=error.advice)
        return {}, []
    if sidecars is None:
        return {}, []
    files, told = sidecars

    def find(kind: str) -> tuple[Factor, list[str]]:
        return factor_of(told, kind)

    return suv_factors(reading, find), files


def _check_held(source: ByteSource, header: NiftiHeader) -> None:
    needed = header.offset + header.stored_bytes
    check_capacity(source.path, needed, source.size, deflated=source.deflated)


def _read_voxels(
    source: ByteSource, header: NiftiHeader, geometry: Geometry, reading: Reading
) -> tuple[Voxels, FileIdentity]:
    _check_held(source, header)
    source.skip(header.offset - source.position)
    if reading.rules.reader == "itk":
        return itk_voxels(source, header, geometry, reading)
    return header.read(source, reading)


def _facts(header: NiftiHeader, source: ByteSource) -> dict[str, Any]:
    return {
        **header.facts,
        "slope": header.line[0],
        "intercept": header.line[1],
        "compression": "gzip" if source.deflated else "none",
        "sform_code": 0 if header.kind == "analyze" else int(header.fields["sform_code"]),
        "qform_code": 0 if header.kind == "analyze" else int(header.fields["qform_code"]),
    }
