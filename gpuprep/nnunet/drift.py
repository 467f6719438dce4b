"""A kept fingerprint beside a new one: which numbers moved, and what a plan would make of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gpuprep.nnunet.dataset import Dataset, Fingerprint
from gpuprep.nnunet.plan import plan_dataset
from gpuprep.nnunet.planners import Planner
from gpuprep.values.errors import UsageError

_NUMBERS = ("mean", "std", "median", "percentile_00_5", "percentile_99_5", "min", "max")
_PLANNED = ("spacing", "median_image_size_in_voxels", "patch_size", "batch_size")


@dataclass(frozen=True)
class Moved:
    """One number that is another now, as text."""

    what: str
    old: str
    new: str

    def to_json(self) -> dict[str, str]:
        return {"what": self.what, "old": self.old, "new": self.new}


def moved(old: Fingerprint, new: Fingerprint, dataset: Dataset) -> list[Moved]:
    """What differs between two fingerprints of a data set."""
    return list(_differing(_facts(old, dataset), _facts(new, dataset)))


def moved_plan(
    old: Fingerprint, new: Fingerprint, dataset: Dataset, planner: Planner
) -> list[Moved]:
    """What a planner would plan otherwise."""
    return list(_differing(_planned(old, dataset, planner), _planned(new, dataset, planner)))


def _differing(old: dict[str, str], new: dict[str, str]) -> Iterator[Moved]:
    for what in dict.fromkeys((*old, *new)):
        before, after = old.get(what, "none"), new.get(what, "none")
        if before != after:
            yield Moved(what, before, after)


def _facts(fingerprint: Fingerprint, dataset: Dataset) -> dict[str, str]:
    facts = {
        "cases": str(len(fingerprint.shapes)),
        "median spacing": _times(np.median(fingerprint.spacings, 0).tolist()),
        "median shape after the crop": _times(np.median(fingerprint.shapes, 0).tolist()),
        "share that the crop keeps": f"{fingerprint.relative_size:.6g}",
    }
    for number, numbers in fingerprint.intensities.items():
        known = int(number) < len(dataset.channels)
        name = dataset.channels[int(number)] if known else "?"
        facts |= {f"{name} ({number}) {key}": f"{numbers[key]:.6g}" for key in _NUMBERS}
    return facts


def _planned(fingerprint: Fingerprint, dataset: Dataset, planner: Planner) -> dict[str, str]:
    try:
        plan = plan_dataset(fingerprint, dataset, planner).document
    except UsageError as error:
        return {"plan": error.message}
    facts = {"axes": _times(plan["transpose_forward"])}
    for name, each in plan["configurations"].items():
        facts |= {f"{name} {key}": _text(each[key]) for key in _PLANNED if key in each}
        if "normalization_schemes" in each:
            facts[f"{name} within a mask"] = _text(each["use_mask_for_norm"])
    return facts


def _text(value: Any) -> str:
    return _times(value) if isinstance(value, list) else str(value)


def _times(numbers: Sequence[Any]) -> str:
    return " × ".join(
        str(number) if isinstance(number, bool) else f"{number:.6g}" for number in numbers
    )
