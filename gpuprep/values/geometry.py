"""Where voxels lie in the patient: the one place where axis orders and LPS/RAS meet.

Terms. *shape* counts voxels in array order ``z, y, x``; *size* is the same three numbers in SimpleITK
order ``x, y, z``. ``spacing`` (mm), ``origin`` (mm, the centre of voxel 0,0,0) and ``direction`` (3×3,
row-major, columns are the directions of the index axes) are in SimpleITK order and in the LPS frame
(patient Left, Posterior, Superior), as DICOM and ITK have them. NIfTI and nibabel use RAS; the two
frames differ by the sign of the first two rows. Directions are orthonormal, except in the grid of a
file whose axes are *sheared*: ``stack`` says how its voxels come to lie on a straight one.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuprep.values.notebook import facts_html
from gpuprep.values.orientation import LETTERS, parse_orientation

Triple = tuple[float, float, float]
Shape = tuple[int, int, int]
Box = tuple[slice, slice, slice]
Affine = NDArray[np.float64]

_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
_RIGHT_ANGLE = 1e-6  # of a cosine; headers are made exact by ``io.grid`` or are beyond 1e-4
_IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)


@dataclass(frozen=True)
class Reorientation:
    """An exact move of array axes: new axis ``i`` is old axis ``axes[i]``, reversed where ``flips[i]``.

    Both tuples are in array order ``z, y, x``.
    """

    axes: Shape
    flips: tuple[bool, bool, bool]

    def view(self, array: NDArray[Any]) -> NDArray[Any]:
        """The reoriented array as a view; nothing is copied."""
        steps = tuple(slice(None, None, -1 if flip else 1) for flip in self.flips)
        return array.transpose(self.axes)[steps]

    @property
    def inverse(self) -> Reorientation:
        axes = tuple(self.axes.index(axis) for axis in range(3))
        return Reorientation(_three(axes), _three(tuple(self.flips[axis] for axis in axes)))


@dataclass(frozen=True)
class Geometry:
    """A grid of voxels in the patient's frame (see the module's terms for orders and units).

    >>> grid = Geometry(shape=(40, 512, 512), spacing=(0.75, 0.75, 2.5), origin=(-192.0, -192.0, 10.0))
    >>> grid.size, grid.spacing_zyx, grid.orientation
    ((512, 512, 40), (2.5, 0.75, 0.75), 'LPS')
    >>> grid.index_to_physical([1, 0, 0]).tolist()
    [-192.0, -192.0, 12.5]
    """

    shape: Shape
    spacing: Triple = (1.0, 1.0, 1.0)
    origin: Triple = (0.0, 0.0, 0.0)
    direction: tuple[float, ...] = _IDENTITY

    @property
    def size(self) -> Shape:
        """Voxel counts in SimpleITK order ``x, y, z``."""
        return _reversed(self.shape)

    @property
    def spacing_zyx(self) -> Triple:
        """Spacing in mm in array order."""
        return _reversed(self.spacing)

    @property
    def voxels(self) -> int:
        return math.prod(self.shape)

    @cached_property
    def matrix(self) -> NDArray[np.float64]:
        """The direction as a 3×3 matrix; column ``i`` is the direction of index axis ``i`` (x, y, z)."""
        return np.array(self.direction, np.float64).reshape(3, 3)

    @cached_property
    def affine(self) -> Affine:
        """4×4 from index ``(x, y, z, 1)`` to physical LPS mm."""
        return _affine(self.matrix * np.array(self.spacing), self.origin)

    @property
    def affine_ras(self) -> Affine:
        """The same affine in the RAS frame of NIfTI and nibabel."""
        return _LPS_TO_RAS @ self.affine

    @classmethod
    def from_affine(cls, affine: Affine, shape: Sequence[int]) -> Geometry:
        """The grid of an LPS affine; ``sheared`` if its columns are (see ``shear_degrees``)."""
        columns = np.asarray(affine, np.float64)[:3, :3]
        spacing = np.sqrt((columns**2).sum(0))
        direction = columns / spacing
        return cls(
            _three(tuple(int(n) for n in shape)),
            _three(tuple(float(s) for s in spacing)),
            _three(tuple(float(t) for t in np.asarray(affine, np.float64)[:3, 3])),
            tuple(float(value) for value in direction.ravel()),
        )

    @classmethod
    def from_affine_ras(cls, affine: Affine, shape: Sequence[int]) -> Geometry:
        """The grid of a NIfTI (RAS) affine."""
        return cls.from_affine(_LPS_TO_RAS @ affine, shape)

    def index_to_physical(self, index: NDArray[Any] | Sequence[float]) -> NDArray[np.float64]:
        """LPS mm of continuous indices ``(..., 3)`` in array order ``z, y, x``."""
        xyz = np.asarray(index, np.float64)[..., ::-1]
        return np.asarray(xyz @ self.affine[:3, :3].T + self.affine[:3, 3])

    def physical_to_index(self, point: NDArray[Any] | Sequence[float]) -> NDArray[np.float64]:
        """Continuous indices in array order ``z, y, x`` of LPS points ``(..., 3)``."""
        offset = np.asarray(point, np.float64) - self.affine[:3, 3]
        xyz = np.linalg.solve(self.affine[:3, :3], offset[..., None])[..., 0]
        return np.asarray(xyz[..., ::-1])

    @cached_property
    def sheared(self) -> bool:
        """Whether the axes are unit vectors, but not at right angles."""
        return bool(np.abs(self.matrix.T @ self.matrix - np.eye(3)).max() > _RIGHT_ANGLE)

    @property
    def orientation(self) -> str:
        """Letters of the patient directions that x, y, z most nearly follow, such as ``LPS``."""
        axes, signs = _closest_axes(self.matrix)
        return "".join(
            LETTERS[axis][0 if sign > 0 else 1] for axis, sign in zip(axes, signs, strict=True)
        )

    @property
    def oblique_degrees(self) -> float:
        """The largest angle between an index axis and the patient axis it most nearly follows."""
        axes, _ = _closest_axes(self.matrix)
        cosines = [abs(self.matrix[axis, column]) for column, axis in enumerate(axes)]
        return math.degrees(math.acos(min(1.0, min(cosines))))

    def reorient(self, code: str) -> tuple[Geometry, Reorientation]:
        """The same voxels with axes that follow ``code`` (three letters, x first, such as ``RAS``).

        >>> turned, move = Geometry((2, 3, 4), origin=(0.0, 0.0, 0.0)).reorient("RAS")
        >>> turned.orientation, turned.origin
        ('RAS', (3.0, 2.0, 0.0))
        >>> move  # reverse y and x
        Reorientation(axes=(0, 1, 2), flips=(False, True, True))
        """
        if code not in self._turned:
            self._turned[code] = self._reoriented(code)
        return self._turned[code]

    @cached_property
    def _turned(self) -> dict[str, tuple[Geometry, Reorientation]]:
        """By code what ``reorient`` gave: the files of a case meet on one grid, time and again."""
        return {}

    def _reoriented(self, code: str) -> tuple[Geometry, Reorientation]:
        target_axes, target_signs = parse_orientation(code)
        own_axes, own_signs = _closest_axes(self.matrix)
        columns = [own_axes.index(axis) for axis in target_axes]  # new x,y,z from old x,y,z
        flips = [
            own_signs[column] != sign for column, sign in zip(columns, target_signs, strict=True)
        ]
        return self._permuted(columns, flips)

    def _permuted(self, columns: list[int], flips: list[bool]) -> tuple[Geometry, Reorientation]:
        size = [self.size[column] for column in columns]
        corner = np.zeros(3)
        matrix = np.empty((3, 3))
        for new, (old, flip) in enumerate(zip(columns, flips, strict=True)):
            corner[old] = self.size[old] - 1 if flip else 0
            matrix[:, new] = -self.matrix[:, old] if flip else self.matrix[:, old]
        geometry = Geometry(
            _reversed(_three(tuple(size))),
            _three(tuple(self.spacing[column] for column in columns)),
            _floats(self.index_to_physical(corner[::-1])),
            tuple(float(value) for value in matrix.ravel() + 0.0),
        )
        axes = tuple(2 - columns[2 - new] for new in range(3))
        return geometry, Reorientation(_three(axes), _three(tuple(reversed(flips))))

    def crop(self, box: Box) -> Geometry:
        """The grid of ``array[box]``; slices are in array order with step 1.

        >>> Geometry((9, 9, 9), spacing=(1.0, 1.0, 2.0)).crop((slice(3, 9), slice(0, 9), slice(0, 9))).origin
        (0.0, 0.0, 6.0)
        """
        bounds = [part.indices(length) for part, length in zip(box, self.shape, strict=True)]
        shape = _three(tuple(stop - start for start, stop, _ in bounds))
        origin = self.index_to_physical([start for start, _, _ in bounds])
        return Geometry(shape, self.spacing, _floats(origin), self.direction)

    def resampled(self, shape: Shape, scale: Triple, offset: Triple) -> Geometry:
        """The grid whose index ``o`` lies at index ``o * scale + offset`` of this one (array order)."""
        spacing = tuple(s * k for s, k in zip(self.spacing_zyx, scale, strict=True))
        return Geometry(
            shape,
            _reversed(_three(spacing)),
            _floats(self.index_to_physical(offset)),
            self.direction,
        )

    def corners(self) -> NDArray[np.float64]:
        """LPS mm of the eight outermost voxel centres, ``(8, 3)``."""
        ends = [(0, length - 1) for length in self.shape]
        return self.index_to_physical(np.array(list(itertools.product(*ends)), np.float64))

    def distance(self, other: Geometry) -> float:
        """The largest distance in mm between corresponding corners; infinite for unequal shapes."""
        if self == other:
            return 0.0
        if self.shape != other.shape:
            return math.inf
        return float(np.linalg.norm(self.corners() - other.corners(), axis=1).max())

    def describe(self) -> str:
        """One line for messages: size, spacing, origin and orientation."""
        size = "×".join(str(n) for n in self.size)
        spacing = "×".join(f"{s:.6g}" for s in self.spacing)
        origin = ", ".join(f"{t:.6g}" for t in self.origin)
        return f"{size} voxels (x×y×z) of {spacing} mm, origin ({origin}), {self.orientation}"

    def _repr_html_(self) -> str:
        """The grid as a notebook shows it."""
        turned = f"{self.oblique_degrees:.1f}°"
        return facts_html("Geometry", [("grid", self.describe()), ("oblique by", turned)])

    def to_json(self) -> dict[str, Any]:
        return {
            "shape": list(self.shape),
            "spacing": list(self.spacing),
            "origin": list(self.origin),
            "direction": list(self.direction),
        }

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Geometry:
        return cls(
            _three(tuple(fields["shape"])),
            _three(tuple(fields["spacing"])),
            _three(tuple(fields["origin"])),
            tuple(fields["direction"]),
        )


def shear_degrees(affine: Affine) -> float:
    """How far the columns of an affine are from orthogonal: the largest deviation from 90°."""
    columns = np.asarray(affine, np.float64)[:3, :3]
    unit = columns / np.sqrt((columns**2).sum(0))
    cosines = np.abs(np.array([unit[:, a] @ unit[:, b] for a, b in ((0, 1), (0, 2), (1, 2))]))
    return float(np.degrees(np.arcsin(np.clip(cosines.max(), 0.0, 1.0))))


def _closest_axes(matrix: NDArray[np.float64]) -> tuple[list[int], list[int]]:
    """Per index axis the patient axis it follows most nearly (each used once), and the sign."""
    weights = [[abs(weight) for weight in row] for row in matrix.T.tolist()]
    best = [max(range(3), key=row.__getitem__) for row in weights]
    if len({*best}) < 3 or any(row.count(max(row)) > 1 for row in weights):  # not plain to see
        best = max(
            map(list, itertools.permutations(range(3))),
            key=lambda order: sum(weights[column][axis] for column, axis in enumerate(order)),
        )
    return best, [1 if matrix[axis, column] >= 0 else -1 for column, axis in enumerate(best)]


def _affine(columns: NDArray[np.float64], origin: Triple) -> Affine:
    affine = np.eye(4)
    affine[:3, :3] = columns
    affine[:3, 3] = origin
    return affine


def _floats(values: NDArray[np.float64]) -> Triple:
    return _three(tuple(float(value) for value in values))


def _three(values: tuple[Any, ...]) -> tuple[Any, Any, Any]:
    a, b, c = values
    return a, b, c


def _reversed(values: tuple[Any, Any, Any]) -> tuple[Any, Any, Any]:
    return values[2], values[1], values[0]
