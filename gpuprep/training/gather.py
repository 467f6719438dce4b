"""What a batch is made of: the compressed chunks under its patches, and where each of their voxels goes.

Nothing is decoded here. Chunks that several patches of a batch touch are taken once.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuprep.device.decoder import Extents
from gpuprep.device.driver import Driver
from gpuprep.ops.device.scatter import PADDING, ZEROS, convert_device, scatter_device
from gpuprep.store.array import StoredArray
from gpuprep.store.codecs import Bytes
from gpuprep.store.indexing import cut_range
from gpuprep.store.stored_case import StoredCase
from gpuprep.training.dataset import Key, PatchDataset
from gpuprep.training.patch import Position, find_label, padding_of, part_inside
from gpuprep.values.errors import BackendError, UsageError

Boxes = list[tuple[int, ...]]
Slices = tuple[slice, ...]


@dataclass(slots=True, eq=False)
class Chunks:
    """Compressed chunks in the order they were asked for, and the memory they need before and after."""

    pieces: list[Bytes] = field(default_factory=list)
    encoded: Extents = field(default_factory=Extents)
    decoded: Extents = field(default_factory=Extents)
    _known: dict[tuple[int, ...], int] = field(default_factory=dict)

    def find(self, array: StoredArray, chunk: tuple[int, ...]) -> int:
        """The first voxel of a decoded chunk, counted in voxels; ``ZEROS`` for one that is not stored."""
        key = (id(array), *chunk)
        if key not in self._known:
            self._known[key] = self._add(array.frame(chunk), array)
        return self._known[key]

    def _add(self, piece: Bytes | None, array: StoredArray) -> int:
        if piece is None:
            return ZEROS
        self.pieces.append(piece)
        self.encoded.add(len(piece))
        size = math.prod(array.chunks) * array.dtype.itemsize
        return self.decoded.add(size) // array.dtype.itemsize

    def write(self, target: Bytes) -> None:
        """Lay the compressed chunks into ``encoded.end`` bytes of memory."""
        for piece, offset in zip(self.pieces, self.encoded.offsets, strict=True):
            target[offset : offset + len(piece)] = piece


class Tensor:
    """One array of a batch to be.

    Attributes:
        shape: ``b, c, z, y, x``.
        dtype: Of all its patches.
        wanted: What they are to be in the end; equal to ``dtype`` but for label maps.
        padding: One number of ``dtype``, or what is left there of one of ``wanted``.
        boxes: Rows of the table that ``scatter_device`` takes.
        refilled: Patches and boxes whose padding only ``wanted`` holds.
    """

    def __init__(
        self, array: StoredArray, count: int, patch: Position, wanted: np.dtype[Any] | None = None
    ) -> None:
        self.shape = (count, math.prod(array.shape[:-3]), *patch)
        self.dtype = array.dtype
        self.wanted = array.dtype if wanted is None else wanted
        self.padding: NDArray[Any] = np.zeros(1, array.dtype)
        self.boxes: Boxes = []
        self.refilled: list[tuple[int, Slices, int]] = []

    def add(
        self, number: int, array: StoredArray, start: Position, padding: float, chunks: Chunks
    ) -> None:
        """Take patch ``number`` of the batch from ``start`` of an array.

        Raises:
            UsageError: the dtype or the channels are not those of the other patches.
            BackendError: the array's codec is not plain zstd.
            CorruptStoreError: a file or chunk is missing or damaged.
        """
        check_codec(array)
        patch = self.shape[2:]
        if (array.dtype, math.prod(array.shape[:-3])) != (self.dtype, self.shape[1]):
            raise UsageError(
                f"{array!r} does not go into a batch of {self.dtype} with {self.shape[1]} channels",
                advice="train with cases of one dtype and as many channels",
            )
        low, high = part_inside(array, start, (patch[0], patch[1], patch[2]))
        shift = [a - s for a, s in zip(low, start, strict=True)]
        for chunk, source, (channels, *target) in _cut_box(array, low, high):
            corner = (t.start + d for t, d in zip(target, shift, strict=True))
            place = chunks.find(array, chunk)
            self._add_chunk(place, array.chunks[-3:], source, (number, channels.start, *corner))
        within = tuple(slice(d, d + b - a) for a, b, d in zip(low, high, shift, strict=True))
        for box in surroundings(within, patch):
            told = padding_of(array, padding, self.wanted)
            self.padding = told.astype(self.dtype)
            if self.padding[0] != told[0]:
                self.refilled.append((number, box, int(told[0])))
            for channel in range(self.shape[1]):
                self._add_box(PADDING, (0, 0), (number, channel, *(s.start for s in box)), box)

    def _add_chunk(
        self, place: int, edges: Sequence[int], source: Slices, corner: Sequence[int]
    ) -> None:
        """Boxes for a part of a chunk ``c, z, y, x``, one per channel."""
        number, channel, *at = corner
        channels, *box = source
        for step, inner in enumerate(range(channels.start, channels.stop)):
            first = offset_of((inner, *(s.start for s in box)), (0, *edges))
            origin = place if place == ZEROS else place + first
            pitches = edges[1] * edges[2], edges[2]
            self._add_box(origin, pitches, (number, channel + step, *at), box)

    def _add_box(
        self, source: int, pitches: tuple[int, int], corner: Sequence[int], box: Sequence[slice]
    ) -> None:
        lengths = (s.stop - s.start for s in box)
        self.boxes.append((source, offset_of(corner, self.shape), *pitches, *lengths, 0))


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """One label map of a batch to be, whose cases may have stored it in several dtypes.

    Attributes:
        dtype: What it is to be.
        parts: A tensor for each dtype, and which samples of the batch are in it.
    """

    dtype: np.dtype[Any]
    parts: tuple[tuple[Tensor, tuple[int, ...]], ...]

    def join(self, arrays: Sequence[Any], driver: Driver) -> Any:
        """The batch ``b, z, y, x`` from one array ``n, 1, z, y, x`` for each part; raises UsageError where a
        value does not fit the dtype."""
        (first, numbers), *more = self.parts
        if not more and first.dtype == self.dtype:
            return arrays[0][:, 0]
        engine = driver.engine
        count = len(numbers) + sum(len(others) for _, others in more)
        whole = engine.xp.empty((count, *first.shape[2:]), self.dtype)
        misfits = engine.xp.zeros(len(self.parts), np.uint64)
        for k, ((_, own), array) in enumerate(zip(self.parts, arrays, strict=True)):
            for place, number in enumerate(own):
                convert_device(engine, array[place], whole[number], misfits[k : k + 1])
        self._refuse_misfits(misfits, driver)
        self._refill(whole, driver)
        return whole

    def _refuse_misfits(self, misfits: Any, driver: Driver) -> None:
        dtypes = [tensor.dtype for tensor, _ in self.parts]
        if all(np.can_cast(dtype, self.dtype) for dtype in dtypes):
            return
        for dtype, misfit in zip(dtypes, driver.engine.to_host(misfits), strict=True):
            if misfit:
                raise UsageError(
                    f"label values of {dtype} do not fit {self.dtype}, which manifest.jsonl lets expect",
                    advice="make that anew with gpuprep index",
                )

    def _refill(self, whole: Any, driver: Driver) -> None:
        """Lay padding that a part's own dtype could not hold."""
        rows: Boxes = []
        padding = np.zeros(1, self.dtype)
        for tensor, own in self.parts:
            for place, box, value in tensor.refilled:
                padding[0] = value  # the same for all
                corner = offset_of((own[place], *(s.start for s in box)), whole.shape)
                rows.append((PADDING, corner, 0, 0, *(s.stop - s.start for s in box), 0))
        if rows:
            table = driver.engine.xp.asarray(np.array(rows, np.int64))
            scatter_device(driver.engine, whole.view(np.uint8), table, whole, padding)


