"""From stored numbers to voxels: how a file holds them, the rescale line, the dtypes that are kept."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from gpuprep.io.integrity import ByteSource
from gpuprep.io.rules import Reading
from gpuprep.io.scan import FileIdentity, Preview, Voxels
from gpuprep.values.geometry import Geometry, Shape

KEPT = tuple(np.dtype(code) for code in ("u1", "i1", "u2", "i2", "u4", "i4", "f4"))
"""Dtypes that voxels keep as they are stored; wider ones are narrowed where that is exact."""
_EXACT_IN_FLOAT32 = 2**24


@dataclass(frozen=True, kw_only=True)
class StoredVoxels:
    """How a file holds the voxels of a volume or of several, as its header says.

    Attributes:
        shape: Of one volume, ``z, y, x``.
        layout: The stored array's shape, slowest axis first.
        channel_axis: The one of its axes that is no axis of the volume, if there is one.
        stored: The dtype in the file's byte order.
        offset: Where the voxels begin, in bytes.
        line: Slope and intercept: voxels are ``stored * slope + intercept``.
        flat: The file has two axes; the volume is one slice.
        first: Which of several volumes comes first, where not all are read.
    """

    shape: Shape
    layout: tuple[int, ...]
    channel_axis: int | None
    stored: np.dtype[Any]
    offset: int
    line: tuple[float, float] = (1.0, 0.0)
    flat: bool = False
    first: int = 0

    @property
    def channels(self) -> int:
        return 1 if self.channel_axis is None else self.layout[self.channel_axis]

    @property
    def native(self) -> np.dtype[Any]:
        """The stored dtype in the byte order of this machine."""
        return self.stored.newbyteorder("=")

    @property
    def stored_bytes(self) -> int:
        return math.prod(self.layout) * self.stored.itemsize

    def only(self, number: int) -> Self:
        """One of the volumes alone, where they lie one after the other."""
        assert self.channel_axis == 0
        size = self.stored_bytes // self.layout[0]
        offset = self.offset + number * size
        return replace(self, layout=(1, *self.layout[1:]), offset=offset, first=self.first + number)

    @property
    def facts(self) -> dict[str, Any]:
        """What the header of a ``Scan`` says of it."""
        order = "little" if self.stored.str[0] in "<|" else "big"
        return {"stored_dtype": str(self.native), "byte_order": order}

    def preview(self, geometry: Geometry, file_bytes: int, reading: Reading) -> Preview:
        """What these voxels will be once they are read, on the grid that the header gives."""
        dtype = _likely_dtype(self.native, *self.line)
        decoded = geometry.voxels * self.channels * dtype.itemsize
        items = tuple(reading.findings.items)
        return Preview(geometry, self.channels, str(dtype), decoded, file_bytes, items)

    def read(self, source: ByteSource, reading: Reading) -> tuple[Voxels, FileIdentity]:
        """The voxels ``c, z, y, x``, which ``source`` stands before, and the identity of their file.

        Stored numbers that can stay as they are go straight into the array that the caller gets.
        """
        shape, native = (self.channels, *self.shape), self.native
        scaled = self.line != (1.0, 0.0)
        direct = native in KEPT and not scaled and self.channel_axis in (None, 0)
        stored = reading.allocate(shape, native) if direct else np.empty(self.layout, native)
        source.fill(stored)
        identity = source.finish(reading.rules)
        if not self.stored.isnative:
            stored.byteswap(inplace=True)
        if direct:
            return stored, identity
        stored = np.moveaxis(stored, self.channel_axis or 0, 0).reshape(shape)
        if scaled:
            return _rescaled(stored, *self.line, reading), identity
        return settled(stored, reading), identity


def settled(stored: Voxels, reading: Reading) -> Voxels:
    """A copy in one of the ``KEPT`` dtypes: 64-bit integers become 32-bit where they fit.

    So do float64 whole numbers beyond 2²⁴. Everything else becomes float32; W_PRECISION tells when whole
    numbers above 2²⁴ are rounded by it.
    """
    dtype = stored.dtype
    if dtype not in KEPT:
        dtype = np.dtype("f4")
        if (stored.dtype.kind in "iu" and stored.size) or _are_large_wholes(stored):
            dtype = fitting(int(stored.min()), int(stored.max()), "i4", "u4")
        if dtype.kind == "f" and (top := _magnitude(stored)) > _EXACT_IN_FLOAT32:
            told = f"{stored.dtype} voxels up to {top:.6g} become float32"
            text = f"{told}, exact only up to {_EXACT_IN_FLOAT32:,}"
            reading.report("W_PRECISION", text, largest=top)
    voxels = reading.allocate(stored.shape, dtype)
    with np.errstate(over="ignore"):
        np.copyto(voxels, stored, casting="unsafe")
    return voxels


def _rescaled(stored: Voxels, slope: float, intercept: float, reading: Reading) -> Voxels:
    """``stored * slope + intercept``, computed in float64 and rounded once.

    The result is int16 or int32 if the line maps integers to integers that fit, else float32.
    """
    dtype = np.dtype("f4")
    if stored.dtype.kind in "iu" and slope.is_integer() and intercept.is_integer():
        ends = [int(end) * int(slope) + int(intercept) for end in (stored.min(), stored.max())]
        dtype = fitting(min(ends), max(ends), "i2", "i4")
    voxels = reading.allocate(stored.shape, dtype)
    planes = stored.reshape(-1, *stored.shape[-2:])
    for target, plane in zip(voxels.reshape(planes.shape), planes, strict=True):
        np.copyto(target, plane.astype(np.float64) * slope + intercept, casting="unsafe")
    return voxels


def report_not_finite(voxels: Voxels, reading: Reading) -> None:
    """W_NAN if any voxel is NaN or infinite; the voxels are left as they are."""
    if voxels.dtype.kind != "f":
        return
    nan = infinite = 0
    for plane in voxels.reshape(-1, *voxels.shape[-2:]):
        if not np.isfinite(plane).all():
            nan += int(np.isnan(plane).sum())
            infinite += int(np.isinf(plane).sum())
    if nan or infinite:
        text = f"{nan:,} voxels are NaN and {infinite:,} infinite, of {voxels.size:,}"
        reading.report("W_NAN", text, nan=nan, infinite=infinite)


def _likely_dtype(stored: np.dtype[Any], slope: float, intercept: float) -> np.dtype[Any]:
    """The dtype that voxels will have, as far as headers alone can tell."""
    if (slope, intercept) == (1.0, 0.0):
        return stored if stored in KEPT else np.dtype("i4" if stored.kind in "iu" else "f4")
    if stored.kind == "f" or not (float(slope).is_integer() and float(intercept).is_integer()):
        return np.dtype("f4")
    return np.dtype("i2" if stored.itemsize <= 2 else "i4")


def fitting(low: int, high: int, *codes: str) -> np.dtype[Any]:
    """The first of these integer dtypes that holds ``low`` and ``high``; float32 if none does."""
    for code in codes:
        if np.iinfo(code).min <= low and high <= np.iinfo(code).max:
            return np.dtype(code)
    return np.dtype("f4")


def _are_large_wholes(stored: Voxels) -> bool:
    """Whether all are whole numbers, some of them beyond what float32 tells apart."""
    if not stored.size or _magnitude(stored) <= _EXACT_IN_FLOAT32:
        return False
    return all(bool((np.isfinite(plane) & (plane == np.rint(plane))).all()) for plane in stored)


def _magnitude(stored: Voxels) -> float:
    """The largest finite absolute value."""
    finite = np.isfinite(stored)
    return max(
        float(stored.max(initial=0, where=finite)), -float(stored.min(initial=0, where=finite))
    )
