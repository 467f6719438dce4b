"""The numbers of every case of a cohort, from its table: no case is opened."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from gpuprep.values.agreement import Agreement

Array = NDArray[np.float64]
Group = Literal[
    "spacing",
    "shape",
    "field of view",
    "orientation",
    "intensity before",
    "intensity after",
    "foreground",
    "labels",
    "files",
]
Table = Mapping[str, NDArray[Any]]

STATISTICS = ("mean", "std", "min", "p0.5", "p5", "p25", "p50", "p75", "p95", "p99.5", "max")
"""Of a channel's voxels those that are shown; a table has more."""
_OPPOSITE = {"min": "max", "p0.5": "p99.5", "p5": "p95", "p25": "p75"}
_AXES = "xyz"
_SIDES = (("source_", "before"), ("", "after"))
_LARGEST = float(np.finfo(np.float32).max)
_MM3_PER_ML = 1000.0


@dataclass(frozen=True, eq=False)
class Measure:
    """One number of each case.

    Attributes:
        name: As a filter and a column of the tables have it.
        title: For people.
        unit: ``mm``, ``voxels``, ``ml``, ``%``, ``°``, ``bytes`` or none.
        group: Which measures it is shown with.
        values: One per case, NaN where the case has none.
        subject: The channel, or the label map and value, that it is of; empty for one of the whole case.
    """

    name: str
    title: str
    unit: str
    group: Group
    values: Array
    subject: str = ""

    @property
    def rounded(self) -> Array:
        """The values as float32 has them, in which a page counts and compares: it holds no more of them."""
        return self.single.astype(np.float64)

    @property
    def single(self) -> NDArray[np.float32]:
        """The values as float32; what is beyond its largest number is that."""
        return np.clip(self.values, -_LARGEST, _LARGEST).astype(np.float32)

    def at(self, row: int) -> float | None:
        """One of these; None for NaN."""
        value = float(np.float32(np.clip(self.values[row], -_LARGEST, _LARGEST)))
        return None if value != value else value

    @property
    def is_size(self) -> bool:
        """Whether it is a positive size, of which ratios count rather than differences."""
        return self.unit in ("mm", "voxels", "ml", "bytes")


def measures_of(table: Table, agreement: Agreement) -> tuple[Measure, ...]:
    """Every measure of which at least one case has a number, group by group."""
    made = [
        *_grids(table),
        *_placement(table),
        *_intensities(table),
        *_foreground(table),
        *_volumes(table, agreement),
        *_files(table),
    ]
    return tuple(each for each in made if not np.isnan(each.values).all())


def class_name(agreement: Agreement, label: str, value: int) -> str:
    """What a value of a label map is called."""
    classes = agreement.labels.get(label)
    return (classes.names.get(value) if classes else None) or f"label {value}"


def label_columns(table: Table) -> Iterator[tuple[str, str, int]]:
    """Columns that count the voxels of a value other than 0, with label map and value."""
    for name in table:
        lead, _, rest = name.partition(".")
        label, _, value = rest.rpartition(".")
        if lead == "voxels" and value != "0":
            yield name, label, int(value)


def _grids(table: Table) -> Iterator[Measure]:
    spacing, shape = (
        {lead: [_column(table, f"{lead}{kind}_{axis}") for axis in _AXES] for lead, _ in _SIDES}
        for kind in ("spacing", "shape")
    )
    for lead, when in _SIDES:
        for axis, values in zip(_AXES, spacing[lead], strict=True):
            title = f"spacing {axis}, {when}"
            yield Measure(f"{lead}spacing_{axis}", title, "mm", "spacing", values)
    for lead, when in _SIDES:
        for axis, values in zip(_AXES, shape[lead], strict=True):
            title = f"shape {axis}, {when}"
            yield Measure(f"{lead}shape_{axis}", title, "voxels", "shape", values)
    for lead, when in _SIDES:
        for axis, step, count in zip(_AXES, spacing[lead], shape[lead], strict=True):
            title = f"field of view {axis}, {when}"
            yield Measure(f"{lead}extent_{axis}", title, "mm", "field of view", step * count)


def _placement(table: Table) -> Iterator[Measure]:
    if "oblique" in table:
        values = _column(table, "oblique")
        yield Measure("oblique", "largest angle to the patient's axes", "°", "orientation", values)


