"""The cases for training of a raw data set: which there are, in nnU-Net's order, and what keeps one out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from gpuprep.cohort.discover import Found, discover
from gpuprep.cohort.layouts.naming import case_id
from gpuprep.nnunet.dataset import Dataset
from gpuprep.values.errors import ConfigError

_NUMBERED = re.compile(r"(?P<case>.+)_[0-9]{4}", re.DOTALL)


@dataclass(frozen=True)
class Problem:
    """Something wrong with a case, or with the data set where ``case`` is empty."""

    case: str
    text: str

    def __str__(self) -> str:
        return f"{self.case}: {self.text}" if self.case else self.text

    def to_json(self) -> dict[str, str]:
        return {"case": self.case, "text": self.text}


@dataclass(frozen=True)
class RawCases:
    """The cases of a raw data set.

    Attributes:
        ids: The cohort's id of each name that nnU-Net has, in nnU-Net's order.
        problems: Of those that lack a file.
        others: There are cases beside them, for testing.
        labels: The file with the label map of each, by the cohort's id.
    """

    ids: Mapping[str, str]
    problems: tuple[Problem, ...]
    others: bool
    labels: Mapping[str, Path]

    @property
    def complete(self) -> dict[str, str]:
        """Those with all files."""
        lacking = {problem.case for problem in self.problems}
        return {name: own for name, own in self.ids.items() if name not in lacking}


def raw_cases(folder: Path, dataset: Dataset) -> RawCases:
    """Find the cases of a raw data set.

    Raises:
        ConfigError: there are none.
        UsageError: its ``dataset.json`` or its files are no data set of nnU-Net.
    """
    names = training_names(folder, dataset)
    found = discover(folder, layout="nnunet", follow_symlinks=True)
    there = {case.id: case for case in found.cases if case.attributes.get("split") == "train"}
    ids = {name: case_id(name) for name in names}
    if not names:
        raise ConfigError(f"{folder}: there is no case for training", advice="fill imagesTr")
    lacking = [name for name, own in ids.items() if own not in there]
    problems = (
        *(Problem(name, _why(name, folder, found)) for name in lacking),
        *_unnumbered(folder, dataset),
    )
    labels = {
        case.id: Path(case.labels[0].sources[0].path) for case in there.values() if case.labels
    }
    return RawCases(ids, problems, len(found.cases) > len(there), labels)


def training_names(folder: Path, dataset: Dataset) -> list[str]:
    """The names of the cases as nnU-Net finds them: those of ``dataset``, or of ``imagesTr`` in order."""
    listed = dataset.document.get("dataset")
    if isinstance(listed, dict):
        return list(listed)
    stems = _stems(folder, dataset.ending)
    return sorted({match["case"] for stem in stems if (match := _NUMBERED.fullmatch(stem))})


def _stems(folder: Path, ending: str) -> list[str]:
    """The files of ``imagesTr`` with the data set's ending, without it."""
    images = folder / "imagesTr"
    names = sorted(path.name for path in images.iterdir()) if images.is_dir() else []
    return [name.removesuffix(ending) for name in names if name.endswith(ending)]


def _unnumbered(folder: Path, dataset: Dataset) -> Iterator[Problem]:
    """Images of which nnU-Net would make a case of another name, without files."""
    if isinstance(dataset.document.get("dataset"), dict):
        return
    for stem in _stems(folder, dataset.ending):
        if not _NUMBERED.fullmatch(stem):
            text = "its name does not end in the number of a channel, as _0000"
            yield Problem(f"imagesTr/{stem}{dataset.ending}", text)


def _why(name: str, folder: Path, found: Found) -> str:
    """What the layout says of the files of a case that is none."""
    start = str(folder / "imagesTr" / name)
    for file in found.unmatched:
        if file.path.startswith(start) and file.path[len(start) : len(start) + 1] == "_":
            return file.reason.removeprefix(f"case {name} ")
    return "its files are no case"
