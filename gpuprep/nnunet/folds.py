"""Which cases train and which validate, as nnU-Net splits them, or with the cases of a patient together."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from gpuprep.values.errors import UsageError

FOLDS = 5
_SEED = 12345
_SHOWN = 3


def split_folds(
    ids: Sequence[str], groups: Mapping[str, str] | None = None
) -> list[dict[str, list[str]]]:
    """Five folds, in the form of ``splits_final.json``: the ids in order, shuffled by a fixed seed.

    >>> patients = {name: name[:1] for name in ("a1", "a2", "b1", "c1", "d1", "e1")}
    >>> [fold["val"] for fold in split_folds(list(patients), patients)]
    [['a1', 'a2'], ['e1'], ['d1'], ['b1'], ['c1']]

    Args:
        ids: Of cases; their order does not matter.
        groups: The group of each case, its patient for instance, which no fold divides. The largest is put
            down first, each where fewest cases are. Where no group has two cases, folds are nnU-Net's.

    Raises:
        UsageError: there are fewer cases or groups than folds, or a case has no group.
    """
    names = sorted(ids)
    held = _held(names) if groups is None else _held_together(names, groups)
    return [
        {
            "train": [name for name in names if name not in validating],
            "val": [name for name in names if name in validating],
        }
        for validating in held
    ]


def _held(names: Sequence[str], what: str = "cases") -> list[set[str]]:
    """Per fold the names that it validates with."""
    if len(names) < FOLDS:
        raise UsageError(
            f"{len(names)} {what} are too few for {FOLDS} folds",
            advice="train on all of them: nnUNetv2_train ... all",
        )
    return [{names[place] for place in fold} for fold in np.array_split(_order(len(names)), FOLDS)]


def _order(count: int) -> NDArray[np.intp]:
    order = np.arange(count)
    np.random.RandomState(_SEED).shuffle(order)
    return order


def _held_together(names: Sequence[str], groups: Mapping[str, str]) -> list[set[str]]:
    without = [name for name in names if name not in groups]
    if without:
        told = ", ".join(without[:5]) + (", …" if len(without) > 5 else "")
        raise UsageError(
            f"{len(without)} of {len(names)} cases have no group: {told}",
            advice="name the group of every case",
        )
    members: dict[str, list[str]] = {}
    for name in names:
        members.setdefault(groups[name], []).append(name)
    if max(map(len, members.values()), default=0) < 2:
        return _held(names, "groups")
    if len(members) < FOLDS:
        raise UsageError(
            f"{len(members)} groups are too few for {FOLDS} folds",
            advice="train on all of them: nnUNetv2_train ... all",
        )
    named = sorted(members)
    shuffled = [named[place] for place in _order(len(named))]
    folds: list[set[str]] = [set() for _ in range(FOLDS)]
    for group in sorted(shuffled, key=lambda group: -len(members[group])):
        min(folds, key=len).update(members[group])
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
