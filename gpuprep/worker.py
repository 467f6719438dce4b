"""Doing one case from files to a committed store: the only place where io, ops and store meet.

read → orient, crop (views) → measure → decide → apply → store → commit. Every number that depends on
voxels is decided before anything is applied, and recorded with the case.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

import gpuprep
from gpuprep.assemble import Assembled, Reader, assemble
from gpuprep.config import Config
from gpuprep.errors import InputError
from gpuprep.findings import Findings
from gpuprep.geometry import Box, Geometry
from gpuprep.grids import GridMapping
from gpuprep.ops import crop as crops
from gpuprep.ops.labels import label_counts, resample_labels
from gpuprep.ops.resample import resample
from gpuprep.ops.statistics import Distribution, Histogram, measure
from gpuprep.plan import CasePlan, check_memory, map_grid, peak_bytes
from gpuprep.resolve import Intensity, check_dtype, resolve_intensity
from gpuprep.store.case import write_case, write_record
from gpuprep.store.commit import Staging

RECORD_SCHEMA = 1
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
        rule = self.config.image.foreground
        if rule.where == "label" and self.labels:
            return np.logical_or.reduce([label > 0 for label in self.labels.values()])
        if rule.where == "body":
            return np.asarray(self.channels[0] > rule.threshold)
        return np.logical_or.reduce([channel != 0 for channel in self.channels])

    def foreground_of(self, channel: int) -> Distribution:
        return measure(self.channels[channel], self.foreground, threads=self.threads)


def run_case(
    plan: CasePlan,
    config: Config,
    reader: Reader,
    cohort: tuple[Histogram, ...] = (),
) -> dict[str, Any]:
    """Do one case and commit it; returns its record.

    Doing a case twice is harmless: the second commit finds the first and discards itself, or replaces
    it when the plan says so.

    Raises:
        CaseError: the case cannot be done; nothing of it is left behind.
        RunStopped: the disk is full or the output has gone.
    """
    watch = Stopwatch()
    findings = Findings(config.input.policy)
    prepared = prepare(plan, config, reader, findings, watch)
    mapping = map_grid(prepared.geometry, config.image.resample)
    needed = peak_bytes(
        prepared.assembled.decoded_bytes, mapping.shape, len(prepared.channels), config
    )
    check_memory(plan.case.id, needed, plan.memory)
    intensities = decide(prepared, findings, cohort)
    with watch("resample"):
        image = apply_image(prepared, mapping, intensities)
    with watch("labels"):
        labels = {
            name: resample_labels(
                label, mapping, interpolation=config.label.interpolation, threads=plan.threads
            )
            for name, label in prepared.labels.items()
        }
    record = {
        **describe(plan, prepared, mapping, intensities, findings),
        "labels": {name: _counts(label) for name, label in labels.items()},
    }
    return commit(plan, prepared, mapping.on(prepared.geometry), image, labels, record, watch)


def measure_case(plan: CasePlan, config: Config, reader: Reader) -> tuple[Histogram, ...]:
    """The foreground histogram of every channel: one case's share of the cohort's statistics."""
    findings = Findings(config.input.policy)
    prepared = prepare(plan, config, reader, findings, Stopwatch())
    partial = [prepared.foreground_of(channel) for channel in range(len(prepared.channels))]
    histograms = [values for values in partial if isinstance(values, Histogram)]
    if len(histograms) != len(partial):
        raise InputError(
            "E_PIXEL_TYPE",
            "cohort statistics are exact and need whole-number intensities; this case has fractions",
            path=plan.case.images[0].path,
            advice="use over: image or over: foreground, or give mean and std",
        )
    return tuple(histograms)


def prepare(
    plan: CasePlan, config: Config, reader: Reader, findings: Findings, watch: Stopwatch
) -> Prepared:
    """Read, orient, crop (as views) and measure a case."""
    with watch("read"):
        assembled = assemble(plan.case, config, reader, findings)
    with watch("measure"):
        box = _crop_box(assembled, config)
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


def decide(
    prepared: Prepared, findings: Findings, cohort: tuple[Histogram, ...]
) -> tuple[Intensity, ...]:
    """The resolved intensity chain of every channel, checked against the stored dtype."""
    config = prepared.config
    resolved = []
    for number, values in enumerate(prepared.distributions):
        intensity = resolve_intensity(
            config.image.intensity,
            values,
            lambda number=number: prepared.foreground_of(number),  # type: ignore[misc]
            cohort[number] if number < len(cohort) else None,
        )
        check_dtype(
            intensity, config.store.dtype, findings, prepared.assembled.channel_names[number]
        )
        resolved.append(intensity)
    return tuple(resolved)


def apply_image(
    prepared: Prepared, mapping: GridMapping, intensities: tuple[Intensity, ...]
) -> NDArray[Any] | None:
    """The stored image: ``z, y, x``, or channels first when there are several; None for labels only."""
    if not prepared.channels:
        return None
    config = prepared.config
    image = np.empty((len(prepared.channels), *mapping.shape), config.store.dtype)
    rule = config.image.resample
    for number, (channel, intensity) in enumerate(zip(prepared.channels, intensities, strict=True)):
        resample(
            channel,
            mapping,
            interpolation=rule.interpolation,
            boundary=rule.boundary,
            antialias=rule.antialias,
            prologue=intensity.prologue,
            epilogue=intensity.epilogue,
            clip_to=intensity.limits,
            dtype=image.dtype,
            threads=prepared.threads,
            out=image[number],
        )
    return image[0] if len(image) == 1 else image


def describe(
    plan: CasePlan,
    prepared: Prepared,
    mapping: GridMapping,
    intensities: tuple[Intensity, ...],
    findings: Findings,
) -> dict[str, Any]:
    """Everything a person or a replay needs to know about how a case was made."""
    assembled = prepared.assembled
    return {
        "schema": RECORD_SCHEMA,
        "case": plan.case.id,
        "digest": plan.digest,
        "attributes": plan.case.attributes,
        "source": [entry.to_json() for entry in assembled.identity],
        "headers": list(assembled.headers),
        "channels": list(assembled.channel_names),
        "geometry": {
            "source": assembled.source_geometry.to_json(),
            "oriented": assembled.geometry.to_json(),
            "crop": [[part.start, part.stop] for part in prepared.box],
            "output": mapping.on(prepared.geometry).to_json(),
        },
        "mapping": {"scale": list(mapping.scale), "offset": list(mapping.offset)},
        "intensity": [intensity.to_json() for intensity in intensities],
        "statistics": [values.summary() for values in prepared.distributions],
        "findings": [finding.to_json() for finding in findings.items],
    }


def commit(
    plan: CasePlan,
    prepared: Prepared,
    geometry: Geometry,
    image: NDArray[Any] | None,
    labels: dict[str, NDArray[Any]],
    record: dict[str, Any],
    watch: Stopwatch,
) -> dict[str, Any]:
    """Write the case into staging, its record last, and publish it with one rename."""
    store = prepared.config.store
    with Staging(plan.output, plan.case.id) as staging:
        with watch("store"):
            files = write_case(
                staging.folder,
                image=image,
                labels=labels,
                geometry=geometry,
                chunk=store.chunk,
                codec=store.codec,
                threads=plan.threads,
                channel_names=prepared.assembled.channel_names,
                label_names=prepared.assembled.label_names,
                durable=store.durable,
            )
        record = {
            **record,
            "files": files,
            "versions": _versions(),
            "backend": plan.backend,
            "timings": {name: round(seconds, 4) for name, seconds in watch.seconds.items()},
            "written": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        }
        write_record(staging.folder, record)
        staging.publish(replace=plan.replace)
    return record


def _crop_box(assembled: Assembled, config: Config) -> Box:
    """The crop in array indices of the oriented grid."""
    whole: Box = tuple(slice(0, length) for length in assembled.geometry.shape)  # type: ignore[assignment]
    rule = config.image.crop
    labels = list(assembled.labels.values())
    if rule.to == "none":
        return whole
    if rule.to == "label":
        box = crops.nonzero_box(labels) if labels else whole
    elif not assembled.channels:
        return whole
    elif rule.to == "body":
        threshold = config.image.foreground.threshold
        box = crops.above_box(assembled.channels[0], threshold, _BODY_FRACTION)
    else:
        box = crops.nonzero_box(assembled.channels)
    margin = tuple(round(rule.margin / step) for step in assembled.geometry.spacing_zyx)
    return crops.grow(box, margin, assembled.geometry.shape)


def _without_nan(channel: NDArray[Any], values: Distribution) -> NDArray[Any]:
    """The channel with NaN and ±Inf replaced by its finite extremes (NaN by the minimum)."""
    if not values.nan and not values.inf:
        return channel
    return np.nan_to_num(channel, nan=values.minimum, posinf=values.maximum, neginf=values.minimum)


def _counts(label: NDArray[Any]) -> dict[str, int]:
    return {str(value): count for value, count in sorted(label_counts(label).items())}


def _versions() -> dict[str, str]:
    return {
        "gpuprep": gpuprep.__version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
    }
