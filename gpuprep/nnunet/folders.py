"""nnU-Net's folders: where raw and preprocessed data sets lie, and what planning writes there."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpuprep.host.atomic import replaced
from gpuprep.nnunet.dataset import Dataset, Fingerprint, parse_dataset, read_json
from gpuprep.nnunet.names import can_be_plans
from gpuprep.values.errors import ConfigError, UsageError

DATASET, FINGERPRINT, SPLITS = "dataset.json", "dataset_fingerprint.json", "splits_final.json"
RAW, PREPROCESSED = "nnUNet_raw", "nnUNet_preprocessed"
_NAME = re.compile(r"Dataset([0-9]{3,})_")
_DERIVED = ("3d_lowres", "3d_cascade_fullres")
"""Configurations that one state of a data set has and another has not."""


def folder_of(variable: str) -> Path:
    """The folder that ``nnUNet_raw`` or ``nnUNet_preprocessed`` names; raises UsageError if it is unset."""
    found = os.environ.get(variable, "")
    if not found:
        raise UsageError(
            f"{variable} is not set", advice=f"export {variable}=FOLDER, the same as for nnU-Net"
        )
    return Path(found)


def raw_folder() -> Path | None:
    """The folder that ``nnUNet_raw`` names; None where it is unset, for not all steps need it."""
    found = os.environ.get(RAW, "")
    return Path(found) if found else None


def find_dataset(number_or_name: str, *folders: Path) -> str:
    """The name of a data set, as ``Dataset004_Hippocampus``, of ``4`` or of itself.

    Raises:
        UsageError: none of the folders has it, or several names have its number.
    """
    numbers = {
        path.name: int(match[1])
        for folder in folders
        for path in folder.glob("Dataset*_*")
        if (match := _NAME.match(path.name))
    }
    names = numbers.keys()
    if number_or_name.isdecimal():
        found = {name for name in names if numbers[name] == int(number_or_name)}
    else:
        found = names & {number_or_name}
    if len(found) != 1:
        there = ", ".join(sorted(found or names)) or "none"
        said = "several data sets have" if found else "no data set has"
        raise UsageError(
            f"{said} the number or name {number_or_name}", advice=f"there are: {there}"
        )
    return found.pop()


@dataclass(frozen=True)
class Preprocessed:
    """The folder of one data set below ``nnUNet_preprocessed``, and that of all raw ones, if known."""

    path: Path
    raw: Path | None = None

    @property
    def dataset(self) -> Dataset:
        """Raises ConfigError where ``dataset.json`` is absent or none of nnU-Net's."""
        return parse_dataset(read_json(self.path / DATASET), self.path.name)

    @property
    def fingerprint(self) -> Fingerprint:
        """Raises ConfigError where ``dataset_fingerprint.json`` is absent or none."""
        file = self.path / FINGERPRINT
        try:
            return Fingerprint.from_json(read_json(file))
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigError(f"{file} is no fingerprint of nnU-Net's ({error!r})") from error

    def take_over(self) -> None:
        """Copy what planning copies from the raw data set, where that is there.

        Raises:
            ConfigError: both have ``splits_final.json``, and they differ; or a file is no JSON.
        """
        theirs = None if self.raw is None else self.raw / self.path.name
        if theirs is None or not (theirs / DATASET).is_file():
            return
        read_json(theirs / DATASET)
        self._write(DATASET, (theirs / DATASET).read_text("utf-8"))
        if (theirs / SPLITS).is_file():
            file, folds = self.path / SPLITS, read_json(theirs / SPLITS)
            if file.is_file() and read_json(file) != folds:
                raise ConfigError(
                    f"{file} and {theirs / SPLITS} are different splits",
                    advice="delete the one that you do not mean",
                )
            self._write(SPLITS, (theirs / SPLITS).read_text("utf-8"))

    def save_fingerprint(self, fingerprint: Fingerprint) -> Path:
        """Write ``dataset_fingerprint.json`` in nnU-Net's form."""
        self.path.mkdir(parents=True, exist_ok=True)
        text = json.dumps(fingerprint.to_json(), indent=4, sort_keys=True)
        self._write(FINGERPRINT, text)
        return self.path / FINGERPRINT

    def save_plans(
        self, document: Mapping[str, Any]
    ) -> tuple[Path, tuple[str, ...], tuple[str, ...]]:
        """Write a plans file. Configurations of one's own in an older file stay, as with nnU-Net; derived
        ones that the new plan lacks do not, for they are of an earlier state of the data set.

        Returns:
            The file, the configurations that stayed, and those that went.

        Raises:
            UsageError: plans cannot be called so.
        """
        if not can_be_plans(str(document["plans_name"])):
            raise UsageError(
                f"plans cannot be called {document['plans_name']!r}",
                advice="choose a name that no other file of the data set has, without a folder",
            )
        file = self.path / f"{document['plans_name']}.json"
        old = read_json(file)["configurations"] if file.is_file() else {}
        new = document["configurations"]
        gone = tuple(name for name in old if name in _DERIVED and name not in new)
        kept = {name: each for name, each in old.items() if name not in new and name not in gone}
        whole = {**document, "configurations": {**new, **kept}}
        self._write(file.name, json.dumps(whole, indent=4))
        return file, tuple(kept), gone

    def save_splits(self, folds: Sequence[Mapping[str, Sequence[str]]]) -> None:
        """Write ``splits_final.json`` as nnU-Net's trainer does."""
        self._write(SPLITS, json.dumps(folds, indent=4, sort_keys=True))

    def _write(self, name: str, text: str) -> None:
        try:
            with replaced(self.path / name, fsync=True) as partial:
                partial.write_text(text, "utf-8")
        except OSError as error:
            raise UsageError(f"cannot write {self.path / name}: {error.strerror}") from error
