"""Which output grid a spacing or shape means: five conventions, each its source's own formula.

A *mapping* sends output index ``o`` to input index ``o * scale + offset`` along each array axis. Tools
disagree on the number of voxels and on the half-voxel shift; every convention here is named, and the
same spacing in gives the same grid out, bit for bit.

Sources: ``nnunet``: nnU-Net v2 ``compute_new_shape`` and ``skimage.transform.resize``; ``monai``: MONAI
``compute_shape_offset`` (defaults); ``torchio``: TorchIO 1.2 ``Resample``; ``itk``: the usual SimpleITK
recipe, size ``ceil(n·s/t)`` from the same origin; ``centered``: ours, size ``round(n·s/t)``, exact
target spacing, the centre of the field of view stays.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from gpuprep.values.errors import InputError
from gpuprep.values.geometry import Affine, Box, Geometry, Shape, Triple

Convention = Literal["centered", "nnunet", "monai", "torchio", "itk"]

_SAME = 1e-6  # relative difference below which two spacings are one (float32 headers carry 6e-8)
_PARALLEL_MM = 0.01  # at the corners: what turning a grid onto parallel axes may move
_TOLD = 1e-4  # relative: smaller differences of spacing are no news
_TOLD_DEGREES = 0.005
_FLOAT_SAFE = 1e-6  # voxels: keeps n·s/t that should be whole from falling off a floor or ceil


@dataclass(frozen=True, slots=True)
class GridMapping:
    """An output grid over an input grid: per array axis, input index = output index · scale + offset."""

    shape: Shape
    scale: Triple = (1.0, 1.0, 1.0)
    offset: Triple = (0.0, 0.0, 0.0)

    def on(self, geometry: Geometry) -> Geometry:
        """The geometry of the output grid when the input lies on ``geometry``."""
        return geometry.resampled(self.shape, self.scale, self.offset)


def map_spacing(
    geometry: Geometry, spacing: Triple, convention: Convention = "centered"
) -> GridMapping:
    """The grid of the given spacing (x, y, z in mm) under a convention; every axis keeps ≥ 1 voxel.

    >>> ct = Geometry(shape=(40, 512, 512), spacing=(0.75, 0.75, 2.5))
    >>> map_spacing(ct, (1.5, 1.5, 3.0))
    GridMapping(shape=(33, 256, 256), scale=(1.2, 2.0, 2.0), offset=(0.3000000000000007, 0.5, 0.5))
    >>> map_spacing(ct, (1.5, 1.5, 3.0), "itk").shape
    (34, 256, 256)
    """
    rows = [
        _map_axis(length, own, target, convention)
        for length, own, target in zip(
            geometry.shape, geometry.spacing_zyx, reversed(spacing), strict=True
        )
    ]
    return _collect(rows)


def map_shape(geometry: Geometry, shape: Shape) -> GridMapping:
    """The grid of the given shape (z, y, x) over the same field of view, edges aligned.

    >>> map_shape(Geometry((40, 512, 512)), (20, 256, 128))
    GridMapping(shape=(20, 256, 128), scale=(2.0, 2.0, 4.0), offset=(0.5, 0.5, 1.5))
    """
    return _collect(
        [(m, n / m, (n / m - 1) / 2) for n, m in zip(geometry.shape, shape, strict=True)]
    )


def map_onto(geometry: Geometry, reference: Geometry) -> GridMapping:
    """The voxels of another grid, in the axis order and directions of this one.

    >>> atlas = Geometry((10, 10, 10), spacing=(2.0, 2.0, 2.0), origin=(4.0, 4.0, 4.0))
    >>> map_onto(Geometry((32, 32, 32)), atlas)
    GridMapping(shape=(10, 10, 10), scale=(2.0, 2.0, 2.0), offset=(4.0, 4.0, 4.0))

    Raises:
        InputError: E_REFERENCE if the axes of the two are not parallel, or the grids lie apart.
    """
    turned, _ = reference.reorient(geometry.orientation)
    (a, b, c), (p, q, r) = turned.spacing_zyx, geometry.spacing_zyx
    z, y, x = (float(index) for index in geometry.physical_to_index(turned.origin))
    mapping = GridMapping(turned.shape, (a / p, b / q, c / r), (z, y, x))
    away = mapping.on(geometry).distance(turned)
    if not away <= _PARALLEL_MM:
        raise _apart(geometry, turned, f"are not parallel: corners would be {away:.3g} mm away")
    rows = zip(geometry.shape, mapping.shape, mapping.scale, mapping.offset, strict=True)
    if any((m - 1) * scale + start < -0.5 or start >= n - 0.5 for n, m, scale, start in rows):
        raise _apart(geometry, turned, "do not overlap")
    return mapping


def _apart(geometry: Geometry, reference: Geometry, how: str) -> InputError:
    return InputError(
        "E_REFERENCE",
        f"the case on {geometry.describe()} and the reference on {reference.describe()} {how}",
        advice="register the case to the reference first, or choose another image.resample.reference",
    )


def _collect(rows: list[tuple[int, float, float]]) -> GridMapping:
    (a, b, c) = rows
    return GridMapping((a[0], b[0], c[0]), (a[1], b[1], c[1]), (a[2], b[2], c[2]))


def _map_axis(
    n: int, own: float, target: float, convention: Convention
) -> tuple[int, float, float]:
    """(length, scale, offset) of one axis of ``n`` voxels."""
    if abs(own - target) <= _SAME * target:
        return n, 1.0, 0.0
    ratio = n * own / target
    scale = target / own
    if convention == "centered":
        m = max(1, math.floor(ratio + 0.5 + _FLOAT_SAFE))
        return m, scale, (n - 1) / 2 - (m - 1) / 2 * scale
    if convention == "nnunet":
        m = max(1, round(own / target * n))
        return m, n / m, (n / m - 1) / 2
    if convention == "monai":
        return max(1, round((n - 1) * own / target + 1)), scale, 0.0
    if convention == "torchio":
        m = 1 if n == 1 else max(1, math.floor(ratio + _FLOAT_SAFE))
        return m, scale, (n - 1) / 2 - (m - 1) / 2 * scale
    return max(1, math.ceil(ratio - _FLOAT_SAFE)), scale, 0.0


def reach(mapping: GridMapping, shape: Shape) -> Box:
    """The voxels of an input of that shape whose centres lie inside the output grid, its edges included."""
    rows = zip(shape, mapping.shape, mapping.scale, mapping.offset, strict=True)
    z, y, x = (
        slice(
            min(n, max(0, math.ceil(start - scale / 2 - _FLOAT_SAFE))),
            min(n, max(0, math.floor(start + (m - 0.5) * scale + _FLOAT_SAFE) + 1)),
        )
        for n, m, scale, start in rows
    )
    return z, y, x


def index_affine(own: Geometry, other: Geometry) -> Affine:
    """The 4×4 from indices ``z, y, x, 1`` of one grid to those of another."""
    corner = other.physical_to_index(own.index_to_physical((0.0, 0.0, 0.0)))
    steps = other.physical_to_index(own.index_to_physical(np.eye(3))) - corner
    affine = np.eye(4)
    affine[:3, :3] = steps.T
    affine[:3, 3] = corner
    return affine


def difference(own: Geometry, other: Geometry) -> str:
    """How two grids in one orientation differ, for messages: size, spacing, degrees, mm at the worst."""
    parts = []
    if own.shape != other.shape:
        parts.append(f"{_times(own.size)} voxels (x×y×z), not {_times(other.size)}")
    if not np.allclose(own.spacing, other.spacing, rtol=_TOLD):
        parts.append(f"spacing {_times(own.spacing)} mm, not {_times(other.spacing)}")
    cosines = np.clip((own.matrix * other.matrix).sum(0), -1.0, 1.0)
    degrees = np.degrees(np.arccos(cosines))
    if degrees.max() > _TOLD_DEGREES:
        parts.append(f"the {'xyz'[int(degrees.argmax())]} axis is turned by {degrees.max():.3g}°")
    away = np.linalg.norm(own.corners() - other.corners(), axis=1).max()
    return ", ".join([*parts, f"corners up to {away:.3g} mm apart"])


def _times(values: Sequence[float]) -> str:
    return "×".join(f"{value:.6g}" for value in values)
