"""On which grid the cases of a data set come to lie: nnU-Net's target spacing and order of axes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_THRICE = 3  # coarser than the others by more, with fewer slices by more: a thick-slice axis


@dataclass(frozen=True)
class TargetGrid:
    """What all cases are resampled to.

    Attributes:
        spacing: In mm, in the order of the file's arrays ``z, y, x``.
        forward: The axes of the stored arrays, as axes of the file's.
        median: Of the shapes that the cases get, in the order of the stored arrays; may end in .5.
        why: In words.
    """

    spacing: Floats
    forward: tuple[int, ...]
    median: Floats
    why: str

    @property
    def backward(self) -> tuple[int, ...]:
        return tuple(self.forward.index(axis) for axis in range(len(self.forward)))

    @property
    def turned_spacing(self) -> Floats:
        """In the order of the stored arrays."""
        return self.spacing[list(self.forward)]


def target_grid(
    spacings: Sequence[Sequence[float]],
    shapes: Sequence[Sequence[int]],
    overwrite: Sequence[float] | None = None,
) -> TargetGrid:
    """The grid for cases of these spacings (mm) and shapes after the crop, ``z, y, x``.

    Args:
        spacings: Of each case.
        shapes: Of each case.
        overwrite: A spacing in place of the rule's.
    """
    widths, edges = np.array(spacings, np.float64), np.array(shapes, np.float64)
    spacing, why = (
        (np.array(overwrite, np.float64), "as asked for") if overwrite else _rule(widths, edges)
    )
    coarsest = int(spacing.argmax())
    forward = (coarsest, *(axis for axis in range(len(spacing)) if axis != coarsest))
    resampled = np.round(widths / spacing * edges)
    return TargetGrid(spacing, forward, np.median(resampled, 0)[list(forward)], why)


def _rule(widths: Floats, edges: Floats) -> tuple[Floats, str]:
    """The median of each axis; of one with thick slices in some cases the 10th percentile."""
    spacing, size = np.percentile(widths, 50, 0), np.percentile(edges, 50, 0)
    worst = int(spacing.argmax())
    rest = [axis for axis in range(len(spacing)) if axis != worst]
    finest_worse = max(spacing[rest])
    if not (spacing[worst] > _THRICE * finest_worse and size[worst] * _THRICE < min(size[rest])):
        return spacing, "the median of each axis"
    tenth = float(np.percentile(widths[:, worst], 10))
    median = float(spacing[worst])
    spacing[worst] = tenth if tenth >= finest_worse else finest_worse + 1e-5
    return spacing, (
        f"the median of each axis; {median:.4g} mm is more than {_THRICE} times the others, with fewer "
        f"slices than a third of theirs, so that axis has its 10th percentile, {spacing[worst]:.4g} mm"
    )
