"""A case made ready: cropped and measured, before anything is decided or computed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuprep.config.model import Config
from gpuprep.ops import crop as crops
from gpuprep.ops.operations import Held, HostOperations, Operations
from gpuprep.ops.statistics import Distribution, Histogram, are_whole
from gpuprep.preprocess.assemble import Assembled
from gpuprep.preprocess.channels import channel_rules
from gpuprep.preprocess.filtering import filter_channel
from gpuprep.preprocess.outside import with_room
from gpuprep.preprocess.task import CaseTask, Stopwatch
from gpuprep.values.errors import InputError
from gpuprep.values.findings import Findings
from gpuprep.values.geometry import Box, Geometry

_ROUNDING = 1e-6  # voxels
_BODY_FRACTION = 0.01  # of a row's voxels above the threshold, from which on it belongs to the body


@dataclass(frozen=True)
class Measured:
    """A case cropped and measured, before anything is decided.

    NaN and ±Inf are still among the voxels of ``channels``: they belong to no foreground and no statistic.
    """

    assembled: Assembled
    box: Box
    channels: tuple[Held, ...]
    labels: dict[str, Held]
    distributions: tuple[Distribution, ...]
    operations: Operations
    config: Config = field(repr=False)
    unfiltered: tuple[Held, ...] = ()
    """The channels as the file has them, where any is filtered: what foreground is found on."""
    filters: tuple[list[dict[str, Any]], ...] = ()
    """Of each channel, where any is filtered, as the record tells them."""
    _foregrounds: dict[int, Distribution] = field(default_factory=dict, repr=False)
    """The foreground of each channel that was measured."""
    _found: dict[str, Held] = field(default_factory=dict, repr=False)
    _float32: dict[int, tuple[float, float]] = field(default_factory=dict, repr=False)

    def under(self, config: Config) -> Measured:
        """The same for another output of the case: what is found for one is found for all."""
        return replace(self, config=config)

    @property
    def geometry(self) -> Geometry:
        """The cropped input grid."""
        return self.assembled.geometry.crop(self.box)

    @property
    def foreground(self) -> Held:
        """Which voxels count as foreground under ``image.foreground``, which all outputs share."""
        if "foreground" not in self._found:
            rule, found = self.config.image.foreground, self._found_foreground()
            if rule.fill_holes:
                found = self.operations.filled(found)
            if rule.where == "nonzero_or_label" and self.labels:
                found = self.operations.mask([found, *self.labels.values()])
            self._found["foreground"] = found
        return self._found["foreground"]

    def _found_foreground(self) -> Held:
        rule = self.config.image.foreground
        if rule.where == "label" and self.labels:
            return self.operations.mask(list(self.labels.values()), above=0)
        if rule.where == "body":
            return self.operations.mask((self.unfiltered or self.channels)[:1], rule.threshold)
        return self.operations.mask(self.unfiltered or self.channels)

    def _source(self, channel: int) -> NDArray[Any]:
        """The voxels that are measured, in host memory."""
        if self.unfiltered:
            return self.operations.fetch(self.channels[channel])
        return self.assembled.channels[channel][self.box]

    def marked_labels(self) -> dict[str, Held]:
        """The label maps, background outside the foreground being ``label.outside``, if that is set."""
        outside = self.config.label.outside
        if outside is None:
            return self.labels
        return {
            name: self.operations.marked(label, self.foreground, outside)
            for name, label in self.labels.items()
        }

    def cleaned(self, channel: int) -> Held:
        """A channel with its own finite extremes in place of ±Inf, and the smallest of NaN."""
        held, values = self.channels[channel], self.distributions[channel]
        if not (values.nan or values.inf):
            return held
        return self.operations.cleaned(held, values.minimum, values.maximum)

    def uptake(self, channel: int) -> dict[str, Any]:
        """The factors of SUV that a channel's file tells, by their kinds."""
        told = self.assembled.uptakes
        return told[channel] if channel < len(told) else {}

    def is_whole(self, channel: int) -> bool:
        """Whether every finite voxel of a channel is a whole number, whatever dtype its file has."""
        source = self._source(channel)
        return source.dtype.kind != "f" or are_whole(source)

    def float32_moments(self, channel: int) -> tuple[float, float]:
        """Mean and deviation of a channel as nnU-Net takes them: NumPy's sums in float32."""
        if channel not in self._float32:
            if self.unfiltered:
                values = self._source(channel).astype(np.float32, copy=False)
            else:  # the crop of a whole, whose order in memory decides nnU-Net's sums
                values = self.assembled.channels[channel].astype(np.float32, order="C")[self.box]
            mean = values.mean(keepdims=True)
            self._float32[channel] = float(mean.item()), float(values.std(mean=mean))
        return self._float32[channel]

    def foreground_of(self, channel: int, findings: Findings) -> Distribution:
        """The values of a channel's foreground; an empty one is a finding."""
        values = self._foregrounds.get(channel) or self._counted_foreground(channel)
        if values is None:
            values = self.operations.measure(self.channels[channel], self.foreground)
        if not values.count:
            name = self.assembled.channel_names[channel]
            findings.report("W_EMPTY_FOREGROUND", f"channel {name} has no foreground to measure")
        self._foregrounds[channel] = values
        return values

    def known_foreground(self, channel: int) -> int | None:
        """How many values a channel's foreground has; None where that takes a further look at the voxels."""
        if channel in self._foregrounds:
            return self._foregrounds[channel].count
        values = self._counted_foreground(channel)
        return None if values is None else values.count

    def _counted_foreground(self, channel: int) -> Distribution | None:
        """The same from the counts of the whole channel, where its values alone say what is foreground."""
        rule, values = self.config.image.foreground, self.distributions[channel]
        by_label = "label" in rule.where and self.labels
        if (
            self.unfiltered
            or by_label
            or rule.fill_holes
            or channel
            or not isinstance(values, Histogram)
        ):
            return None
        if rule.where == "body":
            return values.above(rule.threshold)
        return values.above(None) if len(self.channels) == 1 else None


