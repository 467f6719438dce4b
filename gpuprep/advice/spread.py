"""The foreground of a CT channel over all cases, each with the same weight, as nnU-Net's sample has it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuprep.nnunet.mixture import CountedChannel, mixture_statistics
from gpuprep.ops.mergeable import Counted
from gpuprep.ops.value_counts import ValueCounts, count_values

_MANY = 4096  # values of a case that are worth a file


@dataclass(frozen=True, slots=True)
class Spread:
    """The numbers of a channel's foreground.

    Attributes:
        cases: Of which they are.
        low: The 0.5 percentile.
        high: The 99.5 percentile.
        mean: Of all voxels.
        std: Their standard deviation (ddof 0).
    """

    cases: int
    low: float
    high: float
    mean: float
    std: float


def spread_of(cases: Sequence[CountedChannel]) -> Spread | None:
    """The numbers of the mixture; None where no case has foreground.

    A percentile is the smallest value at which so much of the weight is reached.
    """
    full = [case for case in cases if case.count]
    if not full:
        return None
    told = mixture_statistics(full)
    low, high = told["percentile_00_5"], told["percentile_99_5"]
    return Spread(len(full), low, high, told["mean"], told["std"])


def counted(voxels: NDArray[Any]) -> CountedChannel:
    """A case's share, from the voxels of its foreground in one row; what is not finite is left out."""
    finite = voxels[np.isfinite(voxels)] if voxels.dtype.kind == "f" else voxels
    found = count_values(finite)
    ends = (float(found.values[0]), float(found.values[-1])) if found.count else ()
    return CountedChannel(found.count, ends, *found.moments(), found)


def of_histogram(histogram: Counted) -> CountedChannel:
    """The same of a histogram that was kept; as exact as that is."""
    values, counts = histogram.points
    held = ValueCounts(values.astype(np.float32), np.cumsum(counts))
    if not held.count:
        return CountedChannel(0, (), 0.0, 0.0, held)
    mean, std = histogram.moments()
    return CountedChannel(held.count, (float(values[0]), float(values[-1])), mean, std**2, held)


def put_away(case: CountedChannel, folder: Path) -> CountedChannel:
    """The same with its values in a new folder, where they are many."""
    held = case.held
    if isinstance(held, Path) or len(held.values) <= _MANY:
        return case
    folder.mkdir()
    for name, array in (("values", held.values), ("totals", held.totals)):
        np.save(folder / f"{name}.npy", array)
    return replace(case, held=folder)
