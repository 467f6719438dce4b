"""Why a plan is what it is: spacing, patch, batch, and what another GPU would get."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from gpuprep.nnunet.configuration import Configuration, plan_configuration
from gpuprep.nnunet.dataset import Dataset
from gpuprep.nnunet.plan import Plan
from gpuprep.nnunet.planners import Planner

_GIGABYTES = (8.0, 12.0, 16.0, 24.0, 40.0, 80.0)


def explain(plan: Plan, dataset: Dataset, planner: Planner, gigabytes: float | None) -> Group:
    """The reasons of a plan, for a console."""
    return Group(*_lines(plan, dataset, planner, gigabytes))


def _lines(
    plan: Plan, dataset: Dataset, planner: Planner, gigabytes: float | None
) -> Iterator[RenderableType]:
    grid, target = plan.grid, gigabytes or planner.gigabytes
    yield Text(f"{dataset.name}: {plan.document['plans_name']} by {planner.name}", style="bold")
    yield Text(f"spacing    {_times(grid.spacing)} mm (z, y, x): {grid.why}")
    yield Text(f"axes       {grid.forward}: the coarsest comes first; {_times(grid.median)} voxels")
    yield Text(f"3d_lowres  {plan.lowres}")
    for name, each in plan.configurations.items():
        yield Text(f"\n{name}", style="bold")
        yield from _reasons(each, target)
        yield _other_cards(each, len(dataset.labels), planner)


def _reasons(each: Configuration, target: float) -> Iterator[RenderableType]:
    net = each.net
    yield Text(
        f"patch      {_times(net.patch)} of {_times(each.median)} voxels, {each.patch_share:.0%}; "
        f"{len(net.strides)} stages, edges are multiples of {_times(net.multiple)}"
    )
    for patch, estimate in each.tried[:1]:
        yield Text(
            f"           begun with {_times(patch)}, {estimate / each.limit:.2f} times too large, and "
            f"made smaller in {len(each.tried)} steps where it is largest beside the median case"
        )
    yield Text(f"memory     a batch takes {_filled(each)} of {target:g} GB by nnU-Net's estimate")
    if each.most_batch > each.batch:
        why = f"memory would take {each.most_batch}; more would be too large a share of all voxels"
    else:
        why = "as many as the memory takes" if each.most_batch > 1 else "at least two"
    yield Text(f"batch      {each.batch}: {why}")


def _other_cards(each: Configuration, classes: int, planner: Planner) -> Table:
    table = Table("GPU", "patch", "batch", "sees", "memory", box=None)
    for size in _GIGABYTES:
        other = plan_configuration(
            np.array(each.spacing), np.array(each.median), each.voxels, classes, planner, size
        )
        patch, batch = _times(other.net.patch), str(other.batch)
        table.add_row(f"{size:g} GB", patch, batch, f"{other.patch_share:.0%}", _filled(other))
    return table


def _filled(each: Configuration) -> str:
    """Of the memory, by a batch."""
    return f"{each.batch * each.estimate / each.capacity:.0%}"


def _times(numbers: Iterable[float]) -> str:
    return " × ".join(f"{number:.6g}" for number in numbers)
