"""What a training reads, decided before it begins: cases, label maps, channels, classes and one label dtype.

Names come from the cohort's agreement and never from a case, so that the order of ids changes nothing.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuprep.store.listing import Holding
from gpuprep.store.reader import Cohort
from gpuprep.training.folds import choose_cases
from gpuprep.values.agreement import Classes
from gpuprep.values.case import natural_key
from gpuprep.values.errors import CohortWarning, UsageError

_SHOWN = 5  # cases named in a message
_INTEGERS = (np.uint8, np.int16, np.int32, np.int64)  # which torch computes with
_EXACT = {np.float32: 1 << 24, np.float64: 1 << 53}  # whole numbers up to these


@dataclass(frozen=True)
class Choice:
    """What a training reads.

    Attributes:
        ids: Of the cases, all of which hold every label map that is asked for.
        channels: Their names in order; empty where cases have no image.
        labels: Names of the label maps to read.
        classes: What the values mean, of these maps and of the one that patches are aimed by.
        values: The values that the chosen cases hold, of the same maps, ascending.
        bearers: Of the label maps that patches are aimed by, the places in ``ids`` of the cases that hold
            each value.
    """

    ids: tuple[str, ...]
    channels: tuple[str, ...]
    labels: tuple[str, ...]
    classes: Mapping[str, Classes]
    values: Mapping[str, tuple[int, ...]]
    bearers: Mapping[str, Mapping[int, NDArray[np.int32]]]

    def label_dtype(self, label: str, *more: int) -> np.dtype[Any]:
        """The first of uint8, int16, int32 and int64 for all values of a map, and ``more``.

        These are the integers that torch computes with; the values of the agreement count as well.

        Raises:
            UsageError: there is none.
        """
        low, high = self._extent(label, *more)
        for dtype in _INTEGERS:
            if np.iinfo(dtype).min <= low and high <= np.iinfo(dtype).max:
                return np.dtype(dtype)
        raise UsageError(f"label {label} with values {low}..{high} fits no integer of 64 bits")

    def float_dtype(self, label: str, *more: int) -> np.dtype[Any]:
        """The first of float32 and float64 that keeps all values of a map, and ``more``.

        Raises:
            UsageError: there is none.
        """
        low, high = self._extent(label, *more)
        for dtype, limit in _EXACT.items():
            if max(high, -low) <= limit:
                return np.dtype(dtype)
        raise UsageError(
            f"label {label} with values {low}..{high} does not fit float64",
            advice="read it with PatchDataset, whose labels are integers",
        )

    def _extent(self, label: str, *more: int) -> tuple[int, int]:
        found = {*self.values[label], *self.classes[label].names, *more, 0}
        return min(found), max(found)


def choose(
    cohort: Cohort,
    cases: Sequence[str] | None,
    labels: Sequence[str] | None,
    aimed: Sequence[str] = (),
) -> Choice:
    """Decide what is read.

    Args:
        cohort: Where from.
        cases: Ids; None for all that have the label maps. Those left out are told in one CohortWarning.
        labels: Label maps to read; None for all of the cohort's agreement.
        aimed: Label maps that patches are aimed by, which cases must have as well.

    Raises:
        UsageError: there is no such case; a case that was asked for lacks a label map; channels are not
            the cohort's; some cases have an image and some have none.
        StoreError: the cases of an older cohort disagree.
    """
    agreed = cohort.agreement
    ids = choose_cases(cohort, cases)
    read = tuple(sorted(agreed.labels, key=natural_key) if labels is None else labels)
    wanted = tuple(dict.fromkeys([*read, *aimed]))
    held = cohort.known.holdings(ids)
    kept = _labelled(cohort, held, wanted, named=cases is not None)
    chosen = {case_id: held[case_id] for case_id in kept} if len(kept) < len(held) else held
    channels = _channels(cohort, chosen, agreed.channels)
    kinds = _kinds(chosen)
    number = {id(kind): place for place, kind in enumerate(kinds)}
    codes = np.array([number[id(holding)] for holding in chosen.values()], np.intp)
    bearers = {name: _bearers([kind.labels[name] for kind in kinds], codes) for name in wanted}
    return Choice(
        kept,
        channels,
        read,
        {name: agreed.labels.get(name, Classes()) for name in wanted},
        {name: tuple(sorted(found)) for name, found in bearers.items()},
        {name: bearers[name] for name in dict.fromkeys(aimed)},
    )


def _kinds(held: Mapping[str, Holding]) -> list[Holding]:
    """What any of the cases holds, each object once: most of many cases share theirs."""
    return list({id(holding): holding for holding in held.values()}.values())


def _bearers(
    kinds: Sequence[tuple[int, ...]], codes: NDArray[np.intp]
) -> dict[int, NDArray[np.int32]]:
    """Which cases have each value, by the values of every kind of case, and the kind of each case."""
    found = sorted({value for kind in kinds for value in kind})
    has = np.zeros((len(found), len(kinds)), bool)
    for number, kind in enumerate(kinds):
        has[np.searchsorted(found, kind), number] = True
    return {
        value: np.flatnonzero(has[place][codes]).astype(np.int32)
        for place, value in enumerate(found)
    }


def _labelled(
    cohort: Cohort, held: Mapping[str, Holding], wanted: Sequence[str], *, named: bool
) -> tuple[str, ...]:
    """The cases that hold all label maps wanted."""
    if all(name in kind.labels for kind in _kinds(held) for name in wanted):
        return tuple(held)
    lacking = {
        case_id: missing
        for case_id, holding in held.items()
        if (missing := [name for name in wanted if name not in holding.labels])
    }
    names = [name for name in wanted if any(name in missing for missing in lacking.values())]
    told = (
        f"{cohort.path}: {len(lacking)} of {len(held)} cases have no label {_list(names)} "
        f"({_list(list(lacking))})"
    )
    if named or len(lacking) == len(held):
        there = sorted({name for holding in held.values() for name in holding.labels})
        raise UsageError(
            told,
            advice="name cases that have it, or label maps that all cases have with labels=[…]; "
            f"there are {_list(there) or 'none'}",
        )
    warnings.warn(CohortWarning(f"{told}; they are left out"), stacklevel=4)
    return tuple(case_id for case_id in held if case_id not in lacking)


def _channels(
    cohort: Cohort, held: Mapping[str, Holding], agreed: tuple[str, ...]
) -> tuple[str, ...]:
    """The channels of all cases, which must be those of the cohort."""
    if {kind.channels for kind in _kinds(held)} == {agreed}:
        return agreed
    blank = [case_id for case_id, holding in held.items() if not holding.channels]
    if len(blank) == len(held):
        return ()
    if blank:
        raise UsageError(
            f"{cohort.path}: {len(blank)} of {len(held)} cases have no image ({_list(blank)})",
            advice="choose cases that all have one, or none",
        )
    channels, whose = agreed, "the cohort"
    if not agreed:
        whose = min(held, key=natural_key)
        channels = held[whose].channels
    if strange := [case_id for case_id, holding in held.items() if holding.channels != channels]:
        other = held[strange[0]].channels
        raise UsageError(
            f"{cohort.path}: {whose} has channels {', '.join(channels)}, but {len(strange)} of "
            f"{len(held)} cases have others; {strange[0]} has {', '.join(other)}",
            advice="choose cases=[…] that agree, or make these anew with run --overwrite",
        )
    return channels


def _list(names: Sequence[str]) -> str:
    more = f", … and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
