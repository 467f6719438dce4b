"""``image.filters``: the voxels of a channel filtered after the crop, before they are measured.

A further filter is a model in ``config/filters.py``; where both engines have it, a rule of ``_decided`` and a
``Filter`` of ``ops/filters.py``, else a function on an array and its spacing and a case of ``_by_itself``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from gpuprep.config import filters as config
from gpuprep.config.image import Image
from gpuprep.ops.device.filters import filter_bytes
from gpuprep.ops.filters import Filter, Ranking, Smoothing, filtered, result_dtype
from gpuprep.ops.operations import Held, Operations
from gpuprep.preprocess.assemble import Assembled
from gpuprep.preprocess.channels import channel_rules
from gpuprep.preprocess.contrast import Foreground, corrected, equalizing
from gpuprep.preprocess.diffusion import curvature_diffusion
from gpuprep.values.geometry import Geometry, Shape, Triple

Array = NDArray[Any]
Empty = Callable[[Shape, DTypeLike], Array]
"""Gives memory for an array of a shape and a dtype."""

HOST_ONLY = (config.N4, config.CurvatureDiffusion)
"""Filters that no device does."""

_WORKING_BYTES: dict[Any, int] = {config.N4: 26, config.CurvatureDiffusion: 8}
_LEAST_WORKING_BYTES = 6


def working_bytes(filters: Sequence[config.Filter]) -> int:
    """Bytes per input voxel that filtering holds at most, beside what a filter is given and gives."""
    each = (_WORKING_BYTES.get(type(entry.step), _LEAST_WORKING_BYTES) for entry in filters)
    return max(each, default=0)


def hosts_alone(filters: Sequence[config.Filter]) -> list[str]:
    """The names of those filters that no device does."""
    names = (next(iter(tell(entry))) for entry in filters if isinstance(entry.step, HOST_ONLY))
    return list(dict.fromkeys(names))


class OnDevice(NamedTuple):
    """What a case's channels need of a device: bytes of a voxel of each, and those of filtering one."""

    itemsizes: list[int]
    work: int


def of_filters(assembled: Assembled, image: Image) -> OnDevice:
    """Of the channels as they are measured, and of the largest chain that a device does."""
    rules = channel_rules(image, assembled.channel_names)
    itemsizes, work = [], 0
    for rule, array in zip(rules, assembled.channels, strict=False):
        dtype = array.dtype
        if hosts_alone(rule.filters):
            dtype = np.dtype(np.float32)
        elif steps := chain_of(rule.filters, assembled.geometry):
            work = max(work, filter_bytes(array.shape, dtype, steps))
            dtype = reduce(lambda given, step: result_dtype(step, given), steps, dtype)
        itemsizes.append(dtype.itemsize)
    return OnDevice(itemsizes, work)


def chain_of(filters: Sequence[config.Filter], grid: Geometry) -> tuple[Filter, ...]:
    """Filters that both engines have, in voxels of a grid."""
    return tuple(_decided(entry.step, grid.shape, grid.spacing_zyx) for entry in filters)


def _decided(step: Any, shape: Shape, spacing: Triple) -> Filter:
    """A filter that both engines have, in voxels of a grid; ``spacing`` is of the axes z, y, x, in mm."""
    match step:
        case config.Gaussian():
            z, y, x = (mm / each for mm, each in zip(step.widths[::-1], spacing, strict=True))
            return Smoothing((z, y, x))
        case config.Median():
            return Ranking(step.size)
        case config.Clahe():
            return equalizing(step, shape, spacing)
    raise TypeError(f"no rule for the filter {step!r}")


def filter_channel(
    channel: Held,
    filters: Sequence[config.Filter],
    grid: Geometry,
    operations: Operations,
    threads: int,
    foreground: Foreground,
) -> tuple[Held, list[dict[str, Any]]]:
    """``filter_voxels`` of a channel in host memory, where the engine works, and what is told.

    A device does a chain of which it has every filter; the host does any other, from the first on.
    """
    entries = [tell(entry) for entry in filters]

    def on_host() -> Array:
        given = operations.fetch(channel), filters, grid.spacing_zyx
        array, entries[:] = filter_voxels(*given, operations.blank, threads, foreground)
        return array

    others = hosts_alone(filters)
    steps = () if others else chain_of(filters, grid)
    return operations.filtered(channel, steps, others, on_host), entries


def filter_voxels(
    array: Array,
    filters: Sequence[config.Filter],
    spacing: Triple,
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
            return array, [tell(entry) for entry in filters]
        if not finite.all():
            beyond = ~finite, array[~finite]
            low, high = array[finite].min(), array[finite].max()
            array = np.nan_to_num(array, nan=low, posinf=high, neginf=low)
    entries = []
    for entry in filters:
        if isinstance(entry.step, HOST_ONLY):
            array, found = _by_itself(array, entry.step, spacing, threads, foreground)
        else:
            step, found = _decided(entry.step, array.shape, spacing), {}
            out = empty(array.shape, result_dtype(step, array.dtype))
            array = filtered(array, step, out, threads)
        entries.append(tell(entry, found))
    if beyond is not None:
        array[beyond[0]] = beyond[1]
    return array, entries


def _by_itself(
    array: Array, step: Any, spacing: Triple, threads: int, foreground: Foreground | None
) -> tuple[Array, dict[str, Any]]:
    """What a filter that no device does gives, and what it found of the volume."""
    match step:
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
    raise TypeError(f"no rule for the filter {step!r}")


def tell(entry: config.Filter, found: dict[str, Any] | None = None) -> dict[str, Any]:
    """A filter as the record has it."""
    words: dict[str, Any] = entry.model_dump(mode="json", exclude_none=True, by_alias=True)
    if found:
        (name,) = words
        words[name]["found"] = found
    return words
