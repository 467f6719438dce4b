"""Voxels of MetaImage and NRRD in the encodings that are left to SimpleITK: text, hex, bzip2."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gpuprep.io.itk import itk_affine, itk_array, itk_image
from gpuprep.io.scan import Voxels
from gpuprep.io.text.header import TextHeader, unreadable
from gpuprep.values.geometry import Geometry

if TYPE_CHECKING:
    import SimpleITK as sitk

_IMAGE_IO = {"metaimage": "MetaImageIO", "nrrd": "NrrdImageIO"}
_AGREE = 1e-5  # relative to the volume's extent: what two parsers of one header may differ by


def itk_voxels(header: TextHeader, kind: str) -> Voxels:
    """The voxels of a MetaImage or NRRD file, in order c, z, y, x, as ITK reads them.

    Raises:
        InputError: E_UNREADABLE if ITK cannot, or saw another size, dtype or grid than our own parser.
    """
    image = itk_image(header.path, _IMAGE_IO[kind])
    array = itk_array(image)
    declared = (header.channels, *header.shape)
    if array.size != np.prod(declared) or array.dtype != header.native:
        text = f"the header declares {np.prod(declared):,} of {header.native}"
        raise unreadable(header.path, f"ITK read {array.size:,} voxels of {array.dtype}, {text}")
    _check_agreement(image, header)
    if image.GetNumberOfComponentsPerPixel() > 1:
        return np.moveaxis(array.reshape(*header.shape, header.channels), -1, 0)
    return array.reshape(declared)


def _check_agreement(image: sitk.Image, header: TextHeader) -> None:
    """Two independent parsers of one header must place the voxels alike."""
    own = Geometry.from_affine(header.affine, header.shape)
    other = Geometry.from_affine(itk_affine(image)[0], header.shape)
    extent = float(np.linalg.norm(own.corners()[0] - own.corners()[-1])) + 1.0
    if own.distance(other) > _AGREE * extent:
        text = f"our reading of the header ({own.describe()}) and ITK's ({other.describe()}) differ"
        raise unreadable(header.path, text)
