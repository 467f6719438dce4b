"""nnU-Net's planners: how much memory each plans for, and with which network."""

from __future__ import annotations

from dataclasses import dataclass

from gpuprep.values.errors import UsageError


@dataclass(frozen=True)
class Planner:
    """One of nnU-Net's planners.

    Attributes:
        name: Its class.
        plans: The name of its plans.
        gigabytes: Of the GPU it plans for.
        reference: The memory estimate of a network that fills it, by the number of dimensions.
        share: Of all voxels of the data set that one batch may hold.
        residual: Its network has a residual encoder.
    """

    name: str
    plans: str
    gigabytes: float
    reference: tuple[float, float]
    share: float = 0.05
    residual: bool = True


PLANNERS = {
    planner.name: planner
    for planner in (
        Planner("ExperimentPlanner", "nnUNetPlans", 8, (85e6, 560e6), residual=False),
        Planner("ResEncUNetPlanner", "nnUNetResEncUNetPlans", 8, (135e6, 680e6)),
        Planner("nnUNetPlannerResEncM", "nnUNetResEncUNetMPlans", 8, (135e6, 680e6), 1),
        Planner("nnUNetPlannerResEncL", "nnUNetResEncUNetLPlans", 24, (380e6, 2.1e9), 1),
        Planner("nnUNetPlannerResEncXL", "nnUNetResEncUNetXLPlans", 40, (560e6, 3.6e9), 1),
    )
}


def find_planner(name: str) -> Planner:
    """A planner by its name; raises UsageError with those there are."""
    if name not in PLANNERS:
        raise UsageError(f"there is no planner {name!r}", advice=f"planners: {', '.join(PLANNERS)}")
    return PLANNERS[name]
