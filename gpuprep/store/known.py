"""What is known of a cohort's cases without opening them, as far as it is of those that are there.

A line of the list counts if it names the record that the case has now, by size and time or by etag. Other
cases are asked themselves.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gpuprep.store.columns import Columns, Words
from gpuprep.store.facts import Facts, version_text
from gpuprep.store.index import CaseIndex, Row, columns_of, read_index
from gpuprep.store.layout import case_path
from gpuprep.store.listing import Holding
from gpuprep.store.record import read_record
from gpuprep.store.record_view import RecordViews
from gpuprep.values.errors import CohortWarning

if TYPE_CHECKING:  # which makes this itself
    from gpuprep.store.reader import Cohort

_TOLD_FROM = 1000  # records read one by one: seconds


@dataclass(frozen=True, eq=False, slots=True)
class KnownCases:
    """The lines of a cohort that are of the cases that are there.

    It has slots since the cohort keeps it, and MONAI's loaders walk what objects have in ``__dict__``.

    Attributes:
        index: All lines.
        places: The row of each such case in the columns of the index.
    """

    cohort: Cohort
    index: CaseIndex
    places: Mapping[str, int]

    @classmethod
    def of(cls, cohort: Cohort) -> KnownCases:
        """Read the list of a cohort, and compare it with its folder."""
        index = read_index(cohort.path)
        versions = cohort.versions_beside(index)
        records = index.texts("record").each().tolist()
        places = {
            case_id: place
            for case_id, place in index.places.items()
            if case_id in versions and records[place] == version_text(versions[case_id])
        }
        return cls(cohort, index, places)

    def rows(self) -> tuple[Columns, tuple[str, ...]]:
        """A row per case in the order of ``cohort.ids``, and the ids of those whose records had to be read.

        Raises:
            CorruptStoreError: such a record is damaged.
        """
        ids = self.cohort.ids
        asked = tuple(case_id for case_id in ids if case_id not in self.places)
        self._tell(len(asked))
        places, columns = dict(self.places), self.index.columns
        if asked:
            fresh = columns_of([self._ask(case_id) for case_id in asked])
            places |= {case_id: len(self.index.places) + n for n, case_id in enumerate(asked)}
            columns = {name: column.joined(fresh[name]) for name, column in columns.items()}  # type: ignore[arg-type]
        order = np.array([places[case_id] for case_id in ids], np.intp)
        return {name: column.take(order) for name, column in columns.items()}, asked

    def holdings(self, ids: Iterable[str]) -> dict[str, Holding]:
        """What cases hold, by id, without further facts; equal ones are one object.

        A case whose line is of an older version, and tells what it holds, is taken at its word.

        Raises:
            CorruptStoreError: a case that must be opened is damaged.
        """
        channels, labels = self._words("channels"), self._words("labels")
        pairs = (channels.codes * max(1, len(labels.words)) + labels.codes).tolist()
        kinds: dict[int, Holding] = {}
        found: dict[str, Holding] = {}
        ids = tuple(ids)
        self._tell(sum(i not in self.places and i not in self.index.brief for i in ids))
        for case_id in ids:
            place = self.places.get(case_id)
            if place is None:
                found[case_id] = self._brief(case_id) or Holding.of(self.cohort[case_id])
                continue
            kind = pairs[place]
            if kind not in kinds:
                row = {"channels": channels[place], "labels": labels[place]}
                kinds[kind] = Holding.of_row(row) or Holding.of(self.cohort[case_id])
            found[case_id] = kinds[kind]
        return found

    def records(self) -> Mapping[str, Mapping[str, Any]]:
        """The record of each case, read only where more is asked of it than its line tells."""
        self._tell(len(self.cohort) - len(self.places))
        return RecordViews(self.index, self.places, self._record)

    def shapes(self, ids: Sequence[str]) -> NDArray[np.int64]:
        """``(cases, 3)``; cases whose line does not tell are opened."""
        told = self.index.columns["shape"]
        rows = [
            told[self.places[case_id]]
            if case_id in self.places
            else self.cohort[case_id].geometry.shape
            for case_id in ids
        ]
        return np.array(rows, np.int64).reshape(-1, 3)

    def _record(self, case_id: str) -> dict[str, Any]:
        version = self.cohort.versions[case_id]
        return read_record(self.cohort.path / case_path(case_id), version=version)

    def _words(self, name: str) -> Words:
        return self.index.texts(name)

    def _brief(self, case_id: str) -> Holding | None:
        row = self.index.brief.get(case_id)
        return None if row is None else Holding.of_row(row)

    def _ask(self, case_id: str) -> Row:
        """The line of a case from its record, or else from all of it."""
        version, record = self.cohort.versions[case_id], self._record(case_id)
        held = Holding.of_record(record, version)
        if held is None or held.facts is None:
            held = _seen(self.cohort, case_id, record)
        return {"case": case_id, "digest": str(record.get("digest")), "seen": "", **held.to_row()}

    def _tell(self, number: int) -> None:
        if number >= _TOLD_FROM:
            path, all_cases = self.cohort.path, len(self.cohort)
            text = f"{path}: of {number:,} of {all_cases:,} cases the index is absent or old"
            advice = f"their records are read; gpuprep index {path} makes it anew"
            warnings.warn(CohortWarning(f"{text}; {advice}"), stacklevel=3)


def _seen(cohort: Cohort, case_id: str, record: Mapping[str, Any]) -> Holding:
    """What a case is seen to hold whose record does not tell: its label maps are read."""
    case = cohort[case_id]
    held, voxels = Holding.of(case), []
    labels: dict[str, tuple[int, ...]] = {}
    for name in sorted(case.labels):
        values, counts = np.unique(np.asarray(case.labels[name]), return_counts=True)
        labels[name] = tuple(values.tolist())
        voxels += counts.tolist()
    shape, spacing = case.geometry.shape, case.geometry.spacing_zyx
    files = dict(sorted(record["files"].items()))
    facts = Facts(
        record=version_text(cohort.versions[case_id]),
        source="",
        input=str(record.get("input", "")),
        shape=shape,
        spacing=spacing,
        source_shape=shape,
        source_spacing=spacing,
        source_bytes=0,
        voxels=tuple(voxels),
        measures=(),
        statistics=(),
        findings=tuple(finding.code for finding in case.findings),
        attributes=case.attributes,
        files=tuple(files),
        sizes=tuple(seal["size"] for seal in files.values()),
    )
    return Holding(held.channels, labels, facts)
