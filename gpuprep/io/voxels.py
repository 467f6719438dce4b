"""From stored numbers to voxels: the rescale line, the dtypes that are kept, and what is not finite."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpuprep.io.scan import Allocate, Voxels
from gpuprep.values.findings import Findings

KEPT = tuple(np.dtype(code) for code in ("u1", "i1", "u2", "i2", "u4", "i4", "f4"))
"""Dtypes that voxels keep as they are stored; wider ones are narrowed where that is exact."""
_EXACT_IN_FLOAT32 = 2**24


def settled(stored: Voxels, allocate: Allocate, findings: Findings, path: object) -> Voxels:
    """A copy in one of the ``KEPT`` dtypes: 64-bit integers become 32-bit where they fit.

    Everything else becomes float32; W_PRECISION tells when whole numbers above 2²⁴ are rounded by it.
    """
    dtype = _narrowest(stored)
    if dtype.kind == "f" and (top := _magnitude(stored)) > _EXACT_IN_FLOAT32:
        findings.report(
            "W_PRECISION",
            f"{stored.dtype} voxels up to {top:.6g} become float32, exact only up to {_EXACT_IN_FLOAT32:,}",
            path=path,
            largest=top,
        )
    voxels = allocate(stored.shape, dtype)
    with np.errstate(over="ignore"):
        np.copyto(voxels, stored, casting="unsafe")
    return voxels


def rescaled(stored: Voxels, slope: float, intercept: float, allocate: Allocate) -> Voxels:
    """``stored * slope + intercept``, computed in float64 and rounded once.

    The result is int16 or int32 if the line maps integers to integers that fit, else float32.
    """
    dtype = _rescaled_dtype(stored, slope, intercept)
    voxels = allocate(stored.shape, dtype)
    planes = stored.reshape(-1, *stored.shape[-2:])
    for target, plane in zip(voxels.reshape(planes.shape), planes, strict=True):
        np.copyto(target, plane.astype(np.float64) * slope + intercept, casting="unsafe")
    return voxels


def report_not_finite(voxels: Voxels, findings: Findings, path: object) -> None:
    """W_NAN if any voxel is NaN or infinite; the voxels are left as they are."""
    if voxels.dtype.kind != "f":
        return
    nan = infinite = 0
    for plane in voxels.reshape(-1, *voxels.shape[-2:]):
        if not np.isfinite(plane).all():
            nan += int(np.isnan(plane).sum())
            infinite += int(np.isinf(plane).sum())
    if nan or infinite:
        findings.report(
            "W_NAN",
            f"{nan:,} voxels are NaN and {infinite:,} infinite, of {voxels.size:,}",
            path=path,
            nan=nan,
            infinite=infinite,
        )


def likely_dtype(stored: np.dtype[Any], slope: float, intercept: float) -> np.dtype[Any]:
    """The dtype that voxels will have, as far as headers alone can tell."""
    if (slope, intercept) == (1.0, 0.0):
        return stored if stored in KEPT else np.dtype("i4" if stored.kind in "iu" else "f4")
    if stored.kind == "f" or not (float(slope).is_integer() and float(intercept).is_integer()):
        return np.dtype("f4")
    return np.dtype("i2" if stored.itemsize <= 2 else "i4")


def _narrowest(stored: Voxels) -> np.dtype[Any]:
    if stored.dtype in KEPT:
        return stored.dtype
    if stored.dtype.kind in "iu" and stored.size:
        low, high = int(stored.min()), int(stored.max())
        for code in ("i4", "u4"):
            if np.iinfo(code).min <= low and high <= np.iinfo(code).max:
                return np.dtype(code)
    return np.dtype("f4")


def _rescaled_dtype(stored: Voxels, slope: float, intercept: float) -> np.dtype[Any]:
    if stored.dtype.kind not in "iu" or not (slope.is_integer() and intercept.is_integer()):
        return np.dtype("f4")
    ends = [int(end) * int(slope) + int(intercept) for end in (stored.min(), stored.max())]
    for code in ("i2", "i4"):
        if np.iinfo(code).min <= min(ends) and max(ends) <= np.iinfo(code).max:
            return np.dtype(code)
    return np.dtype("f4")


def _magnitude(stored: Voxels) -> float:
    """The largest finite absolute value."""
    finite = np.isfinite(stored)
    return max(
        float(stored.max(initial=0, where=finite)), -float(stored.min(initial=0, where=finite))
    )
