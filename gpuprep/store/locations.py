"""Where the labelled voxels of a case are: a small sample of every class, so that training can aim at it.

The index of one label map is one array of rows ``value, z, y, x``, sorted by value and then in C order.
Of each class (every value above 0) ``max(min(10,000, all), 1 % of all)`` voxels are kept, drawn without
replacement: the rule of nnU-Net's ``class_locations``, with draws of our own. It lies with its label map as
``labels/<name>/0/locations.npy`` (Zarr readers warn of foreign files in groups, not in arrays) and opens
with ``numpy.load``.
"""

from __future__ import annotations

import io
import math
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import google_crc32c
import numpy as np
from numpy.typing import NDArray

from gpuprep.store.array import StoredArray
from gpuprep.store.layout import label_array
from gpuprep.store.objects.path import ObjectPath
from gpuprep.store.places import to_place
from gpuprep.store.record import read_record
from gpuprep.store.several import below
from gpuprep.values.errors import CorruptStoreError

SEED = 1234
AT_LEAST = 10_000  # voxels of a class that has as many
SHARE = 0.01  # of a class that is larger
_INDICES_KEPT = 256  # per process
_SLAB = 1 << 20  # voxels looked at together: bounds the memory
_COUNTED_BY_VALUE = 1 << 16  # values below this are counted in a table, larger ones are sorted
_SOUGHT_ONE_BY_ONE = 24  # classes; of more, all places are sorted together

Locations = Mapping[int, NDArray[Any]]  # positions z, y, x, shape (n, 3), by class
Seal = tuple[int, ...]


def locations_file(label: str) -> str:
    """The path of a label map's index inside its case, or its output of a case with several."""
    return f"{label_array(label)}/locations.npy"


def index_label(label: NDArray[Any]) -> NDArray[Any]:
    """Rows ``value, z, y, x`` of sampled voxels of every class of an integer label map ``z, y, x``.

    The dtype is uint16 where shape and values allow it, int64 otherwise. The volume is walked twice, a
    slab at a time: to count the classes, and to pick the drawn ones among each class's voxels.
    """
    ranks = _draw_ranks(count_classes(label))
    found = places_at(label, ranks)
    largest = max([*label.shape, *ranks])
    dtype = np.uint16 if largest <= np.iinfo(np.uint16).max else np.int64
    rows = np.empty((sum(map(len, ranks.values())), 4), dtype)
    if ranks:
        rows[:, 0] = np.repeat(list(ranks), [len(drawn) for drawn in ranks.values()])
        kept = np.concatenate([found[value] for value in ranks])
        rows[:, 1:] = np.stack(np.unravel_index(kept, label.shape), axis=1)
    return rows


def by_class(rows: NDArray[Any]) -> Locations:
    """The positions of an index by class."""
    classes, starts = np.unique(rows[:, 0], return_index=True)
    parts = np.split(rows[:, 1:], starts[1:])
    return MappingProxyType(dict(zip(classes.tolist(), parts, strict=False)))


def to_npy(rows: NDArray[Any]) -> bytes:
    """An index as the bytes of its file."""
    stream = io.BytesIO()
    np.lib.format.write_array(stream, rows, allow_pickle=False)
    return stream.getvalue()


def case_locations(
    folder: Path | ObjectPath, label: str, seal: Seal | None = None, *, output: str = ""
) -> Locations:
    """Sampled positions ``z, y, x`` by class of a stored case's label map; remembered by this process.

    They are read from the case's index, or found in the label map where the case was stored without one.

    Args:
        folder: The case's folder.
        label: The name of one of its label maps.
        seal: What the record says of the index (``location_seals``), if that is known.
        output: The name of the output that has the label map, of a case with several.

    Raises:
        CorruptStoreError: the index or the label map is missing or damaged.
    """
    if seal is None:
        seal = location_seals(read_record(folder)["files"], [label], output)[label]
    return _located(folder, label, seal, output)


def location_seals(
    files: Mapping[str, Mapping[str, int]], labels: Iterable[str], output: str = ""
) -> dict[str, Seal]:
    """Size and CRC32C of the index of each label map by the seals of a record; empty for none."""
    found = {label: files.get(below(output, locations_file(label))) for label in labels}
    return {label: (seal["size"], seal["crc32c"]) if seal else () for label, seal in found.items()}


