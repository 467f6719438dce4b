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

from gpuprep.store.columns import Columns
from gpuprep.store.facts import Facts, version_text, version_texts
from gpuprep.store.files import CaseVersion
from gpuprep.store.index import CaseIndex, Row, columns_of
from gpuprep.store.layout import case_path
from gpuprep.store.listing import Holding
from gpuprep.store.record import read_record
from gpuprep.store.record_view import RecordViews
from gpuprep.store.several import output_record
from gpuprep.values.errors import CohortWarning

if TYPE_CHECKING:  # which makes this itself
    from gpuprep.store.reader import Cohort

_TOLD_FROM = 1000  # records read one by one: seconds


@dataclass(frozen=True, eq=False, slots=True)
class KnownLines:
    """The lines of a list that are of the cases that are there.

    A cohort keeps them, and they do not keep the cohort: it goes when nobody has it any more. They have slots
    since MONAI's loaders walk what objects have in ``__dict__``.

    Attributes:
        index: All lines.
        places: The row of each such case in the columns of the index.
    """

    index: CaseIndex
    places: Mapping[str, int]

    @classmethod
    def of(cls, index: CaseIndex, versions: Mapping[str, CaseVersion]) -> KnownLines:
        """Compare a list with the records that the cases have."""
        listed = index.texts("record").each().tolist()
        now = dict(zip(versions, version_texts(versions.values()), strict=True))
        if list(map(now.get, index.places)) == listed:  # all of a million, soon told
            return cls(index, index.places)
        places = {
            case_id: place
            for case_id, place in index.places.items()
            if case_id in now and _is_same(listed[place], now[case_id])
        }
        return cls(index, places)


@dataclass(frozen=True, eq=False, slots=True)
class KnownCases:
    """What the list of a cohort says, and the cohort itself where the list says nothing."""

    cohort: Cohort
    lines: KnownLines

    def rows(self) -> tuple[Columns, tuple[str, ...]]:
        """A row per case in the order of ``cohort.ids``, and the ids of those whose records had to be read.

        Raises:
            CorruptStoreError: such a record is damaged.
        """
        ids, index = self.cohort.ids, self.lines.index
        asked = tuple(case_id for case_id in ids if case_id not in self.lines.places)
        self._tell(len(asked))
        places, columns = dict(self.lines.places), index.columns
        if asked:
            fresh = columns_of([self._ask(case_id) for case_id in asked])
            places |= {case_id: len(index.places) + n for n, case_id in enumerate(asked)}
            columns = {name: column.joined(fresh[name]) for name, column in columns.items()}  # type: ignore[arg-type]
        order = np.array([places[case_id] for case_id in ids], np.intp)
        return {name: column.take(order) for name, column in columns.items()}, asked

    def holdings(self, ids: Iterable[str]) -> dict[str, Holding]:
        """What cases hold, by id, without further facts; equal ones are one object.

        A case whose line is of an older version, and tells what it holds, is taken at its word.

        Raises:
            CorruptStoreError: a case that must be opened is damaged.
        """
        ids, index, places = tuple(ids), self.lines.index, self.lines.places
        self._tell(len({*ids}.difference(places, index.brief)))
        channels, labels = index.texts("channels"), index.texts("labels")
        count = max(1, len(labels.words))
        kinds = channels.codes * count + labels.codes
        told = {
            kind: Holding.of_row(
                {"channels": channels.words[kind // count], "labels": labels.words[kind % count]}
            )
            for kind in np.unique(kinds).tolist()
        }
        held = [told[kind] for kind in kinds.tolist()]
        return {
            case_id: (held[places[case_id]] if case_id in places else self._brief(case_id))
            or Holding.of(self.cohort[case_id])
            for case_id in ids
        }

    def records(self) -> Mapping[str, Mapping[str, Any]]:
        """The record of each case, read only where more is asked of it than its line tells."""
        lines = self.lines
        self._tell(len(self.cohort) - len(lines.places))
        return RecordViews(lines.index, lines.places, self._record)

    def shapes(self, ids: Sequence[str]) -> NDArray[np.int64]:
        """``(cases, 3)``; cases whose line does not tell are opened."""
        told, places = self.lines.index.columns["shape"], self.lines.places
        rows = np.array([places.get(case_id, -1) for case_id in ids], np.intp)
        shapes = np.zeros((len(rows), 3), np.int64)
        shapes[rows >= 0] = told.take(rows[rows >= 0]).values  # type: ignore[union-attr]
        for number in np.flatnonzero(rows < 0).tolist():
            shapes[number] = self.cohort[ids[number]].geometry.shape
        return shapes

    def _record(self, case_id: str) -> dict[str, Any]:
        version = self.cohort.versions[case_id]
        folder = self.cohort.path / case_path(case_id)
        record = read_record(folder, version=version)
        return output_record(record, self.cohort.asked, folder)

    def _brief(self, case_id: str) -> Holding | None:
        row = None if self.cohort.asked else self.lines.index.brief.get(case_id)
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
            if self.cohort.asked:
                text = (
                    f"{path}: the index is of the cases' first output, not of {self.cohort.asked}"
                )
                advice = f"{number:,} records are read"
            warnings.warn(CohortWarning(f"{text}; {advice}"), stacklevel=3)


def _is_same(listed: str, found: str) -> bool:
    """Whether a record is the one on the list; a service puts size and time in the quotes of a tag."""
    return listed.strip('"') == found.strip('"')


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
