"""Linear resampling in float64, slab by slab, equal to SciPy's ``zoom(order=1, grid_mode=True)`` bit for bit.

Interpolated logits are rounded to float16, where many lie between two numbers or equal another class's. So
every product and sum here is the one that SciPy does, in its order: the eight corners with the last axis
fastest, each weighted along ``z``, then ``y``, then ``x``; of two weights the second is what the first leaves
of 1.

Source: ``scipy.ndimage`` ``NI_ZoomShift``, as nnU-Net v2 calls it by ``skimage.transform.resize``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gpuprep.values.geometry import Shape

Floats = NDArray[np.float64]


class Tap(NamedTuple):
    """Per output index an input index and its weight; no weights where all are 1."""

    indices: NDArray[np.intp]
    weights: Floats | None

    def of(self, array: NDArray[Any], axis: int) -> NDArray[Any]:
        """The weighted inputs of every output along an axis; a new array."""
        taken = array.take(self.indices, axis)
        if self.weights is not None:
            taken *= self.weights.reshape(tuple(-1 if k == axis else 1 for k in range(3)))
        return taken

    def part(self, outputs: slice) -> Tap:
        weights = None if self.weights is None else self.weights[outputs]
        return Tap(self.indices[outputs], weights)


@dataclass(frozen=True)
class Zoom:
    """From one shape to another, ``z, y, x``, edges aligned.

    Attributes:
        shape: Of the output.
        taps: Per axis one tap, or two that are added.
    """

    shape: Shape
    taps: tuple[Sequence[Tap], Sequence[Tap], Sequence[Tap]]

    @classmethod
    def between(cls, source: Shape, target: Shape, separate_axis: int | None = None) -> Zoom:
        """Linear along all axes, or within slices across ``separate_axis`` and the nearest along it.

        >>> Zoom.between((1, 1, 4), (1, 1, 2)).planes(np.arange(4.0).reshape(1, 1, 4), slice(0, 1)).tolist()
        [[[0.5, 2.5]]]
        """
        pairs = zip(source, target, strict=True)
        z, y, x = (
            _nearest(n, m) if axis == separate_axis else _linear(n, m)
            for axis, (n, m) in enumerate(pairs)
        )
        return cls(target, (z, y, x))

    def planes(self, array: NDArray[Any], outputs: slice) -> Floats:
        """Some output planes ``z`` of a volume of the source's shape."""
        z, y, x = self.taps
        total: Floats | None = None
        for slices in z:
            part = slices.part(outputs)
            used = array[part.indices.min() : part.indices.max() + 1].astype(np.float64)
            block = Tap(part.indices - part.indices.min(), part.weights).of(used, 0)
            for rows in y:
                narrow = rows.of(block, 1)
                for columns in x:
                    term = columns.of(narrow, 2)
                    total = term if total is None else np.add(total, term, out=total)
        assert total is not None
        return total


def _coordinates(n: int, m: int) -> Floats:
    """Where the centres of ``m`` outputs lie among ``n`` inputs."""
    places: Floats = (np.arange(m, dtype=np.float64) + 0.5) * (n / m) - 0.5
    return places


def _linear(n: int, m: int) -> list[Tap]:
    """Beyond the outermost voxel both taps are that one, and their weights still add up in two roundings."""
    if n == m:
        return [Tap(np.arange(n), None)]
    places = _coordinates(n, m)
    first = np.floor(places)
    near = 1 - (places - first)
    low = first.astype(np.intp)
    return [Tap(np.clip(k, 0, n - 1), share) for k, share in ((low, near), (low + 1, 1 - near))]


def _nearest(n: int, m: int) -> list[Tap]:
    places = np.floor(_coordinates(n, m) + 0.5).astype(np.intp)
    return [Tap(np.clip(places, 0, n - 1), None)]
