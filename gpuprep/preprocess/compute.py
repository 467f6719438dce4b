"""From a case in memory to the arrays that are stored: measure, decide, apply, on one array engine.

Every number that depends on voxels is decided before anything is applied, and recorded with the case.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuprep.config.model import Config
from gpuprep.ops.curve import Pointwise
from gpuprep.ops.label_maps import labelled
from gpuprep.ops.mergeable import Mergeable
from gpuprep.ops.operations import Image, Operations
from gpuprep.ops.pointwise import IDENTITY
from gpuprep.ops.resample import Resampling, fill_beyond
from gpuprep.ops.statistics import Distribution, Histogram
from gpuprep.preprocess.assemble import Assembled
from gpuprep.preprocess.channels import channel_rules
from gpuprep.preprocess.decided import Decided, alike
from gpuprep.preprocess.grid import map_grid, separate_axis
from gpuprep.preprocess.intensity import Intensity, resolve_intensity
from gpuprep.preprocess.measure import Measured, measure
from gpuprep.preprocess.outside import take_outside
from gpuprep.preprocess.record import describe, voxel_counts
from gpuprep.preprocess.rounding import round_image
from gpuprep.preprocess.standards import with_standards
from gpuprep.preprocess.stored_range import check_dtype, report_constant
from gpuprep.preprocess.task import CaseTask, Stopwatch
from gpuprep.preprocess.uptake import with_factors
from gpuprep.values.findings import Findings
from gpuprep.values.geometry import Geometry
from gpuprep.values.grids import GridMapping, reach


@dataclass(frozen=True, slots=True)
class Computed:
    """What an output of a case will store, and the words about it.

    ``image`` is ``z, y, x``, or channels first when there are several; None for labels only. ``config`` is
    that of this output by itself; ``name`` is empty where the case has one output of no name.
    """

    image: Image | None
    labels: dict[str, NDArray[Any]]
    geometry: Geometry
    record: dict[str, Any]
    name: str
    config: Config
    is_last: bool


def compute(
    task: CaseTask,
    assembled: Assembled,
    config: Config,
    operations: Operations,
    findings: Findings,
    cohort: tuple[Mergeable, ...],
    watch: Stopwatch,
) -> Generator[Computed, None, None]:
    """Everything between reading and writing: every output of a case, one after another.

    The case is measured once. Outputs on one grid share their label maps, and those that are decided alike
    their image too; they follow one another, whatever their order in the config. The arrays of an output
    are there until the next one is asked for.

    Raises:
        CaseError: the case cannot be done.
    """
    measured = measure(task, assembled, config, operations, findings, watch)
    with watch("measure"):  # of the foreground, where that is asked for
        outputs = [
            _decide_output(name, measured.under(part), findings.copy(), cohort)
            for name, part in config.parts().items()
        ]
    left = len(outputs)
    for on_grid in alike(outputs, Decided.same_labels):
        with operations.passing():
            lost = findings.copy()
            with watch("labels"):
                labels, counted = apply_labels(on_grid[0], lost, operations)
            for group in alike(on_grid, Decided.same_image):
                with operations.passing():
                    rounded = findings.copy()
                    with watch("resample"):
                        image, words = _rounded_image(group[0], rounded, operations, task.threads)
                    for output in group:
                        for more in (rounded, lost):
                            output.findings.items.extend(more.items[len(findings.items) :])
                        told = _describe_output(task, output) | counted | words
                        geometry = output.mapping.on(measured.geometry)
                        own, left = output.measured.config, left - 1
                        yield Computed(image, labels, geometry, told, output.name, own, left == 0)
                    del image  # before the next one is there
            del labels


def _decide_output(
    name: str, measured: Measured, findings: Findings, cohort: tuple[Mergeable, ...]
) -> Decided:
    rule = measured.config.image.resample
    mapping, separate = map_grid(measured.geometry, rule), separate_axis(measured.geometry, rule)
    return Decided(name, measured, mapping, separate, decide(measured, findings, cohort), findings)


def _describe_output(task: CaseTask, output: Decided) -> dict[str, Any]:
    return describe(
        task,
        output.measured,
        output.mapping,
        output.separate,
        output.intensities,
        output.findings,
    )


def _rounded_image(
    output: Decided, findings: Findings, operations: Operations, threads: int
) -> tuple[Image | None, dict[str, Any]]:
    """The stored image, and what the record says of its rounding."""
    measured = output.measured
    image = apply_image(measured, output.mapping, output.separate, output.intensities, operations)
    return image, round_image(image, measured.config.store.keep_bits, findings, threads)


def apply_labels(
    output: Decided, findings: Findings, operations: Operations
) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """The stored label maps, and what the record says of their voxels; what is lost on the way is found."""
    measured, mapping = output.measured, output.mapping
    how = Resampling(mapping, measured.config.label.interpolation, separate_axis=output.separate)
    labels = {
        name: operations.resample_labels(label, how)
        for name, label in measured.marked_labels().items()
    }
    operations.wait()
    beyond = measured.config.label.outside
    if measured.config.image.resample.reference is not None:
        for label in labels.values():
            fill_beyond(label, measured.geometry.shape, mapping, beyond or 0)
    counts = {name: voxel_counts(label) for name, label in labels.items()}
    marks = take_outside(counts, beyond)
    report_losses(measured, mapping, counts, findings)
    return labels, {"labels": counts, **marks}


def report_losses(
    measured: Measured,
    mapping: GridMapping,
    stored: Mapping[str, Mapping[str, int]],
    findings: Findings,
) -> None:
    """Say which labelled voxels the crop and the output grid leave outside, and which classes are gone.

    Raises:
        InputError: E_LABEL_LOST.
    """
    assembled = measured.assembled
    losses = assembled.losses.copy()
    for name, label in assembled.labels.items():
        kept = label[measured.box]
        cropped = kept.shape != label.shape
        referred = measured.config.image.resample.reference is not None
        before = labelled(kept) if cropped or referred else {}
        if cropped:
            losses.report(name, labelled(label), before, "the crop", findings)
        if referred:
            inside = labelled(kept, reach(mapping, kept.shape))
            losses.report(name, before, inside, "the reference", findings)
        found = {int(value): count for value, count in stored[name].items()}
        losses.vanished(name, assembled.label_counts[name], found, findings)


def decide(
    measured: Measured, findings: Findings, cohort: tuple[Mergeable, ...]
) -> tuple[Intensity, ...]:
    """The resolved intensity chain of every channel, checked against the stored dtype."""
    config = measured.config
    resolved = []
    rules = channel_rules(config.image, measured.assembled.channel_names)
    for number, (rule, values) in enumerate(zip(rules, measured.distributions, strict=True)):
        name = measured.assembled.channel_names[number]
        if values.count:
            rule.check(name, values.minimum, values.maximum)
        steps = with_standards(rule.steps, rule.key, cohort)
        steps = with_factors(steps, measured.uptake(number), name, measured.assembled.path)
        counted = cohort[number] if number < len(cohort) else None
        intensity = resolve_intensity(
            steps,
            values,
            partial(measured.foreground_of, number, findings),
            counted if isinstance(counted, Distribution) else None,
            channel=rule.key,
            outside=rule.outside,
            float32=None if values.nan or values.inf else partial(measured.float32_moments, number),
        )
        report_constant(intensity, values.minimum, values.maximum, findings, name)
        whole = isinstance(values, Histogram) or (
            intensity.keeps_whole and measured.is_whole(number)
        )
        check_dtype(
            intensity,
            config.store.dtype,
            findings,
            name,
            whole=whole,
            keep_bits=config.store.keep_bits,
        )
        resolved.append(intensity)
    return tuple(resolved)


def apply_image(
    measured: Measured,
    mapping: GridMapping,
    separate: int | None,
    intensities: tuple[Intensity, ...],
    operations: Operations,
) -> Image | None:
    """The stored image: ``z, y, x``, or channels first when there are several; None for labels only."""
    if not measured.channels:
        return None
    store, rule = measured.config.store, measured.config.image.resample
    whole = rule.reference is None  # else voxels beyond the source are set afterwards
    edge = store.edge if whole else 0
    image = operations.empty(len(measured.channels), mapping.shape, store.dtype, edge)
    for number, (values, intensity) in enumerate(
        zip(measured.distributions, intensities, strict=True)
    ):
        if intensity.outside == "zero":
            intensity = intensity.about_zero()
            inside = measured.channels[number], measured.foreground
            held = operations.masked(*inside, intensity.prologue)
            prologue: Pointwise = IDENTITY
            ends = intensity.limits
        else:
            held = measured.cleaned(number)
            prologue, ends = intensity.prologue, (values.minimum, values.maximum)
        how = Resampling(
            mapping,
            rule.interpolation,
            rule.boundary,
            rule.antialias,
            separate,
            prologue,
            intensity.epilogue,
            intensity.limits,
            ends,
        )
        operations.resample(held, how, image[number])
    operations.wait()
    if isinstance(image, np.ndarray) and not whole:
        for target, intensity in zip(image, intensities, strict=True):
            ends_at_zero = intensity.outside == "zero"
            lowest = 0.0 if ends_at_zero else intensity.epilogue(intensity.limits[0])
            fill_beyond(target, measured.geometry.shape, mapping, lowest)
    return image[0] if len(measured.channels) == 1 else image
