"""SimpleITK as one decoder among others: named image formats, short errors, nothing taken on faith."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from gpuprep.io.integrity import file_identity
from gpuprep.io.scan import Voxels
from gpuprep.io.text.header import TextHeader
from gpuprep.values.errors import InputError, MemoryShortage
from gpuprep.values.geometry import Geometry

_IMAGE_IO = {"metaimage": "MetaImageIO", "nrrd": "NrrdImageIO"}
_AGREE = 1e-5  # relative to the volume's extent: what two parsers of one header may differ by


def itk_image(path: Path, image_io: str) -> sitk.Image:
    """Read one file with one named reader of ITK.

    Raises:
        InputError: E_UNREADABLE with ITK's reason in one line.
        MemoryShortage: ITK could not have the memory.
        OSError: the file system failed, not the file.
    """
    reader = sitk.ImageFileReader()
    reader.SetImageIO(image_io)
    reader.SetFileName(str(path))
    try:
        image = _executed(reader)
    except RuntimeError as error:
        file_identity(path)  # ITK tells a disk that fails and a damaged file not apart; this does
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


def _executed(reader: sitk.ImageFileReader) -> sitk.Image:
    """What the reader reads, at the second go if the first one failed: the disk may have, for a moment."""
    try:
        return reader.Execute()
    except RuntimeError:
        return reader.Execute()


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


def _reason(text: str) -> str:
    """The last line of an ITK error without source lines and object addresses."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    last = re.sub(r"^.*ITK ERROR:\s*", "", lines[-1] if lines else "no reason given")
    return re.sub(r"\w+\(0x[0-9a-f]+\):\s*", "", last)[:300]