@lru_cache(maxsize=_INDICES_KEPT)
def _located(folder: Path | ObjectPath, label: str, seal: Seal, output: str) -> Locations:
    if not seal:
        array = StoredArray(folder, below(output, label_array(label)))
        return by_class(index_label(np.asarray(array)))
    name, (size, crc) = below(output, locations_file(label)), seal
    text = to_place(folder).document(name)
    if len(text) != size or google_crc32c.value(text) != crc:
        raise CorruptStoreError(
            f"{folder / name}: the {len(text):,} bytes read are not those its record says "
            f"({size:,} bytes, CRC32C {crc:08x})",
            advice=f"delete {folder} and run again",
        )
    return by_class(np.load(io.BytesIO(text), allow_pickle=False))


def _slabs(label: NDArray[Any]) -> Iterator[tuple[int, NDArray[Any]]]:
    """Whole slices of about ``_SLAB`` voxels, flat, each with the flat index of its first voxel."""
    slice_size = math.prod(label.shape[1:])
    step = max(1, _SLAB // slice_size)
    for z in range(0, len(label), step):
        yield z * slice_size, label[z : z + step].reshape(-1)


def count_classes(label: NDArray[Any], also: Collection[int] = ()) -> dict[int, int]:
    """Voxels of every class, in ascending order of classes, and of other values that are asked for."""
    counts: Counter[int] = Counter()
    for _, slab in _slabs(label):
        positive = slab[slab > 0]
        if positive.max(initial=0) < _COUNTED_BY_VALUE:
            numbers = np.bincount(positive)
            values = np.flatnonzero(numbers)
            numbers = numbers[values]
        else:
            values, numbers = np.unique(positive, return_counts=True)
        counts.update(dict(zip(values.tolist(), numbers.tolist(), strict=True)))
        counts.update({value: int(np.count_nonzero(slab == value)) for value in also})
    return dict(sorted(counts.items()))


def places_at(
    label: NDArray[Any], ranks: Mapping[int, NDArray[np.intp]]
) -> dict[int, NDArray[np.intp]]:
    """The flat indices of some voxels of each value: of those of ascending ``ranks`` among them in C order.

    The volume is walked a slab at a time.
    """
    found: dict[int, list[NDArray[np.intp]]] = defaultdict(list)
    seen: Counter[int] = Counter()
    for first, slab in _slabs(label):
        for value, places in _places_by_class(slab, ranks):
            low, high = np.searchsorted(ranks[value], [seen[value], seen[value] + len(places)])
            found[value].append(places[ranks[value][low:high] - seen[value]] + first)
            seen[value] += len(places)
    return {value: np.concatenate(parts) for value, parts in found.items()}


def _draw_ranks(counts: Mapping[int, int]) -> dict[int, NDArray[np.intp]]:
    """Which voxels of a class are kept: ascending ranks among its voxels in C order."""
    random = np.random.default_rng(SEED)
    ranks = {}
    for value, total in counts.items():
        kept = max(min(AT_LEAST, total), math.ceil(SHARE * total))
        ranks[value] = np.sort(random.choice(total, kept, replace=False, shuffle=False))
    return ranks


def _places_by_class(
    slab: NDArray[Any], classes: Collection[int]
) -> Iterator[tuple[int, NDArray[np.intp]]]:
    """Each class in a flat slab with the ascending indices of its voxels."""
    yield from ((value, np.flatnonzero(slab == value)) for value in classes if value <= 0)
    places = np.flatnonzero(slab > 0)
    values = slab[places]
    if len(classes) <= _SOUGHT_ONE_BY_ONE:
        yield from ((value, places[values == value]) for value in classes if value > 0)
        return
    order = np.argsort(values, kind="stable")
    found, starts = np.unique(values[order], return_index=True)
    parts = np.split(places[order], starts[1:])
    yield from (
        (value, part)
        for value, part in zip(found.tolist(), parts, strict=False)
        if value in classes
    )
