"""What nnU-Net's ``--verify_dataset_integrity`` looks for, told from what counting the cases has read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from gpuprep.nnunet.cases import Problem
from gpuprep.nnunet.dataset import Dataset

_AMISS = ("W_NAN", "W_CHANNEL_REGRID", "W_LABEL_REGRID")
"""Findings that gpuprep goes on with, and nnU-Net does not."""


def check_dataset(dataset: Dataset, cases: int) -> Iterator[Problem]:
    """What ``dataset.json`` says that is not so, or that nnU-Net refuses; ``cases`` is how many there are."""
    if dataset.cases != cases:
        text = f"dataset.json says numTraining: {dataset.cases}, and there are {cases} cases"
        yield Problem("", text)
    values = dataset.values if dataset.ignore is None else (*dataset.values, dataset.ignore)
    gaps = [value for number, value in enumerate(values) if value != number]
    if gaps:
        text = f"label values must go from 0 up without a gap; {gaps[0]} has no {gaps[0] - 1} before it"
        yield Problem("", text)


def check_cases(records: Mapping[str, Mapping[str, Any]]) -> Iterator[Problem]:
    """What is amiss with cases that could be counted."""
    for name, record in records.items():
        for finding in record["findings"]:
            if finding["code"] in _AMISS:
                yield Problem(name, f"{finding['code']}: {finding['message']} ({finding['path']})")


def absent_labels(dataset: Dataset, records: Mapping[str, Mapping[str, Any]]) -> tuple[int, ...]:
    """Values of ``dataset.json`` that no counted case has."""
    seen = {
        int(v) for record in records.values() for each in record["labels"].values() for v in each
    }
    return tuple(value for value in dataset.values if value and value not in seen)
