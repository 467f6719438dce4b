"""Which cases go to other software, with which label map, and what the cohort calls channels and values."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gpuprep.export.case import find_label
from gpuprep.store.layout import case_path
from gpuprep.store.reader import Cohort
from gpuprep.store.stored_case import StoredCase
from gpuprep.values.agreement import Classes, unnamed
from gpuprep.values.errors import UsageError


class Labelled(NamedTuple):
    """A case and the name of its label map, None where it has none."""

    case: StoredCase
    label: str | None

    @classmethod
    def of(cls, case: StoredCase, label: str | None) -> Labelled:
        """With the label map of that name, or its only one; UsageError where that is not clear."""
        if label is not None:
            find_label(case, label)
            return cls(case, label)
        if len(case.labels) > 1:
            raise UsageError(
                f"case {case.id} has several label maps: {', '.join(case.labels)}",
                advice="choose one with --label",
            )
        return cls(case, next(iter(case.labels), None))

    @property
    def values(self) -> dict[int, int]:
        """The voxels of each value of the label map, by its record."""
        counts = {} if self.label is None else self.case.record["labels"][self.label]
        return {int(value): int(count) for value, count in counts.items()}

    def channels(self) -> NDArray[Any]:
        """The image as ``c, z, y, x``; UsageError where the case has none."""
        if self.case.image is None:
            raise UsageError(
                f"case {self.case.id} holds labels only", advice="leave it out with --case"
            )
        image = np.asarray(self.case.image)
        return image.reshape(-1, *image.shape[-3:])


@dataclass(frozen=True, slots=True)
class Chosen:
    """What is known of a case that is exported, once it is closed again."""

    id: str
    label: str | None
    record: str
    """SHA-256 of its record: another one, and the case is another."""
    voxels: int


@dataclass(frozen=True)
class Selection:
    """What is exported.

    Attributes:
        cohort: Where the cases are.
        cases: Each with its label map, which has the same name in all of them.
        channels: Their names in order, the cohort's.
        classes: What its label values mean, as the cohort agrees on; a value of these cases that it does
            not name is called ``label_N``.
    """

    cohort: Cohort
    cases: tuple[Chosen, ...]
    channels: tuple[str, ...]
    classes: Classes

    @classmethod
    def of(
        cls,
        cohort: Cohort,
        ids: Sequence[str],
        label: str | None,
        check: Callable[[Labelled], None] = lambda _: None,
    ) -> Selection:
        """Choose cases, opening one at a time.

        Args:
            check: Raises where the target cannot take a case.

        Raises:
            UsageError: their label maps or channels are not the same.
        """
        agreed = cohort.agreement
        looked = _Look(agreed.channels)
        cases = tuple(looked.at(cohort, case_id, label, check) for case_id in ids)
        named = agreed.labels.get(looked.one_map(), Classes())
        names = {value: named.names.get(value, f"label_{value}") for value in looked.values}
        classes = replace(named, names=dict(sorted({**names, **named.names}.items())))
        return cls(cohort, cases, looked.one_set_of_channels(len(cases)), classes)

    @contextmanager
    def opened(self, chosen: Chosen) -> Iterator[Labelled]:
        """One of the cases for the length of a block."""
        with _open(self.cohort, chosen.id) as case:
            yield Labelled(case, chosen.label)


class _Look:
    """What the cases that were looked at have in common; it stays small however many there are."""

    def __init__(self, channels: tuple[str, ...]) -> None:
        self.values: set[int] = set()
        self._wanted = channels
        self._maps: dict[str, str] = {}  # name of a label map → a case that has it
        self._strange: tuple[str, tuple[str, ...]] | None = None
        self._strangers = 0

    def at(
        self, cohort: Cohort, case_id: str, label: str | None, check: Callable[[Labelled], None]
    ) -> Chosen:
        """Look at a case."""
        with _open(cohort, case_id) as case:
            entry = Labelled.of(case, label)
            check(entry)
            self.values |= set(entry.values) - {0}
            if entry.label is not None:
                self._maps.setdefault(entry.label, case_id)
            own = _own_channels(case)
            self._wanted = self._wanted or own
            if own and own != self._wanted:
                self._strangers += 1
                self._strange = self._strange or (case_id, own)
            record = json.dumps(case.record, sort_keys=True).encode("utf-8", "backslashreplace")
            told = hashlib.sha256(record).hexdigest()
            shape = case.geometry.shape if case.image is None else case.image.shape
            return Chosen(case_id, entry.label, told, math.prod(shape))

    def one_map(self) -> str:
        """The name of the label map that all have which have one; UsageError where there are several."""
        if len(self._maps) > 1:
            told = "; ".join(f"{case_id}: {name}" for name, case_id in self._maps.items())
            raise UsageError(
                f"cases have label maps of different names: {told}",
                advice="choose one with --label",
            )
        return next(iter(self._maps), "")

    def one_set_of_channels(self, cases: int) -> tuple[str, ...]:
        """The names of the channels; UsageError where a case has others."""
        if self._strange is not None:
            raise UsageError(
                f"the cohort has channels {', '.join(self._wanted)}, but {self._strange[0]} has "
                f"{', '.join(self._strange[1])} ({self._strangers} of {cases} cases have others)",
                advice="convert those that agree with --case",
            )
        return self._wanted


def _open(cohort: Cohort, case_id: str) -> StoredCase:
    return StoredCase(cohort.path / case_path(case_id), output=cohort.asked)


def _own_channels(case: StoredCase) -> tuple[str, ...]:
    if case.image is None:
        return ()
    return case.channel_names or unnamed(len(case.image) if case.image.ndim == 4 else 1)
