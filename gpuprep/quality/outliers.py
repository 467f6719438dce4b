"""The cases that are unlike the others, each with the reason in words and numbers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gpuprep.quality.fences import Verdict, judge
from gpuprep.quality.measures import Measure
from gpuprep.quality.wording import number_text, shown

_KINDS = {
    "spacing": "spacing",
    "shape": "shape",
    "field of view": "field of view",
    "orientation": "oblique",
    "intensity before": "intensity",
    "intensity after": "intensity",
    "foreground": "foreground",
    "labels": "label volume",
}
"""Kinds of outliers by the group of the measure; measures of other groups have none."""
_EXPLAINED = {"shape": ("spacing", "field of view"), "foreground": ("empty label",)}
"""Kinds that say nothing more of a case that is an outlier of another kind, too."""
_LEAST_RATIO = 0.02  # spread of a size
_LEAST_SHARE = 1.0  # percentage points
_LEAST_DEGREES = 2.0
_LEAST_OF_STD = 0.05  # of a channel's standard deviation
_UNSTEADY = (".min", ".max")  # single voxels: metal, padding


@dataclass(frozen=True, slots=True)
class Outlier:
    """One case that is unlike the others in one way."""

    row: int
    kind: str
    measure: str
    value: float
    score: float
    text: str

    def to_json(self, case_id: str) -> dict[str, object]:
        return {
            "case": case_id,
            "kind": self.kind,
            "measure": self.measure,
            "value": self.value,
            "text": self.text,
            "score": round(self.score, 2),
        }


def unlike(measures: Sequence[Measure]) -> Iterator[Outlier]:
    """Cases whose number lies outside the fences of a measure."""
    deviations = _deviations(measures)
    for measure in measures:
        kind = _kind(measure)
        if not kind:
            continue
        least = _least(measure, deviations)
        verdict = judge(measure.rounded, is_size=measure.is_size, least=least)
        if verdict is not None:
            yield from _told(measure, kind, verdict)


def _kind(measure: Measure) -> str:
    if measure.name.endswith(_UNSTEADY):
        return ""
    return (
        "clipped intensity"
        if measure.name.startswith("clipped.")
        else _KINDS.get(measure.group, "")
    )


def _deviations(measures: Iterable[Measure]) -> Mapping[tuple[str, str], float]:
    """The usual standard deviation of the voxels of each channel, before and after."""
    return {
        (each.group, each.subject): float(np.nanmedian(each.values))
        for each in measures
        if each.name.endswith(".std")
    }


def _least(measure: Measure, deviations: Mapping[tuple[str, str], float]) -> float:
    if measure.is_size:
        return _LEAST_RATIO
    if measure.unit == "°":
        return _LEAST_DEGREES
    if measure.unit == "%":
        return _LEAST_SHARE
    return _LEAST_OF_STD * deviations.get((measure.group, measure.subject), 0.0) or 1e-6


def _told(measure: Measure, kind: str, verdict: Verdict) -> Iterator[Outlier]:
    usual = (
        f"{shown(verdict.inside, verdict.count)} lie within "
        f"{number_text(verdict.low)} to {number_text(verdict.high, measure.unit)}"
        if verdict.low != verdict.high
        else f"{shown(verdict.inside, verdict.count)} have {number_text(verdict.low, measure.unit)}"
    )
    for row, score in zip(verdict.rows.tolist(), verdict.scores.tolist(), strict=True):
        value = float(measure.values[row])
        text = f"{measure.title}: {number_text(value, measure.unit)}; {usual}"
        yield Outlier(row, kind, measure.name, value, score, text)


def in_order(found: Iterable[Outlier]) -> list[Outlier]:
    """The worst of each kind, then the second of each, and so on.

    Of a case and kind the worst is told, and none that follows from another one.
    """
    worst: dict[tuple[int, str], Outlier] = {}
    for each in found:
        key = each.row, each.kind
        if key not in worst or each.score > worst[key].score:
            worst[key] = each
    for row, kind in [key for key in worst if key[1] in _EXPLAINED]:
        if any((row, other) in worst for other in _EXPLAINED[kind]):
            del worst[row, kind]
    by_kind: defaultdict[str, list[Outlier]] = defaultdict(list)
    for each in sorted(worst.values(), key=lambda each: (-each.score, each.row)):
        by_kind[each.kind].append(each)
    ranked = [
        (rank, -each.score, each.row, each)
        for group in by_kind.values()
        for rank, each in enumerate(group)
    ]
    return [each for *_, each in sorted(ranked, key=lambda entry: entry[:3])]


def rows_of(found: Iterable[Outlier]) -> NDArray[np.intp]:
    """The cases that are outliers of any kind."""
    return np.unique(np.array([each.row for each in found], np.intp))
