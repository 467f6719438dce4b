"""A cohort in numbers: the measures of its cases, which cases are chosen, which are unlike the others."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuprep.quality.bins import Binned, bin_values
from gpuprep.quality.classes import Presence, lacking, presences, turned
from gpuprep.quality.measures import Measure, Table, measures_of
from gpuprep.quality.outliers import Outlier, in_order, unlike
from gpuprep.quality.selection import Range, choose, find_measure
from gpuprep.values.agreement import Agreement
from gpuprep.values.codes import CODES

_MOST_OUTLIERS = 200  # told in one answer
Chosen = NDArray[np.bool_]
BY_ID = ("", "case", "id")
"""Names of the order of ids."""


@dataclass(frozen=True, eq=False)
class CohortQuality:
    """What the table of a cohort says of it; each part is worked out when it is first asked for.

    Attributes:
        table: The cohort's, in natural order of ids.
        agreement: The names of its classes.
    """

    table: Table
    agreement: Agreement = field(default_factory=Agreement)

    @cached_property
    def ids(self) -> list[str]:
        return [str(case_id) for case_id in self.table["case"].tolist()]

    @cached_property
    def measures(self) -> Mapping[str, Measure]:
        """By name, group by group."""
        return {each.name: each for each in measures_of(self.table, self.agreement)}

    @cached_property
    def classes(self) -> tuple[Presence, ...]:
        return presences(self.table, self.agreement)

    @cached_property
    def outliers(self) -> Sequence[Outlier]:
        """The worst of each kind first."""
        if not self.ids:
            return []
        found = itertools.chain(
            unlike([*self.measures.values()]), lacking(self.classes), turned(self.table)
        )
        return in_order(found)

    @cached_property
    def outliers_by_row(self) -> Mapping[int, list[Outlier]]:
        found: dict[int, list[Outlier]] = {}
        for each in self.outliers:
            found.setdefault(each.row, []).append(each)
        return found

    def choose(self, ranges: Iterable[Range] = (), search: str = "") -> Chosen:
        """The cases in all ranges whose id or findings have a text; UsageError for an unknown measure."""
        return choose(self.measures, self._texts, ranges, search)

    def order(self, chosen: Chosen, sort: str = "") -> NDArray[np.intp]:
        """The rows of chosen cases in the order of their ids or of a measure, ``-NAME`` downwards.

        Cases that lack the measure come last. Raises UsageError for an unknown one.
        """
        rows = np.flatnonzero(chosen)
        name = sort.removeprefix("-")
        if name in BY_ID:
            return rows[::-1] if sort.startswith("-") else rows
        values = find_measure(self.measures, name).rounded[rows]
        return np.asarray(
            rows[np.argsort(-values if sort.startswith("-") else values, kind="stable")]
        )

    def to_json(self, chosen: Chosen) -> dict[str, Any]:
        """All of it, with how many of the chosen cases are where."""
        shown = [each for each in self.outliers if chosen[each.row]]
        return {
            "cases": len(self.ids),
            "selected": int(np.count_nonzero(chosen)),
            "measures": [
                self._measure_json(each, chosen, every=bool(chosen.all()))
                for each in self.measures.values()
            ],
            "classes": [each.to_json(chosen) for each in self.classes],
            "outliers": {
                "total": len(shown),
                "items": [each.to_json(self.ids[each.row]) for each in shown[:_MOST_OUTLIERS]],
            },
            "orientations": [
                {"code": code, "cases": int(there.sum()), "selected": int((there & chosen).sum())}
                for code, there in self._orientations
            ],
            "notes": self.notes,
            "findings": [
                {"code": code, "text": CODES[code].meaning if code in CODES else "", "cases": cases}
                for code, cases in self._findings
            ],
        }

    def brief(self, row: int, names: Iterable[str]) -> dict[str, Any]:
        """Of one case the numbers of some measures, and the kinds in which it is an outlier."""
        return {
            "values": {name: find_measure(self.measures, name).at(row) for name in names},
            "outliers": [each.kind for each in self.outliers_by_row.get(row, [])],
        }

    def case_json(self, row: int) -> dict[str, Any]:
        """The numbers of one case, and in what it is unlike the others."""
        told = self.outliers_by_row.get(row, [])
        return {
            "values": {name: each.at(row) for name, each in self.measures.items()},
            "outliers": [each.to_json(self.ids[row]) for each in told],
        }

    def _measure_json(self, measure: Measure, chosen: Chosen, *, every: bool) -> dict[str, Any]:
        binned = self._binned[measure.name]
        counts = binned.counts().tolist()
        return {
            "name": measure.name,
            "title": measure.title,
            "unit": measure.unit,
            "group": measure.group,
            "edges": binned.edges.tolist(),
            "counts": counts,
            "selected": counts if every else binned.counts(chosen).tolist(),
            "missing": int(np.count_nonzero(binned.places < 0)),
            "median": binned.median,
            "low": binned.low,
            "high": binned.high,
        }

    @cached_property
    def notes(self) -> list[str]:
        """What cannot be told of all cases."""
        untold = sum(not code for code in self._codes)
        if not untold:
            return []
        return [
            f"an older version made {untold:,} of {len(self.ids):,} cases: their orientation and crop are "
            "not in the index; gpuprep index adds them"
        ]

    @property
    def _codes(self) -> list[str]:
        told = self.table.get("orientation")
        return [""] * len(self.ids) if told is None else told.tolist()

    @cached_property
    def _orientations(self) -> list[tuple[str, Chosen]]:
        """Codes and the cases whose source has each, the most frequent first."""
        codes = np.array(self._codes, str)
        ranked = Counter(code for code in self._codes if code).most_common()
        return [(code, codes == code) for code, _ in ranked]

    @cached_property
    def _binned(self) -> Mapping[str, Binned]:
        return {name: bin_values(each.rounded) for name, each in self.measures.items()}

    @cached_property
    def _texts(self) -> list[str]:
        """What is searched: ids and findings."""
        findings = self.table["findings"].tolist()
        return [f"{case}\n{told}".lower() for case, told in zip(self.ids, findings, strict=True)]

    @cached_property
    def _findings(self) -> list[tuple[str, int]]:
        """Codes and how many cases have each, the most frequent first."""
        told = Counter(self.table["findings"].tolist())
        counts: Counter[str] = Counter()
        for words, cases in told.items():
            counts.update(dict.fromkeys(filter(None, words.split(", ")), cases))
        return counts.most_common()