@dataclass(frozen=True, slots=True, eq=False)
class Gathered:
    """A batch before it is decoded.

    Attributes:
        places: Cases and first voxels of its samples.
        image: None for cases of labels only.
        labels: By name.
        chunks: What they are made of.
    """

    places: tuple[tuple[StoredCase, Position], ...]
    image: Tensor | None
    labels: dict[str, Labels]
    chunks: Chunks

    @property
    def tensors(self) -> list[Tensor]:
        """The image's, and those of all parts of the label maps, in order."""
        parts = (tensor for labels in self.labels.values() for tensor, _ in labels.parts)
        return [*([] if self.image is None else [self.image]), *parts]


def gather(dataset: PatchDataset, keys: Sequence[Key]) -> Gathered:
    """Find the chunks of the samples ``keys``; what can go wrong is in ``Tensor.add``."""
    places = tuple(map(dataset.place, keys))
    chunks, patch = Chunks(), dataset.pool.patch

    def tensor(
        arrays: Sequence[StoredArray],
        numbers: Sequence[int],
        padding: float,
        wanted: np.dtype[Any] | None = None,
    ) -> Tensor:
        made = Tensor(arrays[numbers[0]], len(numbers), patch, wanted)
        for place, number in enumerate(numbers):
            made.add(place, arrays[number], places[number][1], padding, chunks)
        return made

    def label(name: str, wanted: np.dtype[Any]) -> Labels:
        arrays = [find_label(case, name) for case, _ in places]
        alike: dict[np.dtype[Any], list[int]] = {}
        for number, array in enumerate(arrays):
            alike.setdefault(array.dtype, []).append(number)
        padding = dataset.label_padding
        parts = (
            (tensor(arrays, numbers, padding, wanted), tuple(numbers)) for numbers in alike.values()
        )
        return Labels(wanted, tuple(parts))

    images = [case.image for case, _ in places if case.image is not None]
    labels = {name: label(name, wanted) for name, wanted in dataset.dtypes.items()}
    image = tensor(images, range(len(images)), dataset.image_padding) if images else None
    return Gathered(places, image, labels, chunks)


