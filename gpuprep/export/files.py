"""Voxels to ``.nii``, ``.nii.gz``, ``.mha`` and ``.nrrd`` files, which appear whole or not at all.

NIfTI keeps its geometry in float32 (about 1e-5 mm), MetaImage and NRRD in full. Channels are the fourth axis
of a NIfTI file, where viewers show them one by one, and the components of a voxel in the others.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuprep.values.errors import UsageError
from gpuprep.values.geometry import Geometry
from gpuprep.values.volume import Volume

SUFFIXES = (".nii", ".nii.gz", ".mha", ".nrrd")
_BY_ITK = (".mha", ".nrrd")


def write_volume(volume: Volume, file: Path) -> None:
    """Write a 3-D volume as the format of the file's suffix; float16 becomes float32.

    >>> ramp = Volume(np.arange(8, dtype=np.int16).reshape(2, 2, 2), Geometry((2, 2, 2)))
    >>> write_volume(ramp, Path("ramp.nii.gz"))
    """
    write_voxels(volume.array, volume.geometry, file)


def write_voxels(array: NDArray[Any], geometry: Geometry, file: Path) -> None:
    """Write ``z, y, x`` or ``c, z, y, x`` as the format of the file's suffix; float16 becomes float32."""
    array = portable(array)
    if file.name.lower().endswith(_BY_ITK):
        _write_by_itk(array, geometry, file)
    else:
        _write_nifti(array, geometry, file)


def portable(array: NDArray[Any]) -> NDArray[Any]:
    """The array in a dtype that every format knows, with the same values, C-contiguous.

    64-bit integers become 32-bit ones where all of them fit, which more readers know.
    """
    dtype = array.dtype.newbyteorder("=")
    if dtype == np.float16:
        dtype = np.dtype(np.float32)
    elif dtype.kind == "b":
        dtype = np.dtype(np.uint8)
    elif dtype.kind in "iu" and dtype.itemsize == 8 and array.size:
        ends = int(array.min()), int(array.max())
        fitting = (np.int32, np.uint32)
        dtype = next(
            (
                np.dtype(d)
                for d in fitting
                if np.iinfo(d).min <= ends[0] and ends[1] <= np.iinfo(d).max
            ),
            dtype,
        )
    return np.ascontiguousarray(array, dtype)


def check_target(file: Path, *, overwrite: bool) -> None:
    """Raises UsageError where a file cannot be written, or is there and must not be replaced."""
    if not file.name.lower().endswith(SUFFIXES):
        raise UsageError(
            f"{file}: no format is known by that suffix", advice=f"use {', '.join(SUFFIXES)}"
        )
    if not file.parent.is_dir():
        raise UsageError(f"folder {file.parent} does not exist")
    if file.is_dir():
        raise UsageError(f"{file} is a folder")
    if file.exists() and not overwrite:
        raise UsageError(f"{file} exists already", advice="choose another name, or --overwrite")


def write_flat(
    plane: NDArray[Any],
    file: Path,
    *,
    spacing: tuple[float, ...],
    origin: tuple[float, ...],
    direction: tuple[float, ...],
) -> None:
    """Write ``y, x`` as an image of two axes; the rest is in SimpleITK's order."""
    import SimpleITK

    image = SimpleITK.GetImageFromArray(portable(plane))
    image.SetSpacing(spacing)
    image.SetOrigin(origin)
    image.SetDirection(direction)
    SimpleITK.WriteImage(image, str(file), useCompression=True)


def _write_nifti(array: NDArray[Any], geometry: Geometry, file: Path) -> None:
    """sform and qform alike (code 1, scanner), so that no reader has to choose."""
    import nibabel

    turned = array.T if array.ndim == 3 else np.moveaxis(array, 0, -1).transpose(2, 1, 0, 3)
    image = nibabel.Nifti1Image(turned, geometry.affine_ras, dtype=array.dtype)
    image.set_qform(geometry.affine_ras, code=1)
    image.set_sform(geometry.affine_ras, code=1)
    image.header.set_xyzt_units("mm")
    nibabel.save(image, file)


NIFTI_OFFSET = 352
"""Bytes before the voxels of a ``.nii`` file: its header, and that no extension follows."""
_LONGEST_AXIS = 32_767  # dimensions of NIfTI are int16


def nifti_header(geometry: Geometry, dtype: np.dtype[Any]) -> bytes:
    """The bytes before the voxels of an uncompressed ``.nii``, which follow in C order of ``z, y, x``.

    They are those that ``write_volume`` writes, for whoever sends voxels piece by piece.

    Raises:
        UsageError: an axis is longer than NIfTI can tell.
    """
    import nibabel

    if max(geometry.shape) > _LONGEST_AXIS:
        raise UsageError(
            f"an axis of {max(geometry.shape):,} voxels is too long for NIfTI, which ends at "
            f"{_LONGEST_AXIS:,}",
            advice="export it as .mha, or take a coarser level",
        )
    header = nibabel.Nifti1Header(endianness="<")
    header.set_data_dtype(dtype)
    header.set_data_shape(geometry.size)
    header.set_qform(geometry.affine_ras, code=1)
    header.set_sform(geometry.affine_ras, code=1)
    header.set_xyzt_units("mm")
    header["magic"], header["vox_offset"] = b"n+1", NIFTI_OFFSET
    return bytes(header.binaryblock) + bytes(NIFTI_OFFSET - len(header.binaryblock))


def _write_by_itk(array: NDArray[Any], geometry: Geometry, file: Path) -> None:
    import SimpleITK

    channels = array.ndim == 4
    last = np.moveaxis(array, 0, -1) if channels else array
    image = SimpleITK.GetImageFromArray(last, isVector=channels)
    image.SetSpacing(geometry.spacing)
    image.SetOrigin(geometry.origin)
    image.SetDirection(geometry.direction)
    SimpleITK.WriteImage(image, str(file), useCompression=True)
