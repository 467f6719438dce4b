"""Where the labelled voxels of a case are: a small sample of every class, so that training can aim at it.

The index of one label map is one array of rows ``value, z, y, x``, sorted by value and then in C order.
Of each class (every value above 0) ``max(min(10,000, all), 1 % of all)`` voxels are kept, drawn without
replacement: the rule of nnU-Net's ``class_locations``, with draws of our own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuprep.store.array import StoredArray
from gpuprep.store.layout import label_array

SEED = 1234
AT_LEAST = 10_000  # voxels of a class that has as many
SHARE = 0.01  # of a class that is larger
_INDICES_KEPT = 256  # per process


def index_label(label: NDArray[Any]) -> NDArray[Any]:
    """Rows ``value, z, y, x`` of sampled voxels of every class of an integer label map ``z, y, x``.

    The dtype is uint16 where shape and values allow it, int64 otherwise. The volume is walked once; what
    follows touches labelled voxels only.
    """
    places = np.flatnonzero(label > 0)
    values = label.reshape(-1)[places]
    order = np.argsort(values, kind="stable")
    classes, starts = np.unique(values[order], return_index=True)
    random = np.random.default_rng(SEED)
    kept = [_sample(part, random) for part in np.split(order, starts[1:])] if len(classes) else []
    chosen = np.concatenate(kept) if kept else np.empty(0, np.intp)
    largest = max([*label.shape, *map(int, classes[-1:])])
    dtype = np.uint16 if largest <= np.iinfo(np.uint16).max else np.int64
    rows = np.empty((len(chosen), 4), dtype)
    rows[:, 0] = values[chosen]
    rows[:, 1:] = np.stack(np.unravel_index(places[chosen], label.shape), axis=1)
    return rows


def by_class(rows: NDArray[Any]) -> dict[int, NDArray[Any]]:
    """The positions ``z, y, x`` of an index, shape ``(n, 3)``, by class."""
    classes, starts = np.unique(rows[:, 0], return_index=True)
    parts = np.split(rows[:, 1:], starts[1:])
    return {int(value): part for value, part in zip(classes, parts, strict=False)}


@lru_cache(maxsize=_INDICES_KEPT)
def case_locations(folder: Path, label: str) -> Mapping[int, NDArray[Any]]:
    """Sampled positions ``z, y, x`` by class of a stored case's label map.

    They are found in the label map at the first call and remembered by this process.

    Args:
        folder: The case's folder.
        label: The name of one of its label maps.

    Raises:
        CorruptStoreError: the label map is missing or damaged.
    """
    return MappingProxyType(
        by_class(index_label(np.asarray(StoredArray(folder, label_array(label)))))
    )


def _sample(voxels: NDArray[np.intp], random: np.random.Generator) -> NDArray[np.intp]:
    """The kept voxels of one class, in their order."""
    count = max(min(AT_LEAST, len(voxels)), math.ceil(SHARE * len(voxels)))
    if count == len(voxels):
        return voxels
    return voxels[np.sort(random.choice(len(voxels), count, replace=False, shuffle=False))]
