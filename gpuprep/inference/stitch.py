"""Predictions of patches back to one array: weighted means, in the memory of a few slabs.

A *slab* is a run of planes along z. It is finished once every patch that touches it has come, then handed
on and forgotten: in the order of the grid, no more slabs are in memory than one patch touches, and one.
Any order gives the same array, to the rounding of float32 sums.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from gpuprep.inference.patches import GridPatches
from gpuprep.store.array import StoredArray
from gpuprep.store.slabs import SlabWriter
from gpuprep.values.errors import UsageError
from gpuprep.values.geometry import Geometry

Result = Literal["mean", "argmax"]
"""``mean``: the predictions' weighted mean; ``argmax``: the channel where that is largest, as a label."""
Predictions = Iterable[tuple[int, NDArray[Any]]]

_EXACT_IN_FLOAT32 = 1 << 24
_SLAB = 32  # planes; one chunk of what is stored


class Slab(NamedTuple):
    """Planes of the result from ``start`` on: ``z, y, x`` or ``c, z, y, x``."""

    start: int
    voxels: NDArray[Any]


def stitch(
    patches: GridPatches,
    predictions: Predictions,
    *,
    result: Result = "mean",
    dtype: DTypeLike = np.float32,
) -> NDArray[Any]:
    """The predictions of all patches as one array, ``z, y, x`` or ``c, z, y, x``.

    >>> patches = GridPatches(np.ones((20, 20, 20), np.float32), (16, 16, 16))
    >>> float(stitch(patches, ((patch.number, patch.voxels) for patch in patches)).mean())
    1.0

    Args:
        patches: the grid that the patches came from.
        predictions: per patch its number and what was predicted, with the patch's ``z, y, x`` last and at
            most one axis of channels before; every patch once, in any order.
        result: what to make of them.
        dtype: of means, integers or floating numbers; labels are uint8, or uint16 from 257 channels on.

    Raises:
        UsageError: a prediction is of another shape, is not finite, comes twice or is missing; or means
            are beyond ``dtype``.

    Example::

        patches = GridPatches(case.image, (96, 96, 96))
        labels = stitch(patches, ((p.number, model(p.voxels)) for p in patches), result="argmax")
    """
    whole: NDArray[Any] | None = None
    for slab in _finished(patches, predictions, result, dtype):
        if whole is None:
            whole = np.empty((*slab.voxels.shape[:-3], *patches.shape), slab.voxels.dtype)
        whole[..., slab.start : slab.start + slab.voxels.shape[-3], :, :] = slab.voxels
    assert whole is not None  # an array has a slab, and every slab is finished
    return whole


def stitch_into(
    folder: str | Path,
    patches: GridPatches,
    predictions: Predictions,
    *,
    result: Result = "mean",
    dtype: DTypeLike = np.float16,
    geometry: Geometry | None = None,
    codec: str = "balanced",
) -> StoredArray:
    """Like ``stitch``, written slab by slab as a Zarr array that appears at ``folder`` when it is whole.

    >>> patches = GridPatches(np.ones((20, 20, 20), np.float32), (16, 16, 16))
    >>> pairs = ((patch.number, patch.voxels) for patch in patches)
    >>> stitch_into("stitched", patches, pairs).shape
    (20, 20, 20)

    Args:
        folder: the array's folder, which must not exist yet.
        dtype: of means; float16 keeps probabilities to 0.0005.
        geometry: the grid of the case, kept with the array, so that it is never put on another case.
        codec: one of ``store.codecs.PRESETS``.

    Raises:
        UsageError: as for ``stitch``, or the folder is there already.
        StoreError: the disk refuses.
        RunStopped: the disk is full.
    """
    attributes = {} if geometry is None else {"gpuprep": {"geometry": geometry.to_json()}}
    folder = Path(folder).absolute()
    depth = patches.shape[0]
    with SlabWriter(folder, depth=depth, edge=_SLAB, codec=codec, attributes=attributes) as writer:
        for slab in _finished(patches, predictions, result, dtype):
            writer.write(slab.start, slab.voxels)
    return StoredArray(folder.parent, folder.name)


def _finished(
    patches: GridPatches, predictions: Predictions, result: Result, dtype: DTypeLike
) -> Iterator[Slab]:
    sums = _SlabSums(patches)
    for index, prediction in predictions:
        if result == "mean" and np.dtype(dtype).kind in "iu":
            _check_whole(index, np.asarray(prediction))
        for start, mean in sums.add(index, np.asarray(prediction)):
            likely = result == "argmax"
            yield Slab(start, _most_likely(mean) if likely else _cast(mean, np.dtype(dtype)))
    if not sums.seen.all():
        missing = np.flatnonzero(~sums.seen)
        raise UsageError(
            f"{len(missing)} of {len(patches)} patches have no prediction, the first is {missing[0]}",
            advice="give the prediction of every patch once",
        )


def _check_whole(index: int, prediction: NDArray[Any]) -> None:
    """Refuse whole numbers, such as label values, that sums in float32 would change."""
    if prediction.dtype.kind not in "iu" or prediction.itemsize <= 2 or not prediction.size:
        return
    low, high = int(prediction.min()), int(prediction.max())
    if max(high, -low) > _EXACT_IN_FLOAT32:
        raise UsageError(
            f"the prediction of patch {index} has whole numbers {low}..{high}, and means are exact up "
            f"to {_EXACT_IN_FLOAT32:,}",
            advice="predict a channel for each label and stitch with result='argmax'",
        )