def check_codec(array: StoredArray) -> None:
    """Raises BackendError unless chunks are plain zstd, which alone a device decodes."""
    if array.codec != "zstd":
        raise BackendError(
            f"{array!r}: its chunks are {array.codec or 'not compressed'}, and a device decodes "
            "plain zstd alone",
            advice="write the cohort with 'store: {codec: gpu}', or decode with the CPU",
        )


def surroundings(box: Slices, shape: Sequence[int]) -> Iterator[Slices]:
    """Boxes that fill an array of ``shape`` up around ``box``, at most two an axis."""
    for axis, (part, n) in enumerate(zip(box, shape, strict=True)):
        for ends in (slice(0, part.start), slice(part.stop, n)):
            if ends.start < ends.stop:
                yield (*box[:axis], ends, *(slice(0, m) for m in shape[axis + 1 :]))


def offset_of(corner: Sequence[int], shape: Sequence[int]) -> int:
    """The place of a voxel in a C-ordered array; the first length does not matter."""
    offset = 0
    for at, n in zip(corner, shape, strict=True):
        offset = offset * n + at
    return offset


def _cut_box(
    array: StoredArray, low: Sequence[int], high: Sequence[int]
) -> Iterator[tuple[tuple[int, ...], Slices, Slices]]:
    """A box, with all channels, in chunks: (chunk, part of it, part of the box), parts ``c, z, y, x``."""
    lead = array.shape[:-3]
    ends = zip((*(0 for _ in lead), *low), (*lead, *high), array.chunks, strict=True)
    single = (slice(0, 1),) * (4 - array.ndim)
    for pieces in product(*(cut_range(*each) for each in ends)):
        chunk, source, target = zip(*pieces, strict=True)
        yield chunk, (*single, *source), (*single, *target)
