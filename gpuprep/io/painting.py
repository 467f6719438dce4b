"""Masks painted one after the other into one label map, with a count of what they share."""

from __future__ import annotations

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from gpuprep.io.rules import Reading
from gpuprep.io.scan import Voxels

Shared = Counter[tuple[int, int]]
"""The voxels that two values share: the earlier one, and the later one."""


def paint(part: Voxels, mask: NDArray[np.bool_], value: int, shared: Shared) -> None:
    """Give the voxels of a mask a value, and count those that another value had."""
    taken = part[mask]
    for other, count in zip(*np.unique(taken[taken != 0], return_counts=True), strict=True):
        if other != value:
            shared[(int(other), value)] += int(count)
    part[mask] = value


def report_overlap(
    shared: dict[tuple[int, int], int], names: dict[int, str], reading: Reading
) -> None:
    """E_LABEL_OVERLAP for structures that have voxels in common.

    Raises:
        InputError: unless the policy has the later one keep them.
    """
    if not shared:
        return
    pairs = sorted(shared.items(), key=lambda item: -item[1])
    told = "; ".join(
        f"{names[a]} and {names[b]} share {count:,} voxels" for (a, b), count in pairs[:5]
    )
    more = f"; and {len(pairs) - 5} more pairs" if len(pairs) > 5 else ""
    reading.report(
        "E_LABEL_OVERLAP",
        f"structures overlap: {told}{more}",
        advice="input.label_layers: true makes each structure a label map of its own, and input.structures "
        "takes some of them.",
        ways={"warn": "lets the later one keep the voxels"},
        voxels={f"{names[a]}, {names[b]}": count for (a, b), count in pairs},
    )
