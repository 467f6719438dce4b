"""A stored case together with the one label map that other software trains on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gpuprep.export.case import find_label
from gpuprep.store.reader import StoredCase
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

    def channels(self) -> NDArray[Any]:
        """The image as ``c, z, y, x``; UsageError where the case has none."""
        if self.case.image is None:
            raise UsageError(
                f"case {self.case.id} holds labels only", advice="leave it out with --case"
            )
        image = np.asarray(self.case.image)
        return image.reshape(-1, *image.shape[-3:])


def label_values(labelled: Sequence[Labelled]) -> dict[int, str]:
    """Every label value of some cases but the background, with its name, as their records tell."""
    names: dict[int, str] = {}
    for case, label in labelled:
        if label is not None:
            for value in map(int, case.record["labels"][label]):
                names.setdefault(value, case.label_names[label].get(value, f"label_{value}"))
    names.pop(0, None)
    return dict(sorted(names.items()))
