"""The bytes of a ``.b2nd`` file of blosc2: the same for the same voxels, whatever the number of threads."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from gpuprep.host.ordered import ordered_map
from gpuprep.store.nnunet.frame import frame
from gpuprep.values.errors import UsageError


class Search(NamedTuple):
    """A codec of blosc2 by its name, and its level; blocks stay whole, whatever the codec."""

    codec: str
    level: int


IMAGE_SEARCH, LABEL_SEARCH = Search("LZ4", 9), Search("LZ4HC", 3)
"""nnU-Net takes LZ4HC 5 for both; its loader reads any, at the same speed.

Of the 142 files of eight data sets, with the filter that each has (3.31 GB of float32 and 1.47 GB of int16,
filling included; blosc2 4.14, CPU seconds of one core)::

    image   LZ4HC 5: 13.9 s, 619 MB   LZ4HC 1: 3.6 s, 649 MB   LZ4 9: 1.8 s, 696 MB
    label   LZ4HC 5:  1.4 s, 8.7 MB   LZ4HC 3: 0.9 s, 9.2 MB   LZ4HC 1: 0.4 s, 18.3 MB

So all bytes are 12 % more than nnU-Net's. Its trial of filters took 5.8 s more, on a whole chunk. Of eight
blocks of that chunk it takes 0.4 s, and chose the same for all images and for 65 of 71 label maps.
"""

_TRIED_BLOCKS = 8


class Voxels(Protocol):
    """An array that gives parts of itself."""

    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def dtype(self) -> np.dtype[Any]: ...
    def __getitem__(self, part: tuple[slice, ...], /) -> NDArray[Any]: ...


def import_blosc2() -> ModuleType:
    """The package blosc2; raises UsageError where it is missing."""
    try:
        import blosc2
    except ImportError as error:
        raise UsageError(
            "nnU-Net's files need the package blosc2, which is not installed",
            advice="pip install 'gpuprep[nnunet]'",
        ) from error
    module: ModuleType = blosc2
    module.set_releasegil(True)  # our threads compress chunks beside one another
    return module


@dataclass(frozen=True, slots=True)
class _Cut:
    """How an array is cut, and compressed."""

    blosc2: ModuleType
    array: Voxels
    chunk: tuple[int, ...]
    block: tuple[int, ...]
    search: Search

    def settings(self, filter_: Any) -> dict[str, Any]:
        """Of blosc2, for every chunk."""
        return {
            "codec": self.blosc2.Codec[self.search.codec],
            "clevel": self.search.level,
            "filters": [filter_],
            "splitmode": self.blosc2.SplitMode.NEVER_SPLIT,
            "nthreads": 1,  # more of them put blocks where they happen to be ready
        }

    def compressed(self, blocks: NDArray[Any], filter_: Any) -> bytes:
        """Blocks, one behind the other, as a chunk."""
        packed: bytes = self.blosc2.compress2(
            blocks,
            typesize=blocks.itemsize,
            blocksize=math.prod(self.block) * blocks.itemsize,
            **self.settings(filter_),
        )
        return packed

    def empty(self, filter_: Any) -> bytes:
        """The file of an array like this without voxels."""
        array = self.blosc2.empty(
            self.array.shape,
            self.array.dtype,
            chunks=self.chunk,
            blocks=self.block,
            cparams=self.settings(filter_),
            dparams={"nthreads": 1},
            contiguous=True,
        )
        found: bytes = array.to_cframe()
        return found

    def corners(self) -> itertools.product[tuple[int, ...]]:
        """The first voxel of every chunk."""
        ends = zip(self.array.shape, self.chunk, strict=True)
        return itertools.product(*(range(0, end, edge) for end, edge in ends))

    def blocks_at(self, corner: Sequence[int]) -> NDArray[Any]:
        """The blocks of a chunk; beyond the border they are zero."""
        part = tuple(
            slice(first, min(first + edge, end))
            for first, edge, end in zip(corner, self.chunk, self.array.shape, strict=True)
        )
        return _in_blocks(self.array[part], self.chunk, self.block)

    def trial(self) -> NDArray[Any]:
        """Some blocks of the chunk in the middle."""
        ends = self.array.shape
        edges = tuple(map(min, self.chunk, ends))
        first = tuple((end - edge) // 2 for end, edge in zip(ends, edges, strict=True))
        counts = [-(-edge // block) for edge, block in zip(edges, self.block, strict=True)]
        every = math.prod(counts)
        chosen = np.unique(np.linspace(0, every - 1, min(every, _TRIED_BLOCKS)).astype(np.int64))
        blocks = np.zeros((len(chosen), *self.block), self.array.dtype)
        places = zip(*np.unravel_index(chosen, counts), strict=True)
        for number, place in enumerate(places):
            part = tuple(
                slice(start + int(k) * block, start + min((int(k) + 1) * block, edge))
                for start, k, block, edge in zip(first, place, self.block, edges, strict=True)
            )
            voxels = self.array[part]
            blocks[number][tuple(map(slice, voxels.shape))] = voxels
        return blocks


def encode_b2nd(
    array: Voxels,
    *,
    chunk: tuple[int, ...],
    block: tuple[int, ...],
    search: Search,
    threads: int = 1,
) -> list[bytes]:
    """The pieces of an array's file.

    Args:
        array: Its voxels.
        chunk: The edges of a chunk.
        block: The edges of a block, no longer than the chunk's.
        search: How thoroughly it is compressed.
        threads: Threads that compress.

    Raises:
        UsageError: blosc2 is missing.
        StoreError: blosc2 has another format.
    """
    blosc2 = import_blosc2()
    cut = _Cut(blosc2, array, chunk, block, search)
    filter_ = _smaller(cut)
    chunks = ordered_map(
        lambda corner: cut.compressed(cut.blocks_at(corner), filter_),
        cut.corners(),
        threads if threads > 1 else 0,
    )
    return frame(blosc2, cut.empty(filter_), list(chunks))


def _smaller(cut: _Cut) -> Any:
    """Bytes as they are, or all first bytes before all second ones: what makes fewer of the trial.

    Source: nnU-Net v2 ``nnUNetDatasetBlosc2._select_filter``, which tries all blocks of that chunk.
    """
    trial = cut.trial()
    filters = cut.blosc2.Filter
    return min(
        (filters.NOFILTER, filters.SHUFFLE), key=lambda each: len(cut.compressed(trial, each))
    )


def _in_blocks(voxels: NDArray[Any], chunk: Sequence[int], block: Sequence[int]) -> NDArray[Any]:
    """A chunk as its blocks in C order, each contiguous, filled up with zeros."""
    counts = [-(-edge // inner) for edge, inner in zip(chunk, block, strict=True)]
    whole = tuple(count * inner for count, inner in zip(counts, block, strict=True))
    blocks = (np.empty if voxels.shape == whole else np.zeros)((*counts, *block), voxels.dtype)
    axes = len(counts)
    paired = blocks.transpose([each for axis in range(axes) for each in (axis, axes + axis)])
    ends = zip(voxels.shape, block, strict=True)
    for parts in itertools.product(*(_whole_and_rest(end, inner) for end, inner in ends)):
        source = voxels[tuple(part for part, _, _ in parts)]
        places = tuple(place for _, *pair in parts for place in pair)
        target = paired[places]
        target[...] = source.reshape(target.shape)
    return blocks


def _whole_and_rest(end: int, inner: int) -> list[tuple[slice, slice, slice]]:
    """The voxels of an axis that fill blocks, and the others: where they are, which blocks, where in them."""
    filled = end // inner
    whole = slice(0, filled * inner), slice(0, filled), slice(None)
    rest = slice(filled * inner, end), slice(filled, filled + 1), slice(0, end - filled * inner)
    return [part for part in (whole, rest) if part[0].start < part[0].stop]
