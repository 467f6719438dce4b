"""What each case of a cohort holds, from its line in ``manifest.jsonl``, so that no case need be opened."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gpuprep.store.facts import Facts
from gpuprep.store.files import CaseVersion
from gpuprep.store.stored_case import StoredCase
from gpuprep.values.agreement import unnamed

_FAULTS = (KeyError, TypeError, ValueError, AttributeError)


@dataclass(frozen=True, slots=True)
class Holding:
    """What one case holds.

    Attributes:
        channels: Names in order, by number where they have none; empty for a case of labels only.
        labels: Of each label map the values of its voxels, ascending.
        facts: What else its record tells; None where that is not known.
    """

    channels: tuple[str, ...]
    labels: Mapping[str, tuple[int, ...]]
    facts: Facts | None = None

    @classmethod
    def of(cls, case: StoredCase) -> Holding:
        """What a stored case tells by itself, from its record or else from the index of its label maps."""
        if told := cls.of_record(case.record):
            return told
        number = 0 if case.image is None else case.image.shape[0] if case.image.ndim == 4 else 1
        labels = {name: tuple(sorted({0, *case.locations(name)})) for name in case.labels}
        return cls(case.channel_names if number and case.channel_names else unnamed(number), labels)

    @classmethod
    def of_record(
        cls, record: Mapping[str, Any], version: CaseVersion | None = None
    ) -> Holding | None:
        """What a record tells, which is that of ``version``; None where it says nothing of it."""
        if "intensity" not in record or "labels" not in record:
            return None
        channels = record["channels"] or unnamed(len(record["intensity"]))
        told = sorted(record["labels"].items())
        labels = {name: tuple(sorted(map(int, counts))) for name, counts in told}
        facts = None if version is None else Facts.of_record(record, version)
        return cls(tuple(channels), labels, facts)

    @classmethod
    def of_row(cls, row: Mapping[str, Any]) -> Holding | None:
        """What a line of the manifest tells; None where an older version wrote it."""
        try:
            labels = {str(name): tuple(map(int, told)) for name, told in row["labels"].items()}
            return cls(tuple(map(str, row["channels"])), labels, Facts.of_row(row))
        except _FAULTS:
            return None

    def to_row(self) -> dict[str, Any]:
        """Its part of a line of the manifest."""
        labels = {name: list(values) for name, values in self.labels.items()}
        more = {} if self.facts is None else self.facts.to_row()
        return {"channels": list(self.channels), "labels": labels, **more}
