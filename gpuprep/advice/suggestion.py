"""A config for a cohort, from its own facts: every line with its reason, and what to beware of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import yaml

from gpuprep.advice.facts import CohortFacts
from gpuprep.advice.grid import Planned, planned, resampling, spacing_warnings
from gpuprep.advice.intensity import crop, foreground, kind_warnings, steps
from gpuprep.advice.storing import store
from gpuprep.advice.wording import cases, counted, listed, times
from gpuprep.advice.written import Entry, text_of, tree_of
from gpuprep.config.model import Config
from gpuprep.nnunet.planners import Planner
from gpuprep.values.agreement import Classes
from gpuprep.values.codes import CODES
from gpuprep.values.version import __version__


@dataclass(frozen=True)
class Suggestion:
    """A config with reasons.

    Attributes:
        text: YAML with comments, which ``gpuprep run`` takes as it is.
        config: The same, checked.
        warnings: Where the cohort disagrees with itself.
        planned: What nnU-Net's planner would train on.
        facts: That it is made from.
    """

    text: str
    config: Config
    warnings: tuple[str, ...]
    planned: Planned
    facts: CohortFacts

    def to_json(self) -> dict[str, Any]:
        best = self.planned.best
        return {
            "config": yaml.safe_load(self.text),
            "training": {"patch": list(self.planned.patch), "batch": best.batch} if best else None,
            "warnings": list(self.warnings),
            "facts": self.facts.to_json(),
        }


def suggest(
    facts: CohortFacts, base: Config, planner: Planner, gigabytes: float | None = None
) -> Suggestion:
    """A config for a cohort.

    Args:
        facts: Of its cases.
        base: Says how they were read; what it says of ``input`` and ``label`` is kept.
        planner: nnU-Net's, for patch and batch.
        gigabytes: Of the GPU, in place of the planner's.
    """
    made = planned(facts, planner, gigabytes)
    warnings = tuple(_warnings(facts, made))
    entries = _entries(facts, base, made)
    heading = [
        f"Suggested by gpuprep {__version__} for {cases(len(facts.cases))} of {facts.source}"
        + (f" (layout {facts.layout})" if facts.layout else "")
        + f", from {_from(facts)}.",
        *(f"warning: {each}" for each in warnings),
        *_training(facts, made, planner, gigabytes),
    ]
    text = text_of(entries, heading)
    config = Config.model_validate(tree_of(entries))
    return Suggestion(text, config, warnings, made, facts)


def _from(facts: CohortFacts) -> str:
    if not facts.layout:
        return "the records of its cases"
    return "headers and voxels" if facts.read else "headers alone"


def _entries(facts: CohortFacts, base: Config, made: Planned) -> list[Entry]:
    found = [Entry("version", 1)]
    kept = base.input.model_dump(mode="json", exclude_defaults=True)
    if facts.layout:
        kept = {"layout": base.input.layout, **kept}
    if kept:
        files = f", and {facts.unmatched:,} files are of no case" if facts.unmatched else ""
        why = f"cases were found by the layout {facts.layout}{files}" if facts.layout else ""
        found.append(Entry("input", tuple(Entry(*each) for each in kept.items()), why))
    asked = base.image.orientation
    turned = sum(number for code, number in facts.orientations.items() if code != asked)
    why = (
        f"{cases(turned)} of {len(facts.cases):,} are turned to it ({counted(facts.orientations)})"
    )
    image = [
        Entry("orientation", asked, why if turned else "as all cases lie"),
        crop(facts),
        foreground(facts),
        *steps(facts),
        Entry("resample", resampling(facts, made)),
    ]
    found.append(Entry("image", tuple(image)))
    found.append(Entry("label", _label(facts, base)))
    found.append(Entry("store", store(facts, made)))
    return found


def _label(facts: CohortFacts, base: Config) -> tuple[Entry, ...]:
    kept = base.label.model_dump(mode="json", exclude_defaults=True)
    kept.pop("interpolation", None)
    labelled = sum(case.labelled for case in facts.cases)
    if not labelled:
        why = "no case has a label map"
    else:
        classes = next(iter(facts.agreement.labels.values()), Classes())
        values = {
            f"{value} {classes.names.get(value, '')}".strip(): number
            for value, number in sorted(facts.values.items())
        }
        held = f" (cases with {counted(values, ': ')})" if values else ""
        why = (
            f"{cases(labelled)} of {len(facts.cases):,} have a label map{held}; each value is interpolated "
            "by itself and the largest wins, as in nnU-Net"
        )
    first = Entry("interpolation", "linear", why)
    return (first, *(Entry(*each) for each in kept.items()))


def _training(
    facts: CohortFacts, made: Planned, planner: Planner, gigabytes: float | None
) -> Iterator[str]:
    best = made.best
    if made.plan is None or best is None:
        return
    card = gigabytes or planner.gigabytes
    yield (
        f"training: patch (z, y, x) {times(made.patch)}, batch {best.batch}, by nnU-Net's {planner.name} for "
        f"{card:g} GB; a patch sees {best.patch_share:.0%} of the median case, and a batch takes "
        f"{best.batch * best.estimate / best.capacity:.0%} of the memory."
    )
    yield f"low resolution: {made.plan.lowres}."


def _warnings(facts: CohortFacts, made: Planned) -> Iterator[str]:
    yield from kind_warnings(facts)
    if len(facts.orientations) > 1:
        yield f"cases lie in several orientations: {counted(facts.orientations)}; all are turned to one"
    yield from spacing_warnings(facts)
    yield from _of_plan(made)
    flat = [case.case_id for case in facts.cases if case.shape[0] == 1]
    if flat and len(flat) < len(facts.cases):
        yield f"{cases(len(flat))} of a single slice among volumes: {listed(flat)}"
    bare = [case.case_id for case in facts.cases if not case.labelled]
    if bare and len(bare) < len(facts.cases):
        yield f"{cases(len(bare))} without a label map: {listed(bare)}"
    yield from _refusals(facts)
    found = Counter(code for case in facts.cases for code in case.findings)
    for code, number in found.most_common():
        if code in CODES:
            yield f"{code} in {cases(number)}: {CODES[code].meaning}"
    if np.ptp([len(case.channels) for case in facts.cases]):
        yield "cases differ in their number of channels"


def _of_plan(made: Planned) -> Iterator[str]:
    if made.plan is None:
        yield f"no plan: {made.refusal}"
        return
    best = "3d_fullres" if "3d_fullres" in made.plan.configurations else "2d"
    for each in made.plan.warnings:
        if each.startswith(f"{best}: "):
            yield each.removeprefix(f"{best}: ").partition(";")[0]


def _refusals(facts: CohortFacts) -> Iterator[str]:
    by_code: dict[str, list[str]] = {}
    for each in facts.refused:
        by_code.setdefault(each.code, []).append(each.case_id)
    for code, ids in by_code.items():
        row = CODES.get(code)
        takes = [policy for policy in ("fix", "warn") if row and row.takes(policy)]
        able = f"; input.policy {{{code}: {takes[0]}}} would take them" if takes else ""
        yield f"{cases(len(ids))} would be refused ({code}): {listed(ids)}{able}"
