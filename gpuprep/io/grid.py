"""From an affine to a grid, and what every format checks about a grid."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuprep.io.limits import MAX_AXIS
from gpuprep.io.rules import Reading
from gpuprep.values.geometry import Affine, Geometry, shear_degrees
from gpuprep.values.stack import stack_of

_RESOLUTION = 1e-12
_FLOAT32 = 1e-6  # of the volume's diagonal: by so much a float32 header moves its corners
_OBLIQUE_DEGREES = 0.1  # largest angle to the patient's axes that is not called oblique
_SPACING_MM = (0.01, 100.0)  # spacings below and above are outliers
_FLAT = 999.0  # nnU-Net's: so coarse that nothing is ever resampled along it
_FEW_SLICES = 5  # fewer than this are worth a finding


def grid_of(affine: Affine, shape: Sequence[int], reading: Reading) -> Geometry:
    """The grid of an LPS affine, its direction made exactly orthonormal.

    The axes within a slice and its origin stay as they are; the third axis becomes their normal. How far
    that moves the outermost voxels decides what follows: nothing within float32 rounding,
    W_GEOMETRY_TOLERANCE up to the tolerance of the rules, E_SHEAR beyond. Under the policy ``fix`` of
    E_SHEAR the sheared geometry itself is given, for its voxels to be brought onto a straight grid.

    Raises:
        InputError: E_NO_GEOMETRY if the affine has no usable spacing.
    """
    if not places_voxels(affine):
        rows = "; ".join(" ".join(f"{value:.4g}" for value in row) for row in affine[:3])
        raise reading.error(
            "E_NO_GEOMETRY",
            f"the affine [{rows}] is not a placement of voxels",
            "Repair the header, or give the case a spacing.",
        )
    raw = Geometry.from_affine(affine, shape)
    grid = _upright(raw)
    moved = raw.distance(grid)
    if moved <= _FLOAT32 * (1.0 + float(np.linalg.norm(np.multiply(raw.size, raw.spacing)))):
        return grid
    degrees = shear_degrees(affine)
    told = f"the axes are {degrees:.3g}° from orthogonal"
    values: dict[str, Any] = {"degrees": degrees, "largest_mm": moved}
    upright = f"the normal of the slices as third axis moves voxels by up to {moved:.3g} mm"
    tolerance = reading.rules.grid_tolerance
    if moved <= tolerance:
        reading.report("W_GEOMETRY_TOLERANCE", f"{told}; {upright}", mm=moved, **values)
        return grid
    if reading.findings.policy("E_SHEAR") == "fix":
        reading.report("E_SHEAR", f"{told}; slices are shifted onto a straight grid", **values)
        return raw
    reading.report(
        "E_SHEAR",
        f"{told}; {upright}, more than the {tolerance:g} mm of input.grid_tolerance",
        advice="Raise input.grid_tolerance if so much does not matter.",
        ways={
            "fix": "resamples the voxels onto a straight grid",
            "warn": "takes the normal all the same",
        },
        **values,
    )
    return grid


def _upright(raw: Geometry) -> Geometry:
    """The slices of ``raw`` in place, and their distance along their normal as the third step."""
    plane = _orthonormal(raw.matrix[:, :2])
    normal = np.cross(plane[:, 0], plane[:, 1])
    step = float(normal @ raw.affine[:3, 2])
    matrix = np.column_stack((plane, math.copysign(1.0, step) * normal))
    x, y, _ = raw.spacing
    direction = tuple(float(value) for value in matrix.ravel())
    return replace(raw, spacing=(x, y, abs(step)), direction=direction)


def _straight_grid(grid: Geometry, heights: Sequence[float], reading: Reading) -> Geometry:
    """The grid onto which a sheared or uneven volume will be brought; ``grid`` itself for any other."""
    try:
        stack = stack_of(grid, heights)
    except ValueError as error:
        raise reading.error(
            "E_SLICE_GAP" if heights else "E_SHEAR",
            f"the volume cannot be resampled onto a straight grid: {error}",
            "Resample the file with a registration tool, or leave it out.",
        ) from None
    straight = grid if stack is None else stack.geometry
    large = max(straight.shape) > MAX_AXIS or straight.voxels > reading.rules.max_voxels
    if large and not reading.rules.headers_alone:
        raise reading.error(
            "E_LIMIT",
            f"the straight grid, {straight.describe()}, is larger than the limits "
            f"({MAX_AXIS:,} voxels along an axis, {reading.rules.max_voxels:,} in all)",
            "Look at the file's geometry, or raise input.limits.voxels.",
        )
    return straight


def places_voxels(affine: Affine) -> bool:
    """Whether an affine can be a grid's: no NaN, no zero spacing, and axes that do not lie in one plane."""
    columns = affine[:3, :3]
    spacing = np.sqrt((columns**2).sum(0))
    if not np.isfinite(affine).all() or not (spacing > 0).all():
        return False
    return bool(abs(np.linalg.det(columns / spacing)) > 1e-3)