def _most_likely(mean: NDArray[np.float32]) -> NDArray[Any]:
    if mean.ndim != 4:
        raise UsageError(
            "labels are chosen among channels, and the predictions have none",
            advice="predict c, z, y, x, or stitch with result='mean' and apply a threshold",
        )
    return mean.argmax(0).astype(np.uint8 if len(mean) <= 256 else np.uint16)


def _cast(mean: NDArray[np.float32], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Means in another dtype, rounded to whole numbers where it holds no others; UsageError beyond it."""
    if dtype.kind not in "iuf":
        return mean.astype(dtype)
    whole = dtype.kind in "iu"
    limits = np.iinfo(dtype) if whole else np.finfo(dtype)
    least, most = float(limits.min), float(limits.max)
    rounded = np.rint(mean) if whole else mean
    low, high = float(rounded.min()), float(rounded.max())
    with np.errstate(over="ignore", invalid="ignore"):
        cast = rounded.astype(dtype)
    inside = least <= low and high <= most
    if not (inside if whole else np.isfinite(cast).all()):
        raise UsageError(
            f"means of predictions reach {low:g}..{high:g}, but {dtype} ends at {least:g}..{most:g}",
            advice="stitch with dtype='float32'",
        )
    return cast


class _SlabSums:
    """Weighted sums of the slabs that some patches have touched and others still will."""

    def __init__(self, patches: GridPatches) -> None:
        self._patches = patches
        self._sums: dict[int, NDArray[np.float32]] = {}
        self._lead: tuple[int, ...] | None = None
        self.seen = np.zeros(len(patches), np.bool_)
        depth, per_layer = patches.axes[0], math.prod(patches.counts[1:])
        self._waiting = [0] * -(-depth.length // _SLAB)
        for start in depth.starts:
            for slab in _touched(depth.overlap(start)[0]):
                self._waiting[slab] += per_layer

    def add(
        self, index: int, prediction: NDArray[Any]
    ) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """Add one prediction; yields the slabs that need no other."""
        self._check(index, prediction)
        (planes, rows, columns), within = self._patches.boxes(index)
        share = self._share(index)[within]
        inside = prediction[(..., *within)]
        self._check_finite(index, inside)
        for slab in _touched(planes):
            low = max(planes.start, slab * _SLAB)
            high = min(planes.stop, (slab + 1) * _SLAB)
            part = slice(low - planes.start, high - planes.start)
            sums = self._sums_of(slab)[..., low - slab * _SLAB : high - slab * _SLAB, rows, columns]
            for channel in np.ndindex(sums.shape[:-3]):  # one at a time: small temporaries
                sums[channel] += inside[(*channel, part)] * share[part]
            self._waiting[slab] -= 1
            if self._waiting[slab] == 0:
                yield slab * _SLAB, self._sums.pop(slab)

    def _check(self, index: int, prediction: NDArray[Any]) -> None:
        expected = self._patches.patch
        lead = prediction.shape[:-3]
        self._lead = lead if self._lead is None else self._lead
        if prediction.shape[-3:] != expected or len(lead) > 1 or lead != self._lead:
            before = f"{self._lead[0]} channels and " if self._lead else ""
            raise UsageError(
                f"the prediction of patch {index} has shape {prediction.shape}, "
                f"{before}a patch of {expected} is expected"
            )
        if not 0 <= index < len(self.seen) or self.seen[index]:
            told = "came twice" if 0 <= index < len(self.seen) else f"is not among {len(self.seen)}"
            raise UsageError(f"the prediction of patch {index} {told}")
        self.seen[index] = True

    def _check_finite(self, index: int, inside: NDArray[Any]) -> None:
        """Refuse a prediction with NaN or infinities (in float32) where it lies on the array."""
        if inside.dtype.kind != "f":
            return
        with np.errstate(over="ignore"):
            values = inside.astype(np.float32) if inside.itemsize > 4 else inside
        wrong = values.size - np.count_nonzero(np.isfinite(values))
        if wrong:
            nan = np.count_nonzero(np.isnan(values))
            array = self._patches.array
            whose = f"case {array.case_id}, " if isinstance(array, StoredArray) else ""
            raise UsageError(
                f"the prediction of patch {index} ({whose}from voxel {self._patches.start(index)} on) is not "
                f"finite in {wrong:,} of {values.size:,} values: {nan:,} NaN, {wrong - nan:,} infinite",
                advice="look for an overflow in the model, as half precision has beyond 65504",
            )

    def _share(self, index: int) -> NDArray[np.float32]:
        """What patch ``index`` contributes to each of its voxels."""
        place = zip(self._patches.axes, self._patches.place(index), strict=True)
        z, y, x = (axis.shares[k] for axis, k in place)
        return (z[:, None, None] * (y[:, None] * x)).astype(np.float32)

    def _sums_of(self, slab: int) -> NDArray[np.float32]:
        if slab not in self._sums:
            depth, height, width = self._patches.shape
            planes = min(_SLAB, depth - slab * _SLAB)
            self._sums[slab] = np.zeros((*(self._lead or ()), planes, height, width), np.float32)
        return self._sums[slab]


def _touched(planes: slice) -> range:
    """The slabs that a run of planes lies in."""
    return range(planes.start // _SLAB, -(-planes.stop // _SLAB))
