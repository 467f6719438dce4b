"""N4 bias-field correction, in NumPy: the smooth factor by which a coil brightens parts of an MR image.

The algorithm is that of ITK's N4BiasFieldCorrectionImageFilter: the histogram of the logarithm is sharpened
by Wiener deconvolution, and a B-spline is fitted to what separates each voxel from its sharpened value, again
and again, on lattices twice as fine from level to level. On a grid of voxels the weights of such a fit are
products of weights along the axes, so that it is three small matrix products where ITK adds up 64 terms a
voxel. Nothing has to be shrunken for speed, and the result is ITK's at full resolution after as many
iterations. Their number may differ: ITK sums the change of the field voxel by voxel in float32, where its
mean soon stands still; here it is float64.

N. J. Tustison et al., "N4ITK: improved N3 bias correction", IEEE TMI 29 (2010), 1310-1320; the fit is that of
S. Lee, G. Wolberg, S. Y. Shin, "Scattered data interpolation with multilevel B-splines", IEEE TVCG 3 (1997),
228-244.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuprep.ops.running import deviation_as_itk
from gpuprep.values.geometry import Shape

Lattice = NDArray[np.float64]
_BLOCK = 1 << 15
"""Logarithms in hand at one time."""


@dataclass(frozen=True, slots=True)
class BiasRule:
    """How N4 is done; the defaults are ITK's."""

    shrink: Shape = (1, 1, 1)
    """Every how many voxels are looked at along ``z, y, x``."""
    iterations: tuple[int, ...] = (50, 50, 50, 50)
    """At most, on each level."""
    threshold: float = 0.001
    """A level ends where the field changes by less: the deviation of its change over the mean."""
    bins: int = 200
    width: float = 0.15
    """Full width at half maximum of the blur that is taken out of the histogram."""
    noise: float = 0.01


@dataclass(frozen=True, slots=True)
class BiasField:
    """A bias field as the numbers of one cubic B-spline over the whole volume, of its logarithm."""

    lattice: Lattice
    shape: Shape
    iterations: tuple[int, ...]
    """That were done on each level."""

    def factor(self) -> NDArray[np.float32]:
        """What each voxel is to be divided by."""
        weights = [
            _weights(np.arange(length), length, count - 3)
            for length, count in zip(self.shape, self.lattice.shape, strict=True)
        ]
        field = _along(self.lattice.astype(np.float32), [w.astype(np.float32) for w in weights])
        return np.exp(field, out=field)


def find_bias(
    volume: NDArray[Any],
    mask: NDArray[Any],
    rule: BiasRule | None = None,
    go_on: Callable[[], None] = lambda: None,
) -> BiasField:
    """The bias field of a volume from its positive finite voxels inside a mask.

    Args:
        volume: ``z, y, x``, any real dtype.
        mask: of the same shape; what is not 0 is looked at.
        rule: ITK's defaults, where it is left out.
        go_on: called before every iteration; what it raises ends the work.

    Raises:
        ValueError: nothing to look at, or all of one value.
    """
    rule = rule or BiasRule()
    places = [
        np.arange(0, length, step) for length, step in zip(volume.shape, rule.shrink, strict=True)
    ]
    seen = tuple(slice(None, None, step) for step in rule.shrink)
    inside = mask[seen] != 0
    inside &= volume[seen] > 0
    inside &= volume[seen] < np.inf
    flat = volume[seen][inside].astype(np.float64)  # logarithms less the field that is found so far
    np.log(flat, out=flat)
    if not flat.size or flat.min() == flat.max():
        raise ValueError("no two positive values inside the mask")
    residual, step = np.empty((2, flat.size), np.float32)
    lattice: Lattice = np.zeros((4, 4, 4))
    done = []
    for level, most in enumerate(rule.iterations):
        if level:
            lattice = _refined(lattice)
        fit = _Fit(inside, places, volume.shape, 1 << level)
        count, change = 0, math.inf
        while count < most and change > rule.threshold:
            go_on()
            added = fit.lattice_of(_blur(flat, rule, residual))
            fit.at(added, step)
            lattice = lattice + added
            flat -= step
            change = deviation_as_itk(np.exp(np.negative(step, out=step), out=step))
            count += 1
        done.append(count)
    return BiasField(lattice, volume.shape, tuple(done))


