"""The two affines of a NIfTI header, read as ITK and nibabel read them, or the reason why they cannot be.

Where the two readers give different places for one header, there is no right one, and it is not read.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from nibabel.nifti1 import Nifti1Header
from nibabel.quaternions import quat2mat
from numpy.typing import NDArray

from gpuprep.io.grid import places_voxels
from gpuprep.io.nifti.header import NiftiHeader
from gpuprep.values.geometry import Affine

_UNIT = float(Nifti1Header.quaternion_threshold)
"""A squared length this near to 1 leaves no first part of the quaternion: float32 rounding."""
_TOO_LONG = 1e-5  # by so much a squared length may be above 1: float32 rounding that has added up


@dataclass(frozen=True, slots=True)
class Form:
    """The sform or the qform of a header, in its own unit and in RAS.

    Attributes:
        code: What the header says that it refers to; 0 where the header has none.
        affine: 4×4; None where there is none or it cannot be read.
        fault: Why a coded one cannot be read; empty otherwise.
    """

    code: int
    affine: Affine | None = None
    fault: str = ""


def sform_of(header: NiftiHeader) -> Form:
    """The sform: three rows of numbers."""
    code = _code(header, "sform")
    if code <= 0:
        return Form(0)
    affine = np.eye(4)
    for row, name in enumerate(("srow_x", "srow_y", "srow_z")):
        with np.errstate(invalid="ignore"):  # a signalling NaN
            affine[row] = header.fields[name].astype(np.float64)
    if places_voxels(affine):
        return Form(code, affine)
    rows = "; ".join(" ".join(f"{value:.4g}" for value in row) for row in affine[:3])
    return Form(code, fault=f"the sform (code {code}) [{rows}] is not a placement of voxels")


def qform_of(header: NiftiHeader, spacing: NDArray[np.float64]) -> Form:
    """The qform: a unit quaternion without its first part, an offset, and the sign of the third axis.

    ``spacing`` has the header's, x, y, z, made positive. The sign, ``pixdim[0]``, counts as 1 where it
    is 0. A quaternion whose length is above 1 by rounding is made a unit again.
    """
    code = _code(header, "qform")
    if code <= 0:
        return Form(0)
    vector = [float(header.fields[f"quatern_{name}"]) for name in "bcd"]
    offset = [float(header.fields[f"qoffset_{name}"]) for name in "xyz"]
    sign, *stored = (float(value) for value in header.fields["pixdim"][:4])
    if fault := _fault(vector, offset, sign, stored):
        return Form(code, fault=f"the qform (code {code}) cannot be read: {fault}")
    rest = 1.0 - math.fsum(value * value for value in vector)
    first = math.sqrt(rest) if rest > _UNIT else 0.0
    affine = np.eye(4)
    # ITK and nibabel take every sign but -1 for 1
    affine[:3, :3] = quat2mat([first, *vector]) * spacing * [1, 1, -1 if sign == -1 else 1]
    affine[:3, 3] = offset
    return Form(code, affine)


def _fault(vector: list[float], offset: list[float], sign: float, spacing: list[float]) -> str:
    """Why ITK and nibabel cannot read these numbers, or read them differently; empty if they agree."""
    if not all(math.isfinite(value) for value in (*vector, *offset)):
        return f"its quaternion is {_shown(vector)} and its offset {_shown(offset)}"
    length = math.fsum(value * value for value in vector)
    if length > 1 + _TOO_LONG:
        return f"its quaternion {_shown(vector)} has length {math.sqrt(length):.7g}, more than 1"
    if sign < 0 and sign != -1:
        return f"pixdim[0] is {sign:g}, neither 1 nor -1"
    if min(spacing) < 0:
        return f"pixdim[1:4] is {_shown(spacing)}, where a length cannot be below 0"
    return ""


def _code(header: NiftiHeader, name: str) -> int:
    return 0 if header.kind == "analyze" else int(header.fields[f"{name}_code"])


def _shown(values: list[float]) -> str:
    return "(" + ", ".join(f"{value:.7g}" for value in values) + ")"
