"""From an affine to a grid, and what every format checks about a grid."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from gpuprep.io.rules import ReadRules
from gpuprep.values.errors import InputError
from gpuprep.values.findings import Findings
from gpuprep.values.geometry import Affine, Geometry, shear_degrees
from gpuprep.values.stack import stack_of

_RESOLUTION = 1e-12


def grid_of(
    affine: Affine, shape: Sequence[int], rules: ReadRules, findings: Findings, path: object
) -> Geometry:
    """The grid of an LPS affine, its direction made exactly orthonormal.

    Cosines between axes up to ``orthonormal_tolerance`` are rounding. Beyond it the axes are sheared,
    E_SHEAR. Under the policy ``fix`` the sheared geometry itself is given, for its voxels to be brought
    onto a straight grid; where the policy goes on otherwise, the nearest orthonormal axes are taken (polar
    decomposition) and the finding has the distance in mm by which the outermost voxels move.

    Raises:
        InputError: E_NO_GEOMETRY if the affine has no usable spacing.
    """
    check_affine(affine, path)
    raw = Geometry.from_affine(affine, shape)
    shear = shear_degrees(affine)
    direction = nearest_orthonormal(raw.matrix)
    grid = replace(raw, direction=tuple(float(value) for value in direction.ravel()))
    if math.sin(math.radians(shear)) <= rules.orthonormal_tolerance:
        return grid
    told = f"the axes are {shear:.3g}° from orthogonal"
    if findings.policy("E_SHEAR") == "fix":
        text = f"{told}; slices are shifted onto a straight grid"
        findings.report("E_SHEAR", text, path=path, degrees=shear)
        return raw
    grid = _same_centre(grid, raw)
    moved = raw.distance(grid)
    findings.report(
        "E_SHEAR",
        f"{told}; the nearest orthogonal grid moves voxels by up to {moved:.3g} mm",
        path=path,
        advice="Set the policy of E_SHEAR to fix to resample the voxels onto a straight grid, "
        "or to warn to take the nearest one.",
        degrees=shear,
        largest_mm=moved,
    )
    return grid


def straight_grid(
    grid: Geometry, heights: Sequence[float], rules: ReadRules, path: object
) -> Geometry:
    """The grid onto which a sheared or uneven volume will be brought; ``grid`` itself for any other.

    Raises:
        InputError: E_SHEAR or E_SLICE_GAP if there is none, E_LIMIT if it is larger than the limits.
    """
    try:
        stack = stack_of(grid, heights)
    except ValueError as error:
        raise InputError(
            "E_SLICE_GAP" if heights else "E_SHEAR",
            f"the volume cannot be resampled onto a straight grid: {error}",
            path=str(path),
            advice="Resample the file with a registration tool, or leave it out.",
        ) from None
    straight = grid if stack is None else stack.geometry
    if max(straight.shape) > rules.max_axis or straight.voxels > rules.max_voxels:
        raise InputError(
            "E_LIMIT",
            f"the straight grid, {straight.describe()}, is larger than the limits "
            f"({rules.max_axis:,} voxels along an axis, {rules.max_voxels:,} in all)",
            path=str(path),
            advice="Look at the file's geometry, or raise input.limits.voxels.",
        )
    return straight


def _same_centre(grid: Geometry, raw: Geometry) -> Geometry:
    """``grid`` moved onto the centre of ``raw``, which halves the largest distance between the two."""
    centre = [(length - 1) / 2 for length in grid.shape]
    shift = raw.index_to_physical(centre) - grid.index_to_physical(centre)
    x, y, z = (float(value) for value in np.array(grid.origin) + shift)
    return replace(grid, origin=(x, y, z))


def check_affine(affine: Affine, path: object) -> None:
    """Refuse an affine that no grid has.

    Raises:
        InputError: E_NO_GEOMETRY for NaN, a zero spacing, or axes that lie in one plane.
    """
    columns = np.asarray(affine)[:3, :3]
    spacing = np.sqrt((columns**2).sum(0))
    flat = not np.isfinite(affine).all() or bool((spacing <= 0).any())
    if flat or abs(np.linalg.det(columns / spacing)) < 1e-3:
        rows = "; ".join(" ".join(f"{value:.4g}" for value in row) for row in affine[:3])
        raise InputError(
            "E_NO_GEOMETRY",
            f"the affine [{rows}] is not a placement of voxels",
            path=str(path),
            advice="Repair the header, or give the case a spacing.",
        )


def nearest_orthonormal(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """The orthonormal matrix nearest to ``matrix`` (least squares; the polar factor), handedness kept."""
    if np.abs(matrix.T @ matrix - np.eye(3)).max() < _RESOLUTION:
        return matrix
    left, _, right = np.linalg.svd(matrix)
    return np.asarray(left @ right)


def check_grid(
    grid: Geometry,
    rules: ReadRules,
    findings: Findings,
    path: object,
    *,
    heights: Sequence[float] = (),
) -> None:
    """Report a grid that is legal but odd: spacing, lost geometry, obliqueness, few slices.

    Raises:
        InputError: as ``straight_grid``.
    """
    straight = straight_grid(grid, heights, rules, path)
    low, high = rules.min_spacing_mm, rules.max_spacing_mm
    if any(not low <= spacing <= high for spacing in grid.spacing):
        text = "×".join(f"{spacing:.4g}" for spacing in grid.spacing)
        findings.report(
            "W_SPACING_OUTLIER",
            f"spacing {text} mm (x×y×z) is outside {low:g} to {high:g} mm",
            path=path,
            advice="Check the unit and the header.",
            spacing=list(grid.spacing),
        )
    plain = np.array_equal(np.abs(grid.matrix), np.eye(3))
    if plain and grid.spacing == (1.0, 1.0, 1.0) and grid.origin == (0.0, 0.0, 0.0):
        findings.report(
            "W_IDENTITY_AFFINE",
            "spacing is 1×1×1 mm with an identity direction and origin 0, 0, 0",
            path=path,
            advice="The geometry was probably lost on the way; compare with the original scan.",
        )
    if (angle := straight.oblique_degrees) > rules.oblique_tolerance_degrees:
        findings.report(
            "W_OBLIQUE", f"the axes are {angle:.2f}° off the patient's", path=path, degrees=angle
        )
    if grid.shape[0] < rules.min_slices:
        findings.report(
            "W_FEW_SLICES",
            f"{grid.shape[0]} slices, fewer than {rules.min_slices}",
            path=path,
            slices=grid.shape[0],
        )


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