class _Fit:
    """The fit of a lattice to values at the voxels inside, and the values of a lattice there."""

    def __init__(
        self, inside: NDArray[np.bool_], places: list[NDArray[Any]], shape: Shape, spans: int
    ) -> None:
        self._inside = inside
        self._weights = [
            _weights(at, length, spans) for at, length in zip(places, shape, strict=True)
        ]
        squares = [w**2 for w in self._weights]
        shares = [
            w**3 / s.sum(axis=1, keepdims=True) for w, s in zip(self._weights, squares, strict=True)
        ]
        self._shares = [np.ascontiguousarray(w.T.astype(np.float32)) for w in shares]
        self._below = _along(inside, [w.T for w in squares])
        self._fine = [w.astype(np.float32) for w in self._weights]
        counts = np.count_nonzero(inside, axis=(1, 2))
        self._starts = np.append(0, np.cumsum(counts))

    def lattice_of(self, values: NDArray[np.float32]) -> Lattice:
        above = _along(self._planes(values), self._shares)
        return np.divide(above, self._below, out=np.zeros_like(self._below), where=self._below > 0)

    def at(self, lattice: Lattice, out: NDArray[np.float32]) -> None:
        first, second, third = self._fine
        turned = second @ (lattice.astype(np.float32) @ third.T)
        turned = turned.reshape(turned.shape[0], -1)
        for k, inside in enumerate(self._inside):
            np.compress(
                inside.ravel(), first[k] @ turned, out=out[self._starts[k] : self._starts[k + 1]]
            )

    def _planes(self, values: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
        """The values where they belong in each plane, with 0 outside."""
        for k, inside in enumerate(self._inside):
            plane = np.zeros(inside.shape, np.float32)
            plane[inside] = values[self._starts[k] : self._starts[k + 1]]
            yield plane


def _along(planes: Iterable[NDArray[Any]], matrices: list[NDArray[Any]]) -> NDArray[Any]:
    """A matrix product along each axis of a volume, each of which may change its length; in their dtype."""
    first, second, third = matrices
    each = [second @ (plane.astype(third.dtype, copy=False) @ third.T) for plane in planes]
    turned = np.stack(each)
    return (first @ turned.reshape(len(each), -1)).reshape(-1, *turned.shape[1:])


def _weights(at: NDArray[Any], length: int, spans: int) -> NDArray[np.float64]:
    """The weights of ``spans + 3`` control points of a uniform cubic B-spline over ``length`` voxels."""
    place = np.clip(at * (spans / max(length - 1, 1)), 0, spans * (1 - 1e-12))
    first = np.floor(place).astype(np.intp)
    t = place - first
    rows = np.arange(at.size)
    weights = np.zeros((at.size, spans + 3))
    weights[rows, first] = (1 - t) ** 3 / 6
    weights[rows, first + 1] = (3 * t**3 - 6 * t**2 + 4) / 6
    weights[rows, first + 2] = (-3 * t**3 + 3 * t**2 + 3 * t + 1) / 6
    weights[rows, first + 3] = t**3 / 6
    return weights


def _refined(lattice: Lattice) -> Lattice:
    """The same spline on spans half as long."""
    matrices = []
    for count in lattice.shape:
        finer = np.zeros((2 * (count - 3) + 3, count))
        for row in range(finer.shape[0]):
            k = (row + 1) // 2
            if row % 2:
                finer[row, k - 1 : k + 2] = 0.125, 0.75, 0.125
            else:
                finer[row, k : k + 2] = 0.5, 0.5
        matrices.append(finer)
    return _along(lattice, matrices)


def _blur(
    logs: NDArray[np.float64], rule: BiasRule, out: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Each logarithm less what it is expected to be once the blur of its histogram is taken out.

    Done by blocks, so that what lies between is no further copy of the volume.
    """
    low, high = float(logs.min()), float(logs.max())
    slope = (high - low) / (rule.bins - 1)
    starts = range(0, logs.size, _BLOCK)
    counted, upper = np.zeros((2, rule.bins))
    for start in starts:
        lower, share = _places(logs[start : start + _BLOCK], low, slope, rule.bins)
        counted += np.bincount(lower, minlength=rule.bins)
        upper += np.bincount(lower, share, minlength=rule.bins)
    counted -= upper
    counted[1:] += upper[:-1]
    expected = _expected(counted, low, slope, rule)
    steps = np.append(np.diff(expected), 0.0)
    for start in starts:
        block = logs[start : start + _BLOCK]
        lower, share = _places(block, low, slope, rule.bins)
        share *= steps.take(lower)
        share += expected.take(lower)
        np.subtract(block, share, out=out[start : start + _BLOCK], casting="same_kind")
    return out


def _places(
    logs: NDArray[np.float64], low: float, slope: float, bins: int
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """The bin below each logarithm, and its share of the way to the next."""
    place = logs - low
    place *= 1 / slope
    lower = place.astype(np.intp)
    np.minimum(lower, bins - 2, out=lower)
    place -= lower
    return lower, place


def _expected(
    counted: NDArray[np.float64], low: float, slope: float, rule: BiasRule
) -> NDArray[np.float64]:
    """The mean true value at the middle of every bin, the true histogram being deconvolved."""
    bins = counted.size
    size = 1 << (math.ceil(math.log2(bins)) + 1)
    first = (size - bins) // 2
    padded = np.zeros(size)
    padded[first : first + bins] = counted
    width = rule.width / slope
    away = np.minimum(np.arange(size), size - np.arange(size))
    blur = (
        2
        * math.sqrt(math.log(2) / math.pi)
        / width
        * np.exp(-4 * math.log(2) * (away / width) ** 2)
    )
    there = np.fft.fft(blur)
    wiener = np.conj(there) / (np.abs(there) ** 2 + rule.noise)
    true = np.maximum(np.fft.ifft(np.fft.fft(padded) * wiener.real).real, 0)
    values = low + (np.arange(size) - first) * slope
    above = np.fft.ifft(np.fft.fft(values * true) * there).real
    below = np.fft.ifft(np.fft.fft(true) * there).real
    means = np.divide(above, below, out=np.zeros(size), where=below != 0)
    return means[first : first + bins]
