"""Which cases go to other software, with which label map, and what the cohort calls channels and values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gpuprep.export.case import find_label
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
class Selection:
    """What is exported.

    Attributes:
        cases: Each with its label map, which has the same name in all of them.
        channels: Their names in order, the cohort's.
        classes: What its label values mean, as the cohort agrees on; a value of these cases that it does
            not name is called ``label_N``.
    """

    cases: tuple[Labelled, ...]
    channels: tuple[str, ...]
    classes: Classes

    @classmethod
    def of(cls, cohort: Cohort, ids: Sequence[str], label: str | None) -> Selection:
        """Choose cases; UsageError where their label maps or channels are not the same."""
        agreed = cohort.agreement
        cases = tuple(Labelled.of(cohort[case_id], label) for case_id in ids)
        maps = {entry.label: entry.case.id for entry in cases if entry.label is not None}
        if len(maps) > 1:
            told = "; ".join(f"{case_id}: {name}" for name, case_id in maps.items())
            raise UsageError(
                f"cases have label maps of different names: {told}",
                advice="choose one with --label",
            )
        named = agreed.labels.get(next(iter(maps), ""), Classes())
        found = sorted({value for entry in cases for value in entry.values} - {0})
        names = {value: named.names.get(value, f"label_{value}") for value in found}
        classes = replace(named, names=dict(sorted({**names, **named.names}.items())))
        return cls(cases, _channels(cases, agreed.channels), classes)


def _channels(cases: Sequence[Labelled], agreed: tuple[str, ...]) -> tuple[str, ...]:
    """The names of the channels, which must be those of every case."""
    own = {entry.case.id: _own_channels(entry.case) for entry in cases}
    wanted = agreed or next(iter(own.values()))
    strange = [case_id for case_id, names in own.items() if names and names != wanted]
    if strange:
        raise UsageError(
            f"the cohort has channels {', '.join(wanted)}, but {strange[0]} has "
            f"{', '.join(own[strange[0]])} ({len(strange)} of {len(own)} cases have others)",
            advice="convert those that agree with --case",
        )
    return wanted


def _own_channels(case: StoredCase) -> tuple[str, ...]:
    if case.image is None:
        return ()
    return case.channel_names or unnamed(len(case.image) if case.image.ndim == 4 else 1)