def measure(
    task: CaseTask,
    assembled: Assembled,
    config: Config,
    operations: Operations,
    findings: Findings,
    watch: Stopwatch,
) -> Measured:
    """Bring a case to the array engine, crop it (as views), and measure it."""
    with watch("measure"):
        labels = {
            name: operations.hold(label) for name, label in _with_room(task, assembled, config)
        }
        filtered = config.image.filtered
        hold = Held if filtered else operations.hold  # unfiltered voxels are not for the device
        channels = [hold(channel) for channel in assembled.channels]
        maps = list(labels.values())
        box = crop_box(assembled.geometry, channels, maps, operations, config, findings)
        channels = [channel.crop(box) for channel in channels]
        unfiltered = tuple(channels) if filtered else ()
        told: list[list[dict[str, Any]]] = []
    if filtered:
        with watch("filter"):
            channels, told = _filtered(
                assembled, box, channels, labels, config, operations, task.threads
            )
    with watch("measure"):
        distributions = []
        for number, name in enumerate(assembled.channel_names[: len(channels)]):
            values = operations.measure(channels[number])
            distributions.append(values)
            if not values.count:
                raise InputError(
                    "E_UNREADABLE",
                    f"channel {name} has no finite voxel",
                    path=task.case.images[0].path,
                )
    cropped = {name: label.crop(box) for name, label in labels.items()}
    return Measured(
        assembled,
        box=box,
        channels=tuple(channels),
        labels=cropped,
        distributions=tuple(distributions),
        operations=operations,
        config=config,
        unfiltered=unfiltered,
        filters=tuple(told),
    )


def _filtered(
    assembled: Assembled,
    box: Box,
    channels: Sequence[Held],
    labels: dict[str, Held],
    config: Config,
    operations: Operations,
    threads: int,
) -> tuple[list[Held], list[list[dict[str, Any]]]]:
    """The channels after their filters, where the engine works, and what is told."""
    maps = {name: Held(assembled.labels[name][box]) for name in labels}
    host = HostOperations(threads)
    before = Measured(assembled, box, tuple(channels), maps, (), host, config)
    rules = channel_rules(config.image, assembled.channel_names)
    done = [
        filter_channel(
            channel,
            rule.filters,
            before.geometry,
            operations,
            threads,
            lambda: host.fetch(before.foreground),
        )
        for rule, channel in zip(rules, channels, strict=False)
    ]
    return [held for held, _ in done], [entries for _, entries in done]


def _with_room(
    task: CaseTask, assembled: Assembled, config: Config
) -> Iterator[tuple[str, NDArray[Any]]]:
    """The label maps, in dtypes that have room for ``label.outside``."""
    outside = config.label.outside
    paths = {entry.name: entry.sources[0].path for entry in task.case.labels}
    for name, label in assembled.labels.items():
        values = assembled.label_counts[name]
        yield name, with_room(label, values, outside, name, paths.get(name, ""))


def crop_box(
    geometry: Geometry,
    channels: Sequence[Held],
    labels: Sequence[Held],
    operations: Operations,
    config: Config,
    findings: Findings,
) -> Box:
    """The crop in array indices of the oriented grid; all of it, and a finding, with nothing to crop to."""
    box = _found_box(geometry, channels, labels, operations, config)
    if box is None:
        rule = config.image.crop.to
        findings.report("W_EMPTY_FOREGROUND", f"no {rule} to crop to; the image was not cropped")
        box = _whole(geometry)
    return box


def _found_box(
    geometry: Geometry,
    channels: Sequence[Held],
    labels: Sequence[Held],
    operations: Operations,
    config: Config,
) -> Box | None:
    rule = config.image.crop
    threshold = config.image.foreground.threshold
    if rule.to == "none" or not (labels if rule.to == "label" else channels):
        return _whole(geometry)
    if rule.to == "label":
        box = operations.box(labels, above=0)
    elif rule.to == "body":
        box = operations.box(channels[:1], threshold, _BODY_FRACTION)
    else:
        box = operations.box(channels)
    if box is None:
        return None
    margin = tuple(math.ceil(rule.margin / step - _ROUNDING) for step in geometry.spacing_zyx)
    return crops.grow(box, margin, geometry.shape)


def _whole(geometry: Geometry) -> Box:
    z, y, x = (slice(0, length) for length in geometry.shape)
    return z, y, x
