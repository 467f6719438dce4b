"""Which classes of the label maps which cases have, and those that lack what nearly all have."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gpuprep.quality.fences import FEWEST, most_rare
from gpuprep.quality.measures import Table, class_name, label_columns
from gpuprep.quality.outliers import Outlier
from gpuprep.quality.wording import shown
from gpuprep.values.agreement import Agreement

NEARLY_ALL = 0.95
"""Share of cases that have a class or a label map, from which on the others are outliers."""


@dataclass(frozen=True, eq=False)
class Presence:
    """Which cases have one class of a label map.

    Attributes:
        label: The label map.
        value: Of the class.
        name: Of the class.
        labelled: Cases that have the label map.
        present: Cases that have the class.
    """

    label: str
    value: int
    name: str
    labelled: NDArray[np.bool_]
    present: NDArray[np.bool_]

    def to_json(self, chosen: NDArray[np.bool_]) -> dict[str, object]:
        there = int(np.count_nonzero(self.present))
        return {
            "map": self.label,
            "value": self.value,
            "name": self.name,
            "present": there,
            "absent": int(np.count_nonzero(self.labelled)) - there,
            "selected": int(np.count_nonzero(self.present & chosen)),
        }


def presences(table: Table, agreement: Agreement) -> tuple[Presence, ...]:
    """Every class that a case has or that the cohort agreed on, label map by label map."""
    found: dict[tuple[str, int], Presence] = {}
    labelled: dict[str, NDArray[np.bool_]] = {}
    for name in table:
        if name.startswith("voxels."):
            label = name.removeprefix("voxels.").rpartition(".")[0]
            labelled.setdefault(label, ~np.isnan(table[name].astype(float)))
    for column, label, value in label_columns(table):
        name = class_name(agreement, label, value)
        present = table[column].astype(float) > 0
        found[label, value] = Presence(label, value, name, labelled[label], present)
    for label, there in labelled.items():
        for value in agreement.labels[label].names if label in agreement.labels else ():
            name = class_name(agreement, label, value)
            none = Presence(label, value, name, there, np.zeros_like(there))
            found.setdefault((label, value), none)
    return tuple(found[key] for key in sorted(found) if key[1])


def lacking(classes: Sequence[Presence]) -> Iterator[Outlier]:
    """Cases without a label map, with an empty one, without a class or with one that no other has."""
    by_label: defaultdict[str, list[Presence]] = defaultdict(list)
    for each in classes:
        by_label[each.label].append(each)
    for label, group in by_label.items():
        labelled = group[0].labelled
        filled = np.any([each.present for each in group], axis=0)
        no_map = f"no label map {label}"
        yield from _few(~labelled, labelled, "absent label map", no_map, "have it")
        empty = labelled & ~filled
        yield from _few(empty, filled, "empty label", f"{label} is empty", "have labelled voxels")
        for each in group:
            without, what = filled & ~each.present, f"{label}: no voxel of {each.name}"
            yield from _few(without, each.present, "absent class", what, "have it")
            if len(group) > 1 and np.count_nonzero(each.present) == 1:
                what = f"{label}: has {each.name}"
                yield from _few(each.present, without, "rare class", what, "do not")


def turned(table: Table) -> Iterator[Outlier]:
    """Cases whose source is oriented in a way that hardly any other is."""
    codes = table["orientation"].astype(str) if "orientation" in table else np.zeros(0, str)
    kinds, counts = np.unique(codes[codes != ""], return_counts=True)
    few = counts <= most_rare(int(counts.sum()))
    usual = np.isin(codes, kinds[~few])
    have = f"have {' or '.join(kinds[~few].tolist())}"
    for code in kinds[few].tolist():
        yield from _few(codes == code, usual, "orientation", f"orientation {code}", have)


def _few(
    rows: NDArray[np.bool_], usual: NDArray[np.bool_], kind: str, what: str, rest: str
) -> Iterator[Outlier]:
    """Cases of a kind, where they are few beside the usual ones."""
    few, others = int(np.count_nonzero(rows)), int(np.count_nonzero(usual))
    count = few + others
    if count < FEWEST or not 0 < few <= max(1, (1 - NEARLY_ALL) * count):
        return
    text = f"{what}; {shown(others, count)} {rest}"
    for row in np.flatnonzero(rows).tolist():
        yield Outlier(row, kind, "", 0.0, math.sqrt(others / few), text)
