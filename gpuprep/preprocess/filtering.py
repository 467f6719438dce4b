"""``image.filters``: the voxels of a channel filtered after the crop, before they are measured.

A further filter is a model in ``config/filters.py``, a function on an array and its spacing, and a case of
``_filtered`` here; ``_RESULT`` says which keep the dtype they are given.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from gpuprep.config import filters as config
from gpuprep.ops.axis import axis_weights
from gpuprep.ops.median import median
from gpuprep.ops.parallel import open_threads
from gpuprep.ops.pointwise import IDENTITY
from gpuprep.ops.separable import apply_axes
from gpuprep.preprocess.contrast import Foreground, corrected, equalized
from gpuprep.preprocess.diffusion import curvature_diffusion
from gpuprep.values.geometry import Shape

Array = NDArray[Any]
Empty = Callable[[Shape, DTypeLike], Array]
"""Gives memory for an array of a shape and a dtype."""

KEEPS_DTYPE = (config.Median,)
"""Filters whose result has the dtype of what they are given; that of all others is float32."""

_WORKING_BYTES: dict[Any, int] = {config.N4: 26, config.CurvatureDiffusion: 8}
_LEAST_WORKING_BYTES = 6


def working_bytes(filters: Sequence[config.Filter]) -> int:
    """Bytes per input voxel that filtering holds at most, beside what a filter is given and gives."""
    each = (_WORKING_BYTES.get(type(entry.step), _LEAST_WORKING_BYTES) for entry in filters)
    return max(each, default=0)


def filter_voxels(
    array: Array,
    filters: Sequence[config.Filter],
    spacing: tuple[float, float, float],
    empty: Empty,
    threads: int,
    foreground: Foreground | None = None,
) -> tuple[Array, list[dict[str, Any]]]:
    """A new array, the filters one after another in the config's order, and what the record tells of them.

    NaN and ±Inf count as the smallest finite value (+Inf as the largest) while neighbours are computed, and
    are what they were in the result, so that no statistic counts them.

    Args:
        array: A channel, 3-D, of any strides.
        spacing: Of its axes z, y, x, in mm.
        empty: Where the results lie.
        threads: Results do not depend on them.
        foreground: Gives the mask that n4 looks within; everything where it is left out.
    """
    beyond = None
    if array.dtype.kind == "f":
        finite = np.isfinite(array)
        if not finite.any():
            return array, [_told(entry) for entry in filters]
        if not finite.all():
            beyond = ~finite, array[~finite]
            low, high = array[finite].min(), array[finite].max()
            array = np.nan_to_num(array, nan=low, posinf=high, neginf=low)
    told = []
    for entry in filters:
        array, found = _filtered(array, entry.step, spacing, empty, threads, foreground)
        told.append(_told(entry, found))
    if beyond is not None:
        array[beyond[0]] = beyond[1]
    return array, told


def _filtered(
    array: Array,
    step: Any,
    spacing: tuple[float, float, float],
    empty: Empty,
    threads: int,
    foreground: Foreground | None,
) -> tuple[Array, dict[str, Any]]:
    """What a filter gives, and what it found of the volume."""
    match step:
        case config.Gaussian():
            out = empty(array.shape, np.float32)
            widths = [mm / each for mm, each in zip(step.widths[::-1], spacing, strict=True)]
            return gaussian(array, widths, out, threads), {}
        case config.Median():
            out = empty(array.shape, array.dtype)
            return median(array, step.size, threads=threads, out=out), {}
        case config.N4():
            array, field = corrected(array, step, foreground)
            return array, {
                "lattice": list(field.lattice.shape),
                "iterations": list(field.iterations),
            }
        case config.CurvatureDiffusion():
            smooth = curvature_diffusion(
                array,
                spacing,
                iterations=step.iterations,
                conductance=step.conductance,
                time_step=step.time_step,
                seconds=step.seconds,
                threads=threads,
            )
            return smooth, {}
        case config.Clahe():
            return equalized(array, step, spacing, threads), {}
    raise TypeError(f"no rule for the filter {step!r}")


def gaussian(array: Array, sigmas: Sequence[float], out: Array, threads: int = 1) -> Array:
    """Smoothing by ``scipy.ndimage.gaussian_filter``'s rule of mode 'nearest', in float32.

    The three axes are banded matrices, as those of a resampling are.

    Args:
        sigmas: Standard deviations along z, y, x, in voxels.
    """
    z, y, x = (
        axis_weights(length, length, 1.0, 0.0, sigma=sigma)
        for length, sigma in zip(array.shape, sigmas, strict=True)
    )
    if z.identity and y.identity and x.identity:
        np.copyto(out, array)
        return out
    with open_threads(threads) as pool:
        apply_axes(array, (z, y, x), out, IDENTITY, IDENTITY, pool)
    return out


def _told(entry: config.Filter, found: dict[str, Any] | None = None) -> dict[str, Any]:
    """A filter as the record has it."""
    told: dict[str, Any] = entry.model_dump(mode="json", exclude_none=True, by_alias=True)
    if found:
        (name,) = told
        told[name]["found"] = found
    return told
