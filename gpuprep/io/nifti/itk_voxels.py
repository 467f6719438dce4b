"""The voxels of a NIfTI file as ITK reads them, under ``input.reader: itk``."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gpuprep.io.by_itk import cannot, check_place, checked_bytes, native_reading
from gpuprep.io.integrity import ByteSource
from gpuprep.io.nifti.header import NiftiHeader
from gpuprep.io.rules import Reading
from gpuprep.io.scan import FileIdentity, Voxels
from gpuprep.io.voxels import fitting, settled
from gpuprep.values.geometry import Geometry

_VECTORS = (1006, 1007)  # intent codes: displacements and vectors
_EXACT_IN_FLOAT32 = 2**24
_NONE = float(np.finfo(np.float64).eps)


def check_readable(header: NiftiHeader, path: str) -> None:
    """Refuse by the header what ITK cannot read, or reads otherwise.

    Raises:
        InputError: E_ITK.
    """
    scaled, kind = header.line != (1.0, 0.0), header.native.kind
    fifth = int(header.fields["dim"][0]) > 4
    if header.version == 2:
        raise cannot(path, "it reads no NIfTI-2")
    if fifth and scaled:
        raise cannot(path, "it dies of files of five dimensions that have a slope")
    if fifth and int(header.fields["intent_code"]) in _VECTORS:
        raise cannot(path, "it turns vectors from RAS to LPS")
    if header.offset and not float(header.fields["vox_offset"]):
        raise cannot(path, "it takes voxels from byte 348 on where the header tells no vox_offset")
    slope, intercept = map(abs, header.line)
    if scaled and (slope <= _NONE or (slope == 1 and intercept <= _NONE)):
        raise cannot(path, "it takes slopes and intercepts as small as these for none")
    if scaled and kind in "iu" and header.native.itemsize > 2:
        raise cannot(
            path, f"it rounds {header.native} voxels to float32 before it applies the slope"
        )


def itk_voxels(
    source: ByteSource, header: NiftiHeader, geometry: Geometry, reading: Reading
) -> tuple[Voxels, FileIdentity]:
    """As ``header.read``: ``c, z, y, x`` and the identity of the file, which is passed over first.

    Raises:
        InputError: E_ITK if ITK cannot read them, gives NaN as 0, or sees another size, dtype or grid; as
            ``header.read``, if the file's bytes are not sound.
    """
    from gpuprep.io.itk import itk_affine, itk_array, itk_image  # loads SimpleITK

    identity, odd = checked_bytes(source, header, reading.rules)
    if odd:
        raise cannot(reading.path, f"it makes 0 of the {odd:,} voxels that are NaN or infinite")
    with native_reading(reading.path):
        image = itk_image(Path(reading.path), "NiftiImageIO")
    array, components = itk_array(image), image.GetNumberOfComponentsPerPixel()
    if components > 1:
        array = np.moveaxis(array, -1, 0)
    expected = [int(length) for length in header.fields["dim"][1 : header.fields["dim"][0] + 1]]
    if array.size != np.prod(expected):
        raise cannot(reading.path, f"it gives {array.size:,} of {np.prod(expected):,} voxels")
    affine, axes = itk_affine(image)
    check_place(affine, min(axes, 2) if header.flat else axes, geometry, reading)
    volumes = array.reshape(-1, *header.shape)[header.first : header.first + header.channels]
    return _as_checked(volumes, header, reading), identity


def _as_checked(array: Voxels, header: NiftiHeader, reading: Reading) -> Voxels:
    """ITK's numbers in the dtype that the checked reader gives them."""
    slope, intercept = header.line
    if (slope, intercept) == (1.0, 0.0):
        if array.dtype != header.native:
            raise cannot(reading.path, f"it gives {array.dtype} voxels of {header.native}")
        return settled(array, reading)
    dtype = np.dtype("f4")
    if header.native.kind in "iu" and slope.is_integer() and intercept.is_integer():
        low, high = float(array.min()), float(array.max())
        if max(-low, high) > _EXACT_IN_FLOAT32:
            raise cannot(reading.path, "it rounds whole numbers beyond 2²⁴ to float32")
        dtype = fitting(int(low), int(high), "i2", "i4")
    voxels = reading.allocate(array.shape, dtype)
    with np.errstate(over="ignore"):
        np.copyto(voxels, array, casting="unsafe")
    return voxels
