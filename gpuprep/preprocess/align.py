"""Bringing the files of a case together: whether two grids are one, and what is done where they are not.

Files meet by geometry, never by index, unless a header has lost its geometry and the policy says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from gpuprep.ops.label_maps import covered, labelled, place_labels, place_labels_turned
from gpuprep.preprocess.grid import orient
from gpuprep.preprocess.losses import Losses
from gpuprep.values.errors import InputError
from gpuprep.values.findings import Findings
from gpuprep.values.geometry import Affine, Geometry, Reorientation, Shape, Triple
from gpuprep.values.grids import GridMapping, difference, index_affine
from gpuprep.values.volume import Volume

Way = Literal["as it is", "by index", "by geometry"]

_ROUNDING = 1e-4  # mm: float32 headers differ by this much without anybody's fault
_PARALLEL = 1e-3  # voxels
_SAME_SPACING = 1e-3  # relative
_PLAIN = (
    np.eye(3),
    np.diag([-1.0, -1.0, 1.0]),
)  # what a lost direction reads as, in LPS and in RAS


@dataclass(frozen=True, slots=True)
class Target:
    """The grid of a case: the first channel's, straightened, then turned to the config's orientation."""

    straight: Geometry
    geometry: Geometry
    turn: Reorientation

    @classmethod
    def of(cls, straight: Geometry, orientation: str) -> Target:
        return cls(straight, *orient(straight, orientation))


def meet(
    own: Geometry,
    target: Target,
    *,
    what: str,
    tolerance: float,
    findings: Findings,
    path: str = "",
    other: str = "the image",
) -> Way:
    """How voxels on grid ``own`` come to the grid of their case.

    Args:
        own: The file's grid, straightened where it had to be.
        what: Names the file's part in messages, such as ``label vessels``, and ``other`` what sets the grid.
        tolerance: Grids whose corners differ by at most this much (mm) are one.

    Raises:
        InputError: E_SHAPE_MISMATCH or E_AFFINE_LOST, with how far they are apart.
    """
    turned, _ = orient(own, target.geometry.orientation)
    distance = turned.distance(target.geometry)
    if distance <= _ROUNDING:
        return "as it is"
    if distance <= tolerance:
        text = f"{what} is {distance:.2g} mm off the grid of {other}"
        findings.report("W_GEOMETRY_TOLERANCE", text, path=path, mm=distance)
        return "as it is"
    told = f"{what} and {other} differ: {difference(turned, target.geometry)}"
    lost = _lost(own, target.straight)
    if lost and (findings.policy("E_AFFINE_LOST") == "fix" or _is_certain(own, target.straight)):
        advice = "input.policy {E_AFFINE_LOST: fix} takes it by index, on the image's grid"
        told = f"{told}; the header of {what if lost == 'own' else other} holds no geometry"
        if findings.report("E_AFFINE_LOST", told, path=path, advice=advice) == "fix":
            return "by index"
    advice = "input.policy {E_SHAPE_MISMATCH: fix} brings it over by its geometry"
    if lost:
        advice += "; {E_AFFINE_LOST: fix} takes it by index"
    if findings.report("E_SHAPE_MISMATCH", told, path=path, advice=advice) == "fix":
        return "by geometry"
    raise InputError("E_SHAPE_MISMATCH", told, path=path, advice=advice)


def _lost(own: Geometry, image: Geometry) -> str:
    """Whose header looks as if it had lost its geometry, where the arrays are of one shape."""
    if own.shape != image.shape:
        return ""
    return "own" if _is_plain(own) else "image" if _is_plain(image) else ""


def _is_plain(geometry: Geometry) -> bool:
    at_zero = geometry.origin == (0.0, 0.0, 0.0)
    return at_zero and any(np.array_equal(geometry.matrix, plain) for plain in _PLAIN)


def _is_certain(own: Geometry, image: Geometry) -> bool:
    """Arrays of one shape and voxels of two sizes: no scanner makes that."""
    return not np.allclose(own.spacing, image.spacing, rtol=_SAME_SPACING)


def align_label(
    volume: Volume,
    target: Target,
    way: Way,
    name: str,
    losses: Losses,
    findings: Findings,
    *,
    path: str = "",
) -> NDArray[Any]:
    """A label map on the grid of its case; what is lost on the way is a finding."""
    own, turn = orient(volume.geometry, target.geometry.orientation)
    if way != "by geometry":
        return (target.turn if way == "by index" else turn).view(volume.array)
    array = turn.view(volume.array)
    affine = index_affine(own, target.geometry)
    before, inside = labelled(array), covered(array, affine, target.geometry.shape)
    losses.report(name, before, inside, "the image's grid", findings)
    back = index_affine(target.geometry, own)
    shape = target.geometry.shape
    if _is_parallel(back, shape):
        mapping = GridMapping(shape, _three(np.diag(back)), _three(back[:, 3]))
        placed = place_labels(array, mapping)
    else:
        placed = place_labels_turned(array, back, shape)
    findings.report(
        "W_LABEL_REGRID",
        f"label {name} was brought over by nearest voxel: {difference(own, target.geometry)}",
        path=path,
        voxels_before=sum(before.values()),
        voxels_after=sum(labelled(placed).values()),
    )
    return placed


def align_channel(
    volume: Volume,
    target: Target,
    way: Way,
    name: str,
    interpolation: str,
    findings: Findings,
    *,
    path: str = "",
) -> NDArray[Any]:
    """A channel on the grid of its case, in its own dtype; beyond its extent its smallest voxel."""
    own, turn = orient(volume.geometry, target.geometry.orientation)
    if way != "by geometry":
        return (target.turn if way == "by index" else turn).view(volume.array)
    from gpuprep.io.itk import resample_onto

    placed, outside = resample_onto(volume, target.geometry, interpolation)
    findings.report(
        "W_CHANNEL_REGRID",
        f"channel {name} was brought over by {interpolation} interpolation; "
        f"{outside:,} of {placed.size:,} voxels lie outside it: "
        f"{difference(own, target.geometry)}",
        path=path,
        outside=outside,
    )
    return placed


def _is_parallel(affine: Affine, shape: Shape) -> bool:
    """Whether the axes of two grids, of which one has that shape, run alike throughout."""
    aside = np.abs(affine[:3, :3] * (1 - np.eye(3)))
    return bool((aside @ shape).max() < _PARALLEL)


def _three(values: NDArray[np.float64]) -> Triple:
    return float(values[0]), float(values[1]), float(values[2])
