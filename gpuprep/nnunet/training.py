"""The cases that nnU-Net trains on: those of ``imagesTr`` and ``labelsTr``, or listed in ``dataset.json``."""

from __future__ import annotations

from pathlib import Path

from gpuprep.cohort.discover import discover
from gpuprep.values.case import Case
from gpuprep.values.errors import UsageError

_LABEL_SUFFIX = "_seg"


def training_cases(folder: Path) -> tuple[Case, ...]:
    """The training cases of a raw data set, in natural order of their ids.

    Raises:
        UsageError: there is none, or nnU-Net would take the image of one for the label map of another.
    """
    found = discover(folder, layout="nnunet", follow_symlinks=True)
    cases = tuple(case for case in found.cases if case.attributes.get("split") == "train")
    if not cases:
        raise UsageError(f"{folder} has no case to train on", advice="gpuprep plan tells why")
    for case in cases:
        if case.id.endswith(_LABEL_SUFFIX):
            raise UsageError(
                f"case {case.id}: nnU-Net takes every array named …{_LABEL_SUFFIX} for a label map",
                advice="give it another name",
            )
    return cases


def label_files(cases: tuple[Case, ...]) -> dict[str, Path]:
    """The label map of each case that has one, by its id."""
    return {case.id: Path(case.labels[0].sources[0].path) for case in cases if case.labels}
