"""Which cases are trained on: by id, filtered by record, and k folds kept in a JSON file.

The file is a list of ``{"train": [ids], "val": [ids]}``, the form of nnU-Net's ``splits_final.json``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gpuprep.store.reader import Cohort
from gpuprep.values.errors import StoreError, UsageError


@dataclass(frozen=True)
class Fold:
    """Case ids to train on and to validate with."""

    train: tuple[str, ...]
    val: tuple[str, ...]


def choose_cases(cohort: Cohort, cases: Sequence[str] | None) -> tuple[str, ...]:
    """The ids asked for, all of them for None; raises UsageError for none at all and for unknown ones."""
    ids = tuple(cohort.ids if cases is None else cases)
    if not ids:
        raise UsageError(f"{cohort.path}: there is no case to train on")
    if cases is None:
        return ids
    known = set(cohort.ids)  # one listing, where asking for each case is a request each
    unknown = [case_id for case_id in ids if case_id not in known and case_id not in cohort]
    if unknown:
        raise UsageError(
            f"{cohort.path} has no case {unknown[0]!r} ({len(unknown)} of {len(ids)} are unknown)",
            advice="choose among the cohort's ids",
        )
    return ids


def filter_cases(cohort: Cohort, wanted: Callable[[Mapping[str, Any]], bool]) -> tuple[str, ...]:
    """Ids of the cases whose record pleases ``wanted``.

    What the index tells of a record is taken from there: ``labels``, ``attributes``, ``input``, ``digest``,
    shapes and spacings of ``geometry``'s ``source`` and ``output``. For anything else the record is read.

    >>> import gpuprep
    >>> filter_cases(gpuprep.open("cohort"), lambda record: "1" in record["labels"]["segmentation"])
    ('volume-0', 'volume-1')

    ``cohort[case_id].attributes`` are the columns of the manifest a case came from.
    """
    views = cohort.known.records()
    return tuple(case_id for case_id in cohort if wanted(views[case_id]))


def split_cases(
    ids: Sequence[str], folds: int, *, seed: int = 0, groups: Mapping[str, str] | None = None
) -> tuple[Fold, ...]:
    """Cut cases into folds; every case validates exactly once.

    >>> patients = {"a1": "anna", "a2": "anna", "b1": "ben"}
    >>> [fold.val for fold in split_cases(list(patients), 2, groups=patients)]
    [('a1', 'a2'), ('b1',)]

    Args:
        ids: Case ids; their order does not matter.
        folds: 2 or more.
        seed: Of the shuffle.
        groups: Group of each case (its patient, its site); cases of one group stay together. None for
            every case on its own.

    Raises:
        UsageError: there are fewer groups than folds.
    """
    group_of = {case_id: case_id if groups is None else groups[case_id] for case_id in sorted(ids)}
    names = sorted(set(group_of.values()))
    if not 2 <= folds <= len(names):
        raise UsageError(f"{len(names)} groups of cases cannot be cut into {folds} folds")
    order = np.random.default_rng(seed).permutation(len(names))
    fold_of = {names[number]: place % folds for place, number in enumerate(order)}
    return tuple(
        Fold(
            train=tuple(case_id for case_id, name in group_of.items() if fold_of[name] != fold),
            val=tuple(case_id for case_id, name in group_of.items() if fold_of[name] == fold),
        )
        for fold in range(folds)
    )


def write_folds(path: str | Path, folds: Sequence[Fold]) -> None:
    """Write folds as JSON.

    >>> write_folds("folds.json", split_cases(["a", "b", "c", "d"], 2))
    >>> len(read_folds("folds.json"))
    2
    """
    rows = [{"train": list(fold.train), "val": list(fold.val)} for fold in folds]
    Path(path).write_text(json.dumps(rows, indent=1, ensure_ascii=False), "utf-8")


def read_folds(path: str | Path) -> tuple[Fold, ...]:
    """Folds from a JSON file, ours or nnU-Net's; raises StoreError for one of another form.

    >>> _ = Path("splits_final.json").write_text('[{"train": ["a", "b"], "val": ["c"]}]')
    >>> read_folds("splits_final.json")
    (Fold(train=('a', 'b'), val=('c',)),)
    """
    try:
        rows = json.loads(Path(path).read_text("utf-8"))
        return tuple(
            Fold(tuple(map(str, row["train"])), tuple(map(str, row["val"]))) for row in rows
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(
            f"{path}: not a list of folds with 'train' and 'val' ({error!r})",
            advice="write it with gpuprep.training.write_folds",
        ) from error
