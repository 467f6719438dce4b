"""One configuration of a plan: patch, network and batch for a spacing, a median shape and a GPU."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gpuprep.nnunet.network import Topology, memory, topology
from gpuprep.nnunet.planners import Planner
from gpuprep.values.errors import UsageError

Floats = NDArray[np.float64]
_FIRST_EDGE = {2: 2048.0, 3: 256.0}  # of an isotropic patch to begin with
_BATCH = {2: 12, 3: 2}  # that the reference estimates are for
_LEAST_BATCH = 2


@dataclass(frozen=True)
class Configuration:
    """A planned configuration; axes in the order of the stored arrays.

    Attributes:
        spacing: In mm.
        median: The shape in voxels that half of the cases exceed; may end in .5.
        net: Patch, strides, kernels.
        batch: Patches.
        estimate: Of memory, in numbers held for one patch.
        limit: What the estimate may be.
        capacity: What it may be for all patches of a batch.
        voxels: Of the whole data set.
        tried: Patches that were too large, with their estimates.
        most_batch: What the batch would be by memory alone.
    """

    spacing: tuple[float, ...]
    median: tuple[float, ...]
    net: Topology
    batch: int
    estimate: int
    limit: float
    capacity: float
    voxels: float
    tried: tuple[tuple[tuple[int, ...], int], ...]
    most_batch: int

    @property
    def patch_share(self) -> float:
        """Of the median case that a patch sees."""
        return math.prod(self.net.patch) / math.prod(self.median)


def plan_configuration(
    spacing: Floats,
    median: Floats,
    voxels: float,
    classes: int,
    planner: Planner,
    gigabytes: float | None = None,
) -> Configuration:
    """Plan one configuration.

    Args:
        spacing: In mm, of two or three axes.
        median: Shape in voxels.
        voxels: Of the whole data set.
        classes: Entries of ``labels``.
        planner: Whose rules.
        gigabytes: Of the GPU, in place of the planner's.

    Raises:
        UsageError: even the smallest patch is too large for it.
    """
    dimensions = len(spacing)
    many = _BATCH[dimensions]
    target = planner.gigabytes if gigabytes is None else gigabytes
    reference = planner.reference[dimensions - 2] * target / planner.gigabytes
    limit = reference if planner.residual else reference * many / 2
    net = topology(spacing.tolist(), _first_patch(spacing, median).tolist())
    estimate, tried = memory(net, classes, residual=planner.residual), []
    while estimate > limit:
        tried.append((net.patch, estimate))
        net = _smaller(net, spacing, median, target)
        estimate = memory(net, classes, residual=planner.residual)
    fitting = round(reference / estimate * many)
    most = round(voxels * planner.share / math.prod(net.patch))
    batch = max(min(fitting, most), _LEAST_BATCH)
    return Configuration(
        tuple(map(float, spacing)),
        tuple(map(float, median)),
        net,
        batch,
        estimate,
        limit,
        reference * many,
        voxels,
        tuple(tried),
        fitting,
    )


def _first_patch(spacing: Floats, median: Floats) -> Floats:
    """An isotropic block of mm, no larger than the median case."""
    inverse = 1 / spacing
    edge, dimensions = _FIRST_EDGE[len(spacing)], len(spacing)
    block = inverse * (edge**dimensions / np.prod(inverse)) ** (1 / dimensions)
    return np.minimum(np.round(block), median)


def _smaller(net: Topology, spacing: Floats, median: Floats, gigabytes: float) -> Topology:
    """A step less on the axis whose patch is largest beside the median case, the last of equals."""
    share = np.array(net.patch) / median
    axis = int(np.flatnonzero(share == share.max())[-1])
    trial = list(net.patch)
    trial[axis] -= net.multiple[axis]
    if trial[axis] < 1:
        raise UsageError(
            f"no patch is small enough for {gigabytes:g} GB",
            advice="plan for a larger GPU by -gpu_memory_target",
        )
    edges = list(net.patch)
    edges[axis] -= topology(spacing.tolist(), trial).multiple[axis]
    return topology(spacing.tolist(), edges)