def _intensities(table: Table) -> Iterator[Measure]:
    ends = [name.removeprefix("statistics.") for name in table if name.startswith("statistics.")]
    channels = [end.removesuffix(".count") for end in ends if end.endswith(".count")]
    for channel in channels:
        for name in STATISTICS:
            if (column := f"statistics.{channel}.{name}") in table:
                title = f"{channel}: {_said(name)}, before"
                values = _column(table, column)
                yield Measure(column, title, "", "intensity before", values, channel)
        yield from _ends(table, channel)
    for channel in channels:
        for name, values in _after(table, channel).items():
            title = f"{channel}: {_said(name)}, after"
            yield Measure(f"after.{channel}.{name}", title, "", "intensity after", values, channel)


def _ends(table: Table, channel: str) -> Iterator[Measure]:
    """Shares of voxels at the ends of what is kept of a channel: of its clip, or of all its values."""
    for end, said in (("low", "lower"), ("high", "upper")):
        if (column := f"statistics.{channel}.at_{end}") in table:
            title = f"{channel}: share at the {said} end"
            values = 100 * _column(table, column)
            yield Measure(
                f"clipped.{channel}.{end}", title, "%", "intensity before", values, channel
            )


def _after(table: Table, channel: str) -> dict[str, Array]:
    """The statistics after the intensity steps; percentiles are the source's, put through the steps."""
    lead = f"statistics.{channel}."
    found = _after_line(table, lead) if f"{lead}scale" in table else {}
    for name in STATISTICS:
        if f"{lead}after_{name}" in table:  # of a chain that is no line each number is told
            told = _column(table, f"{lead}after_{name}")
            found[name] = np.where(np.isnan(told), found.get(name, np.nan), told)
    return {name: found[name] for name in STATISTICS if name in found}


def _after_line(table: Table, lead: str) -> dict[str, Array]:
    low, high = (_column(table, f"{lead}clip_{end}") for end in ("low", "high"))
    scale, offset = (_column(table, f"{lead}{name}") for name in ("scale", "offset"))
    found = {}
    for name in STATISTICS:
        if name in ("mean", "std"):
            values = np.full(len(scale), np.nan)
        elif f"{lead}{name}" in table:
            kept = np.fmin(np.fmax(_column(table, lead + name), low), high)  # NaN is no bound
            values = kept * scale + offset
        else:
            continue
        found[name] = values
    falls = scale < 0  # which turns the order round
    for one, other in _OPPOSITE.items():
        if one in found and other in found:
            low, high = found[one], found[other]
            found[one], found[other] = np.where(falls, high, low), np.where(falls, low, high)
    return found


def _said(statistic: str) -> str:
    named = {"p50": "median", "std": "standard deviation", "min": "minimum", "max": "maximum"}
    if statistic in named:
        return named[statistic]
    return f"percentile {statistic[1:]}" if statistic.startswith("p") else statistic


def _foreground(table: Table) -> Iterator[Measure]:
    if "kept" in table:
        title = "share of the source that the crop left"
        yield Measure("crop_kept", title, "%", "foreground", 100 * _column(table, "kept"))
    for name in table:
        if name.startswith("statistics.") and name.endswith(".foreground"):
            channel = name.removeprefix("statistics.").removesuffix(".foreground")
            title = f"{channel}: foreground share"
            values = 100 * _column(table, name)
            yield Measure(f"foreground.{channel}", title, "%", "foreground", values, channel)
    stored = np.prod([_column(table, f"shape_{axis}") for axis in _AXES], axis=0)
    for name in table:
        if name.startswith("voxels.") and name.endswith(".0"):
            label = name.removeprefix("voxels.").removesuffix(".0")
            counts = [_column(table, each) for each, of, _ in label_columns(table) if of == label]
            labelled = np.sum(counts, axis=0) if counts else 0 * _column(table, name)
            share = 100 * labelled / stored
            title = f"{label}: labelled share"
            yield Measure(f"labelled.{label}", title, "%", "foreground", share, label)


def _volumes(table: Table, agreement: Agreement) -> Iterator[Measure]:
    step = np.prod([_column(table, f"spacing_{axis}") for axis in _AXES], axis=0) / _MM3_PER_ML
    for column, label, value in label_columns(table):
        title = f"{label}: {class_name(agreement, label, value)}"
        volume = _column(table, column) * step
        yield Measure(f"ml.{label}.{value}", title, "ml", "labels", volume, f"{label}.{value}")


def _files(table: Table) -> Iterator[Measure]:
    for lead, when in _SIDES:
        values = _column(table, f"{lead}bytes")
        yield Measure(f"{lead}bytes", f"bytes, {when}", "bytes", "files", values)
    kinds, codes = np.unique(table["findings"].astype(str), return_inverse=True)
    counts = np.array([len(word.split(", ")) if word else 0 for word in kinds.tolist()], float)
    yield Measure("findings", "findings", "", "files", counts[codes])


def _column(table: Table, name: str) -> Array:
    return np.asarray(table[name], np.float64)
