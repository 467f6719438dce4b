"""MetaImage and NRRD voxels through SimpleITK, once our own reading of the header has passed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from gpuprep.errors import InputError, MemoryShortage
from gpuprep.findings import Findings
from gpuprep.geometry import Geometry
from gpuprep.io.grid import check_grid, grid_of
from gpuprep.io.integrity import file_identity
from gpuprep.io.meta_header import read_meta_header
from gpuprep.io.nrrd_header import read_nrrd_header
from gpuprep.io.rules import ReadRules
from gpuprep.io.scan import Allocate, Preview, Scan, Voxels, volumes_of
from gpuprep.io.text_header import TextHeader
from gpuprep.io.voxels import KEPT, likely_dtype, report_not_finite, settled

_PARSERS = {"metaimage": read_meta_header, "nrrd": read_nrrd_header}
_IMAGE_IO = {"metaimage": "MetaImageIO", "nrrd": "NrrdImageIO"}
_AGREE = 1e-5  # relative to the volume's extent: what two parsers of one header may differ by


def read_itk(
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
    paths = dict.fromkeys((path, header.voxel_path))
    identity = tuple(file_identity(file) for file in paths)
    image = itk_image(path, _IMAGE_IO[kind])
    stored = _channels_first(image, header)
    _check_agreement(image, header)
    if stored.dtype in KEPT:
        voxels = allocate(stored.shape, stored.dtype)
        np.copyto(voxels, stored)
    else:
        voxels = settled(stored, allocate, findings, path)
    report_not_finite(voxels, findings, path)
    facts: dict[str, Any] = {"stored_dtype": str(header.stored), "compression": header.encoding}
    return Scan(volumes_of(voxels, geometry), tuple(findings.items), identity, kind, facts)


def peek_itk(path: Path, kind: str, rules: ReadRules, findings: Findings) -> Preview:
    """What the header promises, by our own parser alone: no native code runs."""
    header = _PARSERS[kind](path)
    geometry = _checked(header, rules, findings)
    dtype = likely_dtype(header.stored, 1.0, 0.0)
    files = {path, header.voxel_path}
    return Preview(
        geometry,
        header.channels,
        str(dtype),
        geometry.voxels * header.channels * dtype.itemsize,
        sum(file.stat().st_size for file in files),
        tuple(findings.items),
    )


def itk_image(path: Path, image_io: str) -> sitk.Image:
    """Read one file with one named reader of ITK.

    Raises:
        InputError: E_UNREADABLE with ITK's reason in one line.
        MemoryShortage: ITK could not have the memory.
    """
    reader = sitk.ImageFileReader()
    reader.SetImageIO(image_io)
    reader.SetFileName(str(path))
    try:
        image: sitk.Image = reader.Execute()
    except RuntimeError as error:
        reason = _reason(str(error))
        if re.search(r"allocate|bad_alloc|memory", reason, re.IGNORECASE):
            raise MemoryShortage(f"{path}: {reason}") from error
        raise InputError(
            "E_UNREADABLE",
            f"ITK cannot read it: {reason}",
            path=str(path),
            advice="Copy or download the file again, or write it anew.",
        ) from error
    return image


def _reason(text: str) -> str:
    """The last line of an ITK error without source lines and object addresses."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    last = re.sub(r"^.*ITK ERROR:\s*", "", lines[-1] if lines else "no reason given")
    return re.sub(r"\w+\(0x[0-9a-f]+\):\s*", "", last)[:300]


def _checked(header: TextHeader, rules: ReadRules, findings: Findings) -> Geometry:
    header.check(rules)
    geometry = grid_of(header.affine, header.shape, rules, findings, header.path)
    if not header.placed:
        findings.report(
            "W_NO_AFFINE",
            "the header has no spacing and directions; 1 mm or its bare spacings were used",
            path=header.path,
            advice="The orientation is a guess (LPS). Set the policy of this code to refuse it.",
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


def _channels_first(image: sitk.Image, header: TextHeader) -> Voxels:
    """A view in order c, z, y, x; refuses what differs from the declared shape and dtype."""
    array = sitk.GetArrayViewFromImage(image)
    declared = header.channels * int(np.prod(header.shape))
    if array.size != declared or array.dtype != header.stored:
        raise InputError(
            "E_UNREADABLE",
            f"ITK read {array.size:,} voxels of {array.dtype}, the header declares "
            f"{declared:,} of {header.stored}",
            path=str(header.path),
            advice="Write the file again with a current tool.",
        )
    if image.GetNumberOfComponentsPerPixel() > 1:
        return np.moveaxis(array.reshape(*header.shape, header.channels), -1, 0)
    return np.asarray(array.reshape(header.channels, *header.shape))


def _check_agreement(image: sitk.Image, header: TextHeader) -> None:
    """Two independent parsers of one header must place the voxels alike."""
    axes = min(3, image.GetDimension())
    own = Geometry.from_affine(header.affine, header.shape)
    direction = np.eye(3)
    full = np.reshape(image.GetDirection(), (image.GetDimension(),) * 2)
    direction[:axes, :axes] = full[:axes, :axes]
    affine = np.eye(4)
    affine[:3, :3] = direction * np.array([*image.GetSpacing()[:axes], 1.0, 1.0][:3])
    affine[:axes, 3] = image.GetOrigin()[:axes]
    other = Geometry.from_affine(affine, header.shape)
    extent = float(np.linalg.norm(own.corners()[0] - own.corners()[-1])) + 1.0
    if own.distance(other) > _AGREE * extent:
        raise InputError(
            "E_NO_GEOMETRY",
            f"our reading of the header ({own.describe()}) and ITK's ({other.describe()}) differ",
            path=str(header.path),
            advice="Write the file again with a current tool.",
        )
