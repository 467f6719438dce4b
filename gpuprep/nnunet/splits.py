"""``splits_final.json`` of a preprocessed data set, and the cases that it splits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from gpuprep.nnunet.cases import raw_cases
from gpuprep.nnunet.dataset import parse_dataset, read_json
from gpuprep.nnunet.folders import DATASET, RAW, SPLITS, Preprocessed
from gpuprep.values.errors import UsageError


def cases_to_split(folder: Preprocessed) -> tuple[str, ...]:
    """The training cases of the raw data set; where that is not there, the preprocessed ones.

    Raises:
        UsageError: there is neither.
    """
    theirs = None if folder.raw is None else folder.raw / folder.path.name
    if theirs is not None and (theirs / DATASET).is_file():
        dataset = parse_dataset(read_json(theirs / DATASET), theirs.name)
        ids = set(raw_cases(theirs, dataset).complete.values())
    else:
        ids = prepared_cases(folder)
    if not ids:
        raise UsageError(
            f"{folder.path} has no cases yet, and there is no raw data set of that name",
            advice=f"set {RAW}, or preprocess first",
        )
    return tuple(sorted(ids))


def prepared_cases(folder: Preprocessed) -> set[str]:
    """The cases that have arrays in any configuration."""
    arrays = {path.name.removesuffix(".b2nd") for path in folder.path.glob("*/*.b2nd")}
    return {name for name in arrays if not name.endswith("_seg")}


def save_splits(
    folder: Preprocessed, folds: Sequence[Mapping[str, Sequence[str]]], *, overwrite: bool = False
) -> Path:
    """Write folds in the bytes of nnU-Net's trainer, unless others are there.

    Raises:
        UsageError: others are there, and are not to be replaced.
    """
    file = folder.path / SPLITS
    if file.is_file() and not overwrite and read_json(file) != list(folds):
        raise UsageError(
            f"{file} has other folds, by which networks may have been trained",
            advice="keep them, or replace them with --overwrite",
        )
    folder.path.mkdir(parents=True, exist_ok=True)
    folder.save_splits(folds)
    return file