def _orthonormal(columns: NDArray[np.float64]) -> NDArray[np.float64]:
    """The orthonormal columns nearest to ``columns`` (least squares; the polar factor)."""
    if np.abs(columns.T @ columns - np.eye(2)).max() < _RESOLUTION:
        return columns
    left, _, right = np.linalg.svd(columns, full_matrices=False)
    return np.asarray(left @ right)


def check_grid(
    grid: Geometry, reading: Reading, *, heights: Sequence[float] = (), channels: int = 1
) -> None:
    """Report a grid that is legal but odd: spacing, lost geometry, obliqueness, few slices, volumes in a row.

    Raises:
        InputError: E_SHEAR or E_SLICE_GAP if there is no straight grid onto which its sheared or uneven
            voxels can be brought, E_LIMIT if that grid is larger than the limits.
    """
    straight = _straight_grid(grid, heights, reading)
    low, high = _SPACING_MM
    if any(not low <= spacing <= high for spacing in grid.spacing):
        text = "×".join(f"{spacing:.4g}" for spacing in grid.spacing)
        reading.report(
            "W_SPACING_OUTLIER",
            f"spacing {text} mm (x×y×z) is outside {low:g} to {high:g} mm",
            advice="Check the unit and the header.",
            spacing=list(grid.spacing),
        )
    plain = np.array_equal(np.abs(grid.matrix), np.eye(3))
    if plain and grid.spacing == (1.0, 1.0, 1.0) and grid.origin == (0.0, 0.0, 0.0):
        reading.report(
            "W_IDENTITY_AFFINE",
            "spacing is 1×1×1 mm with an identity direction and origin 0, 0, 0",
            advice="The geometry was probably lost on the way; compare with the original scan.",
        )
    if (angle := straight.oblique_degrees) > _OBLIQUE_DEGREES:
        reading.report("W_OBLIQUE", f"the axes are {angle:.2f}° off the patient's", degrees=angle)
    if (slices := grid.shape[0]) < _FEW_SLICES:
        reading.report("W_FEW_SLICES", f"{slices} slices, fewer than {_FEW_SLICES}", slices=slices)
    if channels > 1:
        text = f"{channels} volumes in one file; each became a channel"
        reading.report("W_4D", text, channels=channels)


def as_one_slice(grid: Geometry, reading: Reading) -> Geometry:
    """The grid of an image with two axes: W_FLAT; under ``fix`` as thick as nnU-Net has such images."""
    x, y, z = grid.spacing
    fixed = reading.findings.policy("W_FLAT") == "fix"
    thick = _FLAT * max(x, y) if fixed else z
    reading.report(
        "W_FLAT",
        f"the image has two axes: it is one slice, which is taken to be {thick:g} mm thick",
        ways={"fix": f"makes it {_FLAT:g} times as thick as its pixels are wide, as nnU-Net does"},
        mm=thick,
    )
    return replace(grid, spacing=(x, y, thick))


def placement(directions: Sequence[Sequence[float]], origin: Sequence[float]) -> Affine:
    """The 4×4 whose columns are the steps in mm along x, y[, z]; a missing third is 1 mm at right angles."""
    affine = np.eye(4)
    for column, step in enumerate(directions[:3]):
        affine[: min(3, len(step)), column] = step[:3]
    if len(directions) == 2:
        normal = np.cross(affine[:3, 0], affine[:3, 1])
        affine[:3, 2] = normal / (np.linalg.norm(normal) or 1.0)
    affine[: min(3, len(origin)), 3] = origin[:3]
    return affine
