"""Which cases train and which validate, as nnU-Net splits them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gpuprep.values.errors import UsageError

FOLDS = 5
_SEED = 12345


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
