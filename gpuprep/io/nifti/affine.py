"""Where NIfTI voxels lie: the sform, the qform, or the spacing alone.

The sform is preferred where it is valid, as nibabel does; ITK prefers the qform for sform codes above 1.
The two are compared in mm at the corners of the volume, so that whoever looks knows what depends on it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gpuprep.io.grid import grid_of
from gpuprep.io.nifti.forms import qform_of, sform_of
from gpuprep.io.nifti.header import NiftiHeader
from gpuprep.io.rules import Reading
from gpuprep.values.geometry import Affine, Geometry

Spacing = NDArray[np.float64]

_RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
_MM_PER_UNIT = {0: 1.0, 1: 1000.0, 2: 1.0, 3: 0.001}
_UNITS = {1: "metre", 3: "micron"}
_FLOAT32 = 1e-5  # relative; how well two float32 spacings of one file agree


def nifti_geometry(header: NiftiHeader, reading: Reading) -> Geometry:
    """The grid of a NIfTI header in LPS mm.

    Findings: E_NO_GEOMETRY (a zero or NaN pixdim; Analyze), W_NO_AFFINE, W_SFORM_QFORM, W_UNITS, and
    E_SHEAR from ``grid_of``.
    """
    spacing = _pixdim(header, reading)
    forms = sform_of(header), qform_of(header, spacing)
    sform, qform = (form.affine for form in forms)
    if sform is not None and qform is not None:
        _compare_forms(header, sform, qform, reading)
    affine = sform if sform is not None else qform
    faults = "; ".join(form.fault for form in forms if form.fault)
    if affine is None:
        affine = _spacing_only(header, spacing, faults, reading)
    elif sform is not None:
        affine = _agreed_spacing(header, sform, spacing, reading)
    if faults and (sform is not None or qform is not None):
        used = "sform" if sform is not None else "qform"
        text = f"{faults}; the {used} was used"
        reading.report("W_SFORM_QFORM", text, advice="Find out which one is right.")
    return grid_of(_in_mm(header, affine, reading), header.shape, reading)


def _pixdim(header: NiftiHeader, reading: Reading) -> Spacing:
    """The stored spacing x, y, z; impossible ones become 1."""
    used = min(3, int(header.fields["dim"][0]))
    spacing = np.ones(3)
    spacing[:used] = np.abs(header.fields["pixdim"][1 : used + 1].astype(np.float64))
    good = np.isfinite(spacing) & (spacing > 0)
    if not good.all():
        text = "×".join(f"{value:g}" for value in spacing)
        reading.report(
            "E_NO_GEOMETRY",
            f"the header's spacing is {text} (x×y×z), which cannot be",
            advice="Repair pixdim.",
            ways={"warn": "trusts the sform, or takes 1 mm without one"},
        )
    return np.where(good, spacing, 1.0)


def _compare_forms(header: NiftiHeader, sform: Affine, qform: Affine, reading: Reading) -> None:
    apart = _distance(header, sform, qform)
    if apart > reading.rules.grid_tolerance:
        codes = f"{int(header.fields['sform_code'])} and {int(header.fields['qform_code'])}"
        reading.report(
            "W_SFORM_QFORM",
            f"sform and qform (codes {codes}) lie up to {apart:.4g} mm apart; the sform was used",
            advice="Find out which one is right; SimpleITK and nibabel may choose differently.",
            largest_mm=apart,
        )


def _agreed_spacing(
    header: NiftiHeader, sform: Affine, spacing: Spacing, reading: Reading
) -> Affine:
    """The sform with the stored spacing where both mean the same number, as ITK has it."""
    lengths = np.sqrt((sform[:3, :3] ** 2).sum(0))
    scaled = sform.copy()
    scaled[:3, :3] *= spacing / lengths
    if np.allclose(spacing, lengths, rtol=_FLOAT32, atol=0):
        return scaled
    if (apart := _distance(header, sform, scaled)) > reading.rules.grid_tolerance:
        own, other = ("×".join(f"{value:.4g}" for value in row) for row in (lengths, spacing))
        reading.report(
            "W_SFORM_QFORM",
            f"the sform's spacing is {own} mm and pixdim {other} (up to {apart:.4g} mm apart); "
            "the sform was used",
            advice="Find out which one is right; SimpleITK takes pixdim.",
            largest_mm=apart,
        )
    return sform


def _distance(header: NiftiHeader, first: Affine, second: Affine) -> float:
    """The largest distance between corners, in mm."""
    one, other = (Geometry.from_affine(affine, header.shape) for affine in (first, second))
    return one.distance(other) * _MM_PER_UNIT.get(_unit(header), 1.0)


def _unit(header: NiftiHeader) -> int:
    return 0 if header.kind == "analyze" else int(header.fields["xyzt_units"]) & 7


def _spacing_only(header: NiftiHeader, spacing: Spacing, faults: str, reading: Reading) -> Affine:
    """Axes taken as L, P, S from origin 0, as ITK does."""
    lost = bool(faults) or header.kind == "analyze"
    what = "Analyze files have" if header.kind == "analyze" else "the header has"
    text = "×".join(f"{value:.4g}" for value in spacing)
    reading.report(
        "E_NO_GEOMETRY" if lost else "W_NO_AFFINE",
        f"{faults or what + ' no affine'}; only the spacing {text} mm (x×y×z) is known",
        advice="Repair the header" + (": the orientation is a guess (LPS)." if not lost else "."),
        ways={"error": "refuses such files", "warn": "takes the axes as LPS"},
    )
    return _RAS_TO_LPS @ np.diag([*spacing, 1.0])


def _in_mm(header: NiftiHeader, affine: Affine, reading: Reading) -> Affine:
    """The affine in LPS mm; the header may count in metres or microns."""
    unit = _unit(header)
    factor = _MM_PER_UNIT.get(unit, 1.0)
    if unit not in (0, 2):
        reading.report(
            "W_UNITS",
            f"lengths are in {_UNITS.get(unit, f'unknown unit {unit}')}s; multiplied by {factor:g} to mm",
            advice="Check the spacing.",
            factor=factor,
        )
    scaled = _RAS_TO_LPS @ affine
    scaled[:3] *= factor
    return scaled
