"""A case made ready: read, turned, cropped and measured, before anything is decided or computed."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuprep.assemble import Assembled, Reader, assemble
from gpuprep.config import Config
from gpuprep.errors import InputError
from gpuprep.findings import Findings
from gpuprep.geometry import Box, Geometry
from gpuprep.ops import crop as crops
from gpuprep.ops.mask import fill_holes
from gpuprep.ops.statistics import Distribution, measure
from gpuprep.plan import CasePlan

_ROUNDING = 1e-6  # voxels
_BODY_FRACTION = (
    0.01  # a row belongs to the body when this share of its voxels is above the threshold
)


class Stopwatch:
    """Seconds per named stage of one case."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - start


@dataclass(frozen=True)
class Prepared:
    """A case cropped and measured, before anything is decided."""

    assembled: Assembled
    box: Box
    channels: tuple[NDArray[Any], ...]
    labels: dict[str, NDArray[Any]]
    distributions: tuple[Distribution, ...]
    threads: int
    config: Config = field(repr=False)

    @property
    def geometry(self) -> Geometry:
        """The cropped input grid."""
        return self.assembled.geometry.crop(self.box)

    @cached_property
    def foreground(self) -> NDArray[np.bool_]:
        """Which voxels count as foreground under ``image.foreground``."""
        found = self._found_foreground()
        return fill_holes(found) if self.config.image.foreground.fill_holes else found

    def _found_foreground(self) -> NDArray[np.bool_]:
        rule = self.config.image.foreground
        if rule.where == "label" and self.labels:
            return np.logical_or.reduce([label > 0 for label in self.labels.values()])
        if rule.where == "body":
            return np.asarray(self.channels[0] > rule.threshold)
        return np.logical_or.reduce([channel != 0 for channel in self.channels])

    def foreground_of(self, channel: int, findings: Findings) -> Distribution:
        """The values of a channel's foreground; an empty one is a finding."""
        values = measure(self.channels[channel], self.foreground, threads=self.threads)
        if not values.count:
            name = self.assembled.channel_names[channel]
            findings.report("W_EMPTY_FOREGROUND", f"channel {name} has no foreground to measure")
        return values


def prepare(
    plan: CasePlan, config: Config, reader: Reader, findings: Findings, watch: Stopwatch
) -> Prepared:
    """Read, orient, crop (as views) and measure a case."""
    with watch("read"):
        assembled = assemble(plan.case, config, reader, findings, threads=plan.threads)
    with watch("measure"):
        box = _crop_box(assembled, config, findings)
        channels = tuple(channel[box] for channel in assembled.channels)
        distributions = [measure(channel, threads=plan.threads) for channel in channels]
        for number, values in enumerate(distributions):
            if not values.count:
                raise InputError(
                    "E_UNREADABLE",
                    f"channel {assembled.channel_names[number]} has no finite voxel",
                    path=plan.case.images[0].path,
                )
        channels = tuple(
            _without_nan(channel, values)
            for channel, values in zip(channels, distributions, strict=True)
        )
    labels = {name: label[box] for name, label in assembled.labels.items()}
    return Prepared(assembled, box, channels, labels, tuple(distributions), plan.threads, config)


def _crop_box(assembled: Assembled, config: Config, findings: Findings) -> Box:
    """The crop in array indices of the oriented grid; all of it where there is nothing to crop to."""
    whole: Box = tuple(slice(0, length) for length in assembled.geometry.shape)  # type: ignore[assignment]
    rule = config.image.crop
    labels = list(assembled.labels.values())
    threshold = config.image.foreground.threshold
    arrays = labels if rule.to == "label" else assembled.channels
    if rule.to == "none" or not arrays:
        return whole
    if rule.to == "label":
        box = crops.label_box(labels)
        found = any((label > 0).any() for label in labels) if box == whole else True
    elif rule.to == "body":
        box = crops.above_box(arrays[0], threshold, _BODY_FRACTION)
        found = box != whole or bool((arrays[0] > threshold).any())
    else:
        box = crops.nonzero_box(arrays)
        found = box != whole or any(array.any() for array in arrays)
    if not found:
        findings.report("W_EMPTY_FOREGROUND", f"no {rule.to} to crop to; the image was not cropped")
    spacing = assembled.geometry.spacing_zyx
    margin = tuple(math.ceil(rule.margin / step - _ROUNDING) for step in spacing)
    return crops.grow(box, margin, assembled.geometry.shape)


def _without_nan(channel: NDArray[Any], values: Distribution) -> NDArray[Any]:
    """The channel with NaN and ±Inf replaced by its finite extremes (NaN by the minimum)."""
    if not values.nan and not values.inf:
        return channel
    return np.nan_to_num(channel, nan=values.minimum, posinf=values.maximum, neginf=values.minimum)
