"""One axis of a grid of overlapping patches: where they start, and what share each has in every voxel.

Sources: starts ``even``: nnU-Net v2 ``compute_steps_for_sliding_window``; ``fixed``: MONAI
``dense_patch_slices``. Gaussian: MONAI ``compute_importance_map``, centred between the middle voxels, with
sigma an eighth of the patch (nnU-Net's has the same sigma and lies half a voxel off where a patch is even).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Spread = Literal["even", "fixed"]
"""``even``: neighbours overlap alike; ``fixed``: every step is the same, the last patch moves back."""
Weighting = Literal["gaussian", "constant"]

_SIGMA = 1 / 8  # of the patch


@dataclass(frozen=True)
class PatchAxis:
    """Patches of ``patch`` voxels that cover ``length`` voxels; a lone one may reach beyond both ends."""

    length: int
    patch: int
    starts: tuple[int, ...]
    weighting: Weighting

    @cached_property
    def shares(self) -> NDArray[np.float64]:
        """``(patches, patch)``: weights that add up to 1 at each voxel of the axis, 0 beyond its ends.

        Weights of a box are products of those of its axes, so the shares of boxes add up to 1 too: what is
        stitched needs no division and no volume of weights.
        """
        weights = _weights(self.patch, self.weighting)
        total = np.zeros(self.length)
        for start in self.starts:
            inside, within = self.overlap(start)
            total[inside] += weights[within]
        shares = np.zeros((len(self.starts), self.patch))
        for row, start in zip(shares, self.starts, strict=True):
            inside, within = self.overlap(start)
            row[within] = weights[within] / total[inside]
        return shares

    def overlap(self, start: int) -> tuple[slice, slice]:
        """What a patch covers, counted on the axis and counted within the patch."""
        low, high = max(start, 0), min(start + self.patch, self.length)
        return slice(low, high), slice(low - start, high - start)


def patch_axis(
    length: int, patch: int, *, step: float, spread: Spread, weighting: Weighting
) -> PatchAxis:
    """Cover ``length`` voxels with patches at most ``step · patch`` apart; both ends are covered.

    A patch longer than the axis is centred on it, as nnU-Net pads.
    """
    room = length - patch
    if room <= 0:
        starts = [-(-room // 2)]
    elif spread == "even":
        steps = math.ceil(room / max(1.0, patch * step))
        starts = [round(room / steps * number) for number in range(steps + 1)]
    else:
        stride = max(1, int(patch * step))
        starts = [*range(0, room, stride), room]
    return PatchAxis(length, patch, tuple(starts), weighting)


def _weights(patch: int, weighting: Weighting) -> NDArray[np.float64]:
    if weighting == "constant":
        return np.ones(patch)
    distance = np.arange(patch) - (patch - 1) / 2
    weights: NDArray[np.float64] = np.exp(-0.5 * (distance / (_SIGMA * patch)) ** 2)
    return weights
