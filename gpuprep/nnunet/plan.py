"""The plan of a data set, as the planners of nnU-Net 2.8.1 make it, in the form of its file."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from gpuprep.nnunet.configuration import Configuration, plan_configuration
from gpuprep.nnunet.dataset import Dataset, Fingerprint
from gpuprep.nnunet.document import plans_document
from gpuprep.nnunet.grid import Floats, TargetGrid, target_grid
from gpuprep.nnunet.planners import Planner
from gpuprep.values.errors import UsageError

_LEAST_SHARE = 0.25  # of the median case in a patch; below, a low resolution is planned
_COARSER = 1.03  # a step of its spacing
_WORTH = 2.0  # so many times fewer voxels, or there is none
_ABSURD_BATCH = 128


@dataclass(frozen=True)
class Plan:
    """A plan with its reasons.

    Attributes:
        grid: Target spacing, order of axes, median shape.
        configurations: By name: ``2d``, ``3d_lowres``, ``3d_fullres``.
        warnings: Where the rules give what nobody wants, in words.
        lowres: Why there is a low resolution, or none.
        document: The file.
    """

    grid: TargetGrid
    configurations: Mapping[str, Configuration]
    warnings: tuple[str, ...]
    lowres: str
    document: dict[str, Any]


def plan_dataset(
    fingerprint: Fingerprint,
    dataset: Dataset,
    planner: Planner,
    *,
    gigabytes: float | None = None,
    spacing: Sequence[float] | None = None,
    name: str | None = None,
) -> Plan:
    """Plan a data set.

    Args:
        fingerprint: Of its cases.
        dataset: Its description.
        planner: Whose rules.
        gigabytes: Of the GPU, in place of the planner's.
        spacing: Target, in mm, ``z, y, x``, in place of the rule's.
        name: Of the plans, in place of the planner's.

    Raises:
        UsageError: nothing can be planned for these cases.
    """
    if spacing is not None and not all(0 < width < math.inf for width in spacing):
        raise UsageError(f"a spacing is above 0 mm on every axis, not {tuple(spacing)}")
    if not fingerprint.shapes:
        raise UsageError(
            f"{dataset.name}: its fingerprint is of no case", advice="make it anew: --clean"
        )
    grid = target_grid(fingerprint.spacings, fingerprint.shapes, spacing)
    _refuse_nothing(grid)
    _refuse_slices(grid)
    classes = len(dataset.labels)

    def planned(widths: Floats, median: Floats, voxels: float) -> Configuration:
        return plan_configuration(widths, median, voxels, classes, planner, gigabytes)

    widths, median = grid.turned_spacing, grid.median
    voxels = float(np.prod(median)) * dataset.cases
    found = {"2d": planned(widths[1:], median[1:], voxels)}
    lowres = "there is one slice to a case"
    if median[0] != 1:
        full = planned(widths, median, voxels)
        low, lowres = _low_resolution(grid, full, planned, dataset.cases)
        found |= {"3d_lowres": low} if low else {}
        found["3d_fullres"] = full
    plans = name or planner.plans
    document = plans_document(fingerprint, dataset, planner, grid, found, plans)
    return Plan(grid, found, tuple(_warnings(found)), lowres, document)


class Planning(Protocol):
    """Plans a configuration for a spacing in mm, a median shape and the voxels of all cases."""

    def __call__(self, widths: Floats, median: Floats, voxels: float) -> Configuration: ...


def _refuse_nothing(grid: TargetGrid) -> None:
    """A target so coarse that no voxel is left on an axis."""
    gone = [grid.forward[place] for place, edge in enumerate(grid.median) if edge < 1]
    if gone:
        raise UsageError(
            f"at {grid.spacing[gone[0]]:g} mm half of the cases have no voxel left on axis {'zyx'[gone[0]]}",
            advice="ask for a finer spacing",
        )


def _refuse_slices(grid: TargetGrid) -> None:
    """One slice on an axis that is not the coarsest: nnU-Net plans in 3-D and fails (its issue 2809)."""
    flat = [axis for axis, edge in enumerate(grid.median) if edge == 1 and axis]
    if flat and grid.median[0] != 1:
        axis = "zyx"[grid.forward[flat[0]]]
        raise UsageError(
            f"half of the cases have one slice on axis {axis}, which is not the coarsest: there is no plan",
            advice=f"write them with a spacing of 999 mm on {axis}, as nnU-Net has 2-D images",
        )


def _low_resolution(
    grid: TargetGrid, full: Configuration, planned: Planning, cases: int
) -> tuple[Configuration | None, str]:
    """A coarser configuration whose patch sees a quarter of the median case; and why, or why not."""
    widths, median, low = grid.turned_spacing.copy(), grid.median, None
    net, now, steps = full.net, grid.median, 0
    share = full.patch_share
    while math.prod(net.patch) / float(np.prod(now)) < _LEAST_SHARE:
        finer = widths.max() / widths > 2
        widths[finer if finer.any() else slice(None)] *= _COARSER
        now = grid.turned_spacing / widths * median
        low = planned(widths, np.round(now), float(np.prod(now)) * cases)
        net, steps = low.net, steps + 1
    if low is None:
        return None, f"none: a patch of 3d_fullres sees {share:.0%} of the median case"
    fewer = float(np.prod(median) / np.prod(now))
    told = f"a patch of 3d_fullres sees {share:.0%} of the median case; after {steps} steps of 3 % it has"
    if fewer < _WORTH:
        return None, f"none: {told} only {fewer:.2f} times fewer voxels, less than {_WORTH:g}"
    return low, f"{told} {fewer:.2f} times fewer voxels"


def _warnings(found: Mapping[str, Configuration]) -> list[str]:
    return [
        f"{name}: a batch of {each.batch} patches fills the memory, and is more than a training takes well; "
        "set batch_size in the plans"
        for name, each in found.items()
        if each.batch > _ABSURD_BATCH
    ]
