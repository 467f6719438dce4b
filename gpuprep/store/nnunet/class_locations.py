"""Some voxels of each class or region of a label map, by nnU-Net's own draws: patches are put around them."""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuprep.store.locations import AT_LEAST, SEED, SHARE, count_classes, places_at

Key = int | tuple[int, ...]
Places = NDArray[np.int64] | list[int]


class Draws:
    """The voxels drawn of the last label map; outputs that share one follow one another."""

    def __init__(self) -> None:
        self._label: Callable[[], NDArray[Any] | None] = lambda: None
        self._asked: tuple[Any, ...] = ()
        self._drawn: dict[Key, Places] = {}

    def of(
        self, label: NDArray[Any], forward: tuple[int, int, int], keys: tuple[Key, ...]
    ) -> dict[Key, Places]:
        """``class_locations`` of a label map ``z, y, x`` with its axes in the order ``forward``."""
        if self._label() is not label or self._asked != (forward, keys):
            self._drawn = class_locations(label.transpose(forward), keys)
            self._label, self._asked = weakref.ref(label), (forward, keys)
        return self._drawn


def class_locations(label: NDArray[Any], keys: Sequence[Key]) -> dict[Key, Places]:
    """Rows ``0, z, y, x`` (int64) of drawn voxels by class, in the order of drawing; [] where it is absent.

    A key of several values stands for all of their voxels, value by value. The map is walked twice, however
    many classes there are.

    Source: nnU-Net v2 ``DefaultPreprocessor._sample_foreground_locations``.

    Args:
        label: ``z, y, x``, in the order in which it is stored.
        keys: The classes in the order of drawing.
    """
    of_key = {key: key if isinstance(key, tuple) else (key,) for key in keys}
    others = {value for values in of_key.values() for value in values if value <= 0}
    counts = count_classes(label, others)
    random = np.random.RandomState(SEED)
    drawn = {}
    for key, values in of_key.items():
        total = sum(counts.get(value, 0) for value in values)
        if total:
            number = max(min(AT_LEAST, total), math.ceil(total * SHARE))
            ranks = random.choice(total, number, replace=False)
            drawn[key] = _by_value(ranks, values, counts)
    wanted = _ranks_of_values(drawn)
    places = places_at(label, wanted)
    found: dict[Key, Places] = {}
    for key in keys:
        if key not in drawn:
            found[key] = []
            continue
        flat = np.empty(sum(len(rows) for rows, _ in drawn[key].values()), np.int64)
        for value, (rows, ranks) in drawn[key].items():
            flat[rows] = places[value][np.searchsorted(wanted[value], ranks)]
        rows_of_key = np.zeros((len(flat), 4), np.int64)
        rows_of_key[:, 1:] = np.stack(np.unravel_index(flat, label.shape), axis=1)
        found[key] = rows_of_key
    return found


_Drawn = dict[int, tuple[NDArray[np.intp], NDArray[np.intp]]]


def _by_value(ranks: NDArray[np.intp], values: Sequence[int], counts: Mapping[int, int]) -> _Drawn:
    """Which draws of a class fall on each of its values, and on which of that value's voxels."""
    drawn = {}
    start = 0
    for value in values:
        stop = start + counts.get(value, 0)
        rows = np.flatnonzero((ranks >= start) & (ranks < stop))
        if len(rows):
            drawn[value] = rows, ranks[rows] - start
        start = stop
    return drawn


def _ranks_of_values(drawn: Mapping[Key, _Drawn]) -> dict[int, NDArray[np.intp]]:
    """All ranks that are drawn of each value, ascending."""
    every: dict[int, list[NDArray[np.intp]]] = {}
    for of_key in drawn.values():
        for value, (_, ranks) in of_key.items():
            every.setdefault(value, []).append(ranks)
    return {value: np.unique(np.concatenate(parts)) for value, parts in every.items()}
