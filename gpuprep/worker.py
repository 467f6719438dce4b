"""Doing one case from files to a committed store: the only place where io, ops and store meet.

read → orient, crop (views) → measure → decide → apply → store → commit. Every number that depends on
voxels is decided before anything is applied, and recorded with the case.
"""

from __future__ import annotations

import time
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuprep.assemble import Reader
from gpuprep.config import Config
from gpuprep.errors import InputError
from gpuprep.findings import Findings
from gpuprep.geometry import Geometry
from gpuprep.grids import GridMapping
from gpuprep.ops.beyond import fill_beyond
from gpuprep.ops.labels import resample_labels
from gpuprep.ops.pointwise import IDENTITY, ClipAffine
from gpuprep.ops.resample import resample
from gpuprep.ops.statistics import Histogram
from gpuprep.plan import CasePlan, check_memory, map_grid, peak_bytes, separate_axis
from gpuprep.prepare import Prepared, Stopwatch, prepare
from gpuprep.record import describe, versions, voxel_counts
from gpuprep.resolve import Intensity, check_dtype, resolve_intensity
from gpuprep.store.case import write_case
from gpuprep.store.commit import Staging
from gpuprep.store.record import write_record


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
    separate = separate_axis(prepared.geometry, config.image.resample)
    needed = peak_bytes(
        prepared.assembled.decoded_bytes,
        prepared.geometry.voxels,
        mapping.shape,
        len(prepared.channels),
        config,
    )
    check_memory(plan.case.id, needed, plan.memory)
    intensities = decide(prepared, findings, cohort)
    with watch("resample"):
        image = apply_image(prepared, mapping, separate, intensities)
    with watch("labels"):
        labels = {
            name: resample_labels(
                label,
                mapping,
                interpolation=config.label.interpolation,
                separate_axis=separate,
                threads=plan.threads,
            )
            for name, label in prepared.labels.items()
        }
        if config.image.resample.reference is not None:
            for label in labels.values():
                fill_beyond(label, prepared.geometry.shape, mapping, 0)
    record = {
        **describe(plan, prepared, mapping, separate, intensities, findings),
        "labels": {name: voxel_counts(label) for name, label in labels.items()},
    }
    return commit(plan, prepared, mapping.on(prepared.geometry), image, labels, record, watch)


def measure_case(plan: CasePlan, config: Config, reader: Reader) -> tuple[Histogram, ...]:
    """The foreground histogram of every channel: one case's share of the cohort's statistics."""
    findings = Findings(config.input.policy)
    prepared = prepare(plan, config, reader, findings, Stopwatch())
    measured = [prepared.foreground_of(n, findings) for n in range(len(prepared.channels))]
    histograms = [values for values in measured if isinstance(values, Histogram)]
    if len(histograms) != len(measured):
        raise InputError(
            "E_PIXEL_TYPE",
            "cohort statistics are exact and need whole-number intensities; this case has fractions",
            path=plan.case.images[0].path,
            advice="use over: image or over: foreground, or give mean and std",
        )
    return tuple(histograms)


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
            partial(prepared.foreground_of, number, findings),
            cohort[number] if number < len(cohort) else None,
            outside=config.image.foreground.outside,
        )
        name = prepared.assembled.channel_names[number]
        whole = isinstance(values, Histogram)
        check_dtype(intensity, config.store.dtype, findings, name, whole=whole)
        resolved.append(intensity)
    return tuple(resolved)


def apply_image(
    prepared: Prepared,
    mapping: GridMapping,
    separate: int | None,
    intensities: tuple[Intensity, ...],
) -> NDArray[Any] | None:
    """The stored image: ``z, y, x``, or channels first when there are several; None for labels only."""
    if not prepared.channels:
        return None
    config = prepared.config
    image = np.empty((len(prepared.channels), *mapping.shape), config.store.dtype)
    rule = config.image.resample
    rows = zip(prepared.channels, prepared.distributions, intensities, image, strict=True)
    for channel, values, intensity, target in rows:
        voxels, prologue, ends = channel, intensity.prologue, (values.minimum, values.maximum)
        if config.image.foreground.outside == "zero":
            intensity = intensity.about_zero()
            voxels = _zero_outside(channel, prepared.foreground, intensity.prologue)
            prologue, ends = IDENTITY, intensity.limits
        resample(
            voxels,
            mapping,
            interpolation=rule.interpolation,
            boundary=rule.boundary,
            antialias=rule.antialias,
            prologue=prologue,
            epilogue=intensity.epilogue,
            clip_to=intensity.limits,
            separate_axis=separate,
            threads=prepared.threads,
            value_range=ends,
            out=target,
        )
        if rule.reference is not None:
            zeroed = config.image.foreground.outside == "zero"
            lowest = 0.0 if zeroed else intensity.epilogue(intensity.limits[0])
            fill_beyond(target, channel.shape, mapping, lowest)
    return image[0] if len(image) == 1 else image


def _zero_outside(
    channel: NDArray[Any], foreground: NDArray[np.bool_], prologue: ClipAffine
) -> NDArray[np.float32]:
    """The channel after the prologue, in a copy, with 0 outside the foreground."""
    voxels = prologue.apply(channel)
    np.multiply(voxels, foreground, out=voxels)
    return voxels


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
            "versions": versions(),
            "backend": plan.backend,
            "timings": {name: round(seconds, 4) for name, seconds in watch.seconds.items()},
            "written": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        }
        write_record(staging.folder, record, durable=store.durable)
        staging.publish(replace=plan.replace, durable=store.durable)
    return record
