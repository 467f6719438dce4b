"""Which cases train and which validate, as nnU-Net splits them."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from gpuprep.values.errors import UsageError

FOLDS = 5
_SEED = 12345
_SHOWN = 3


def split_folds(ids: Sequence[str]) -> list[dict[str, list[str]]]:
    """Five folds, in the form of ``splits_final.json``: the ids in order, shuffled by a fixed seed.

    Raises:
        UsageError: there are fewer cases than folds.
    """
    names = sorted(ids)
    if len(names) < FOLDS:
        raise UsageError(
            f"{len(names)} cases are too few for {FOLDS} folds",
            advice="train on all of them: nnUNetv2_train ... all",
        )
    order = np.arange(len(names))
    np.random.RandomState(_SEED).shuffle(order)
    folds = []
    for held in np.array_split(order, FOLDS):
        validating = {int(place) for place in held}
        folds.append(
            {
                "train": [name for place, name in enumerate(names) if place not in validating],
                "val": [names[place] for place in sorted(validating)],
            }
        )
    return folds


def doubts_about(splits: object, ids: Collection[str]) -> str:
    """What a ``splits_final.json`` and the cases that are there disagree on; empty where all fits.

    Args:
        splits: Its content.
        ids: Of the cases.
    """
    try:
        named = {str(name) for fold in splits for part in ("train", "val") for name in fold[part]}  # type: ignore[attr-defined]
    except (TypeError, KeyError):
        return "is no list of folds with train and val"
    absent, left = sorted(named - set(ids)), sorted(set(ids) - named)
    told = []
    if absent:
        told.append(f"names {_some(absent)}, of which there are no arrays: trainings stop there")
    if left:
        told.append(f"leaves out {_some(left)}, which no training sees")
    return "; it ".join(told)


def _some(ids: Sequence[str]) -> str:
    shown = ", ".join(ids[:_SHOWN])
    more = f" and {len(ids) - _SHOWN} more" if len(ids) > _SHOWN else ""
    return f"{len(ids)} case{'s' * (len(ids) > 1)} ({shown}{more})"
