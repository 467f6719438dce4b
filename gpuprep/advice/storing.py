"""How to store a cohort: dtype, chunks to suit the patch, coarser levels."""

from __future__ import annotations

import math

import numpy as np

from gpuprep.advice.facts import CohortFacts
from gpuprep.advice.grid import Planned
from gpuprep.advice.intensity import channel_steps
from gpuprep.advice.wording import times
from gpuprep.advice.written import Entry
from gpuprep.values.units import human_bytes

_EDGES = ((40, 16), (192, 32), (256, 48))  # patches with a geometric mean edge below → chunk
_LARGEST = 64


def store(facts: CohortFacts, made: Planned) -> tuple[Entry, ...]:
    """``store``, with its reasons."""
    left = [name for n, name in enumerate(facts.channels) if not channel_steps(facts, n)[0]]
    dtype = "float32" if left else "float16"
    size = 4 if left else 2
    why = (
        f"{', '.join(left)} keeps its values, which float16 would round above 2048"
        if left
        else "normalised values lie about 0, where float16 rounds by less than a thousandth of their unit"
    )
    voxels = _stored_voxels(facts, made) * (len(facts.channels) * size + 1)
    entries = [
        Entry("dtype", dtype, f"{why}; about {human_bytes(voxels)} with labels before compression"),
        _chunk(made),
    ]
    if made.plan is not None and "3d_lowres" in made.plan.configurations:
        entries.append(
            Entry("pyramid", 1, f"coarser levels beside the full one: {made.plan.lowres}")
        )
    else:
        entries.append(Entry("pyramid", 0, _no_levels(made)))
    return tuple(entries)


def _no_levels(made: Planned) -> str:
    return f"no coarser levels: {made.plan.lowres}" if made.plan else "no coarser levels"


def _chunk(made: Planned) -> Entry:
    if not made.patch:
        return Entry("chunk", 32, "the default, which suits patches of 64 to 192 voxels")
    thick = [edge for edge in made.patch if edge > 1]
    mean = math.prod(thick) ** (1 / len(thick))
    edge = next((chunk for below, chunk in _EDGES if mean < below), _LARGEST)
    touched = math.prod(
        (min(edge, length) + patch - 1) / patch
        for patch, length in zip(made.patch, made.median, strict=True)
    )
    return Entry(
        "chunk",
        edge,
        f"a patch of {times(made.patch)} at a random place touches {touched:.1f} times its own voxels; "
        "smaller chunks compress worse and are more to look up",
    )


def _stored_voxels(facts: CohortFacts, made: Planned) -> float:
    shapes = np.array([case.cropped or case.shape for case in facts.cases], np.float64)
    spacings = np.array([case.spacing[::-1] for case in facts.cases])
    target = np.median(spacings, 0) if made.plan is None else made.plan.grid.spacing
    resampled = np.where(shapes > 1, shapes * spacings / target, 1)
    return float(resampled.prod(1).sum())
