"""Where the slices of a tilted or uneven series lie, for the policy ``fix`` of W_TILT and E_SLICE_GAP."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from gpuprep.io.dicom.slice import Slice
from gpuprep.io.rules import ReadRules
from gpuprep.values.errors import InputError
from gpuprep.values.geometry import Geometry


def tilted(grid: Geometry, slices: Sequence[Slice], rules: ReadRules, path: object) -> Geometry:
    """``grid`` with its slice axis along the line on which the slices lie: a sheared geometry.

    Raises:
        InputError: W_TILT if they lie on no line.
    """
    positions = np.array([one.position for one in slices])
    step = (positions[-1] - positions[0]) / (len(slices) - 1)
    along = (positions - positions[0]) @ step / (step @ step)
    crooked = float(np.linalg.norm(positions - positions[0] - along[:, None] * step, axis=1).max())
    if crooked > rules.affine_tolerance_mm:
        raise InputError(
            "W_TILT",
            f"slices lie up to {crooked:.2f} mm off a straight line, so their shifts are no tilt",
            path=str(path),
            advice="Leave the series out; with the policy warn the shifts are ignored.",
        )
    affine = grid.affine.copy()
    affine[:3, 2] = step
    return replace(Geometry.from_affine(affine, grid.shape), origin=grid.origin)


def slice_heights(slices: Sequence[Slice]) -> tuple[float, ...]:
    """Heights of sorted slices along their normal in mean steps: from 0 to the last index."""
    normal = np.cross(slices[0].orientation[:3], slices[0].orientation[3:])
    along = np.array([one.position for one in slices]) @ normal
    heights = (along - along[0]) * ((len(slices) - 1) / (along[-1] - along[0]))
    return tuple(float(height) for height in heights)
