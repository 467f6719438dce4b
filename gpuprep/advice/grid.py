"""The grid that a cohort's spacings and shapes advise, and what nnU-Net's planner would train on it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gpuprep.advice.facts import CaseFacts, CohortFacts
from gpuprep.advice.wording import cases, rounded, times
from gpuprep.advice.written import Entry
from gpuprep.nnunet.configuration import Configuration
from gpuprep.nnunet.dataset import Dataset, Fingerprint
from gpuprep.nnunet.plan import Plan, plan_dataset
from gpuprep.nnunet.planners import Planner
from gpuprep.values.errors import UsageError
from gpuprep.values.geometry import Triple

_ANISOTROPIC = 3  # as separate_z: auto has it
_FLAT = 999  # mm for each mm within the slice, as nnU-Net has images of two axes
_SPREAD = 4.0  # times between the coarsest and the finest case that are worth a warning


@dataclass(frozen=True)
class Planned:
    """What a cohort would be planned for.

    Attributes:
        plan: nnU-Net's; None where there is none.
        refusal: Why there is none.
        best: The configuration of the stored cases.
        patch: Its patch, ``z, y, x``; empty without a plan.
    """

    plan: Plan | None
    refusal: str = ""

    @property
    def best(self) -> Configuration | None:
        if self.plan is None:
            return None
        found = self.plan.configurations
        return found.get("3d_fullres", found["2d"])

    @property
    def patch(self) -> tuple[int, ...]:
        best = self.best
        if self.plan is None or best is None:
            return ()
        edges = best.net.patch if len(best.net.patch) == 3 else (1, *best.net.patch)
        return tuple(edges[place] for place in self.plan.grid.backward)

    @property
    def median(self) -> tuple[float, ...]:
        """The shape that half of the cases exceed, ``z, y, x``; empty without a plan."""
        if self.plan is None:
            return ()
        grid = self.plan.grid
        return tuple(float(grid.median[place]) for place in grid.backward)


def planned(facts: CohortFacts, planner: Planner, gigabytes: float | None) -> Planned:
    """nnU-Net's plan for a cohort on its own grid."""
    kept = [case.cropped or case.shape for case in facts.cases]
    spacings = tuple(_planned_spacing(case, flat=_are_flat(facts)) for case in facts.cases)
    fingerprint = Fingerprint(spacings, tuple(kept), facts.kept or 1.0, {})
    classes = next(iter(facts.agreement.labels.values()), None)
    regions = classes.regions if classes is not None else {}
    names = classes.names.values() if classes is not None and classes.names else ()
    known = [*(regions or names)] or [str(value) for value in facts.values] or ["foreground"]
    if classes is not None and classes.ignore is not None and regions:
        known.append("ignore")
    labels = {"background": 0, **{name: number for number, name in enumerate(known, 1)}}
    dataset = Dataset("cohort", facts.channels, labels, (), len(facts.cases), "", {})
    try:
        return Planned(plan_dataset(fingerprint, dataset, planner, gigabytes=gigabytes))
    except UsageError as error:
        return Planned(None, str(error))


def _are_flat(facts: CohortFacts) -> bool:
    """Whether most cases are single slices."""
    return sum(case.shape[0] == 1 for case in facts.cases) * 2 > len(facts.cases)


def _planned_spacing(case: CaseFacts, *, flat: bool) -> Triple:
    """mm, ``z, y, x``; that between single slices as nnU-Net has it: larger than any."""
    x, y, z = case.spacing
    return (_FLAT * max(x, y) if flat and case.shape[0] == 1 else z), y, x


def resampling(facts: CohortFacts, made: Planned) -> tuple[Entry, ...]:
    """``image.resample``, with its reasons."""
    spacings = np.array([case.spacing for case in facts.cases])
    target = np.median(spacings, 0) if made.plan is None else made.plan.grid.spacing[::-1].copy()
    flat = _are_flat(facts)
    if flat:
        target[2] = np.median(spacings, 0)[2]
    entries = [_spacing(facts, made, spacings, target, flat=flat)]
    entries.append(
        Entry("interpolation", "cubic", "third-order spline, clipped to the range of its input")
    )
    coarse = int((spacings.max(1) / spacings.min(1) > _ANISOTROPIC).sum())
    if coarse or target.max() / target.min() > _ANISOTROPIC:
        told = f"{cases(coarse)} of {len(facts.cases):,} have slices over {_ANISOTROPIC} times as thick"
        entries.append(
            Entry(
                "separate_z",
                "auto",
                f"{told} as their pixels: in these, slices are resampled one by one, as nnU-Net does",
            )
        )
    return tuple(entries)


def _spacing(
    facts: CohortFacts,
    made: Planned,
    spacings: NDArray[np.float64],
    target: NDArray[np.float64],
    *,
    flat: bool,
) -> Entry:
    number, median = len(spacings), np.median(spacings, 0)
    why = f"x y z in mm; median of {cases(number)}: {times(median)} mm"
    if made.plan is not None and (abs(target - median) > 1e-9).any():
        why += f". nnU-Net's rule (z y x): {made.plan.grid.why}"
    for axis, name in enumerate("xyz"):
        share = float((spacings[:, axis] > 2 * target[axis]).mean())
        low, high = spacings[:, axis].min(), spacings[:, axis].max()
        if share:
            why += f"; {share:.0%} are coarser than {2 * target[axis]:.3g} mm along {name}"
        if high > low * 1.01:
            why += f"; {name} from {low:.3g} to {high:.3g} mm"
    asked: list[float | str] = [rounded(each) for each in target]
    if flat:
        asked[2] = "keep"
        why += "; single slices keep the spacing between slices"
    return Entry("spacing", asked, why)


def spacing_warnings(facts: CohortFacts) -> list[str]:
    """Axes along which cases differ so much that one grid fits none of them well."""
    spacings = np.array([case.spacing for case in facts.cases])
    low, high = spacings.min(0), spacings.max(0)
    return [
        f"spacing along {name} runs from {low[axis]:.3g} to {high[axis]:.3g} mm, over {_SPREAD:g} times: "
        "one grid makes up slices of some cases and drops those of others"
        for axis, name in enumerate("xyz")
        if high[axis] > _SPREAD * low[axis]
    ]
