"""Steps that a slice goes through one after the other, each into a buffer that is used again."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from gpuprep.ops.axis import AxisWeights, product
from gpuprep.ops.curve import Pointwise
from gpuprep.ops.pointwise import IDENTITY
from gpuprep.ops.windows import Columns

Array = NDArray[Any]


@dataclass(frozen=True)
class Form:
    """What a slice looks like between two steps."""

    shape: tuple[int, int]
    dtype: np.dtype[Any]


class Step(Protocol):
    """One thing done to a slice."""

    @property
    def in_place(self) -> bool:
        """Whether the result may be written over the slice."""

    def form(self, given: Form) -> Form:
        """Of the result, for a slice of the given form."""

    def __call__(self, plane: Array, out: Array) -> None:
        """Write the result."""


class Chain:
    """Steps and the buffers between them; the last writes where the caller wants it. For one thread."""

    def __init__(self, steps: Iterable[Step], given: Form) -> None:
        *inner, self._last = steps
        self._inner: list[tuple[Step, Array]] = []
        buffer: Array | None = None
        for step in inner:
            given = step.form(given)
            if buffer is None or not step.in_place:
                buffer = np.empty(given.shape, given.dtype)
            self._inner.append((step, buffer))
        self.form = self._last.form(given)

    def __call__(self, plane: Array, out: Array) -> None:
        for step, buffer in self._inner:
            step(plane, buffer)
            plane = buffer
        self._last(plane, out)


def loading(source: np.dtype[Any], before: Pointwise) -> list[Step]:
    """From stored voxels to float32: clipped and moved as integers where that is exact."""
    whole = before.in_integers(source)
    return [_Limit(*whole), _Load(IDENTITY)] if whole else [_Load(before)]


def mixing_rows(axis: AxisWeights) -> list[Step]:
    """Along the first axis of a slice, at most two taps; a leading step only picks rows."""
    if axis.identity:
        return []
    if axis.indices is not None:
        return [PickRows(axis.indices)]
    pairs = axis.start[:, None].astype(np.intp) + np.arange(2)
    return [PickRows(pairs.ravel()), _Pairs(axis)]


def mixing_columns(axis: AxisWeights) -> list[Step]:
    """Along the second axis of a slice."""
    return [] if axis.identity else [_Columns(axis)]


class _Limit:
    """Clip and move integers without leaving their dtype."""

    in_place = True

    def __init__(self, low: Any, high: Any, offset: Any) -> None:
        self._low, self._high, self._offset = low, high, offset

    def form(self, given: Form) -> Form:
        return given

    def __call__(self, plane: Array, out: Array) -> None:
        np.clip(plane, self._low, self._high, out=out)
        if self._offset:
            out += self._offset


class _Load:
    """A pointwise step from stored voxels to float32."""

    in_place = False

    def __init__(self, before: Pointwise) -> None:
        self._before = before

    def form(self, given: Form) -> Form:
        return Form(given.shape, np.dtype(np.float32))

    def __call__(self, plane: Array, out: Array) -> None:
        self._before.apply(plane, out=out)


class PickRows:
    """Whole rows, by index."""

    in_place = False

    def __init__(self, indices: NDArray[np.intp]) -> None:
        self._indices = indices

    def form(self, given: Form) -> Form:
        return Form((len(self._indices), given.shape[1]), given.dtype)

    def __call__(self, plane: Array, out: Array) -> None:
        plane.take(self._indices, 0, out=out, mode="clip")  # 'clip' writes straight to out


class _Pairs:
    """Rows two by two, each pair mixed into one.

    Two pairs at a time, each with weight zero for the other: for a single row of weights BLAS takes
    memory under a lock, and threads would wait for each other.
    """

    in_place = False

    def __init__(self, axis: AxisWeights) -> None:
        self._length, even = axis.m, axis.m // 2 * 2
        self._twos = np.zeros((even // 2, 2, 4), np.float32)
        self._twos[:, 0, :2] = axis.weights[0:even:2]
        self._twos[:, 1, 2:] = axis.weights[1:even:2]
        self._odd = axis.weights[even:].astype(np.float32)

    def form(self, given: Form) -> Form:
        return Form((self._length, given.shape[1]), given.dtype)

    def __call__(self, plane: Array, out: Array) -> None:
        even, columns = 2 * len(self._twos), plane.shape[1]
        fours = plane[: 2 * even].reshape(-1, 4, columns)
        product(self._twos, fours, out=out[:even].reshape(-1, 2, columns))
        if len(self._odd):
            product(self._odd, plane[2 * even :], out=out[even:])


class _Columns:
    """Columns mixed by dense blocks."""

    in_place = False

    def __init__(self, axis: AxisWeights) -> None:
        self._length, self._columns = axis.m, Columns(axis)

    def form(self, given: Form) -> Form:
        return Form((given.shape[0], self._length), given.dtype)

    def __call__(self, plane: Array, out: Array) -> None:
        self._columns(plane, out)
