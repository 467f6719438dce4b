"""Every number that was resolved for a case, step by step, in words, by its record."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from gpuprep.ops.table import Table
from gpuprep.values.geometry import Geometry
from gpuprep.viewing.provenance import crop_text

Row = list[str]


def resolved_numbers(record: Mapping[str, Any]) -> list[Row]:
    """Step, name and text of each number, in the order in which the steps are taken."""
    return [list(row) for row in _rows(record)]


def _rows(record: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    grids = record["geometry"]
    for name in ("source", "straight", "oriented"):
        if name in grids:
            yield "orientation", name, Geometry.from_json(grids[name]).describe()
    yield "crop", "box", crop_text(grids)
    names = record.get("channels") or [""]
    for number, values in enumerate(record.get("statistics", ())):
        name = names[number] if number < len(names) else f"channel {number}"
        yield from (("measure", f"{name} {key}", text) for key, text in _statistics(values))
    for number, step in enumerate(record.get("intensity", ())):
        name = names[number] if number < len(names) else f"channel {number}"
        yield from (("intensity", f"{name} {key}", text) for key, text in _intensity(step))
    mapping = record["mapping"]
    for key in ("scale", "offset"):
        yield "resample", f"{key} (z, y, x voxels)", _list(mapping[key])
    if mapping.get("separate_axis") is not None:
        yield "resample", "axis by itself", "zyx"[mapping["separate_axis"]]
    yield "resample", "output", Geometry.from_json(grids["output"]).describe()


def _statistics(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for key in ("count", "nan", "inf", "min", "max", "mean", "std"):
        if values.get(key) is not None:
            yield key, _number(values[key])
    for q, value in sorted(values.get("percentiles", {}).items(), key=lambda row: float(row[0])):
        if value is not None:
            yield f"percentile {q}", _number(value)


def _intensity(step: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    low, high = ("open" if end is None else _number(end) for end in step["clip"])
    yield "clip", f"{low} to {high}"
    if "table" in step:
        table = Table.from_json(step["table"])
        x, y = table.x, table.y
        yield "table", f"{len(x)} points, from ({_list((x[0], y[0]))}) to ({_list((x[-1], y[-1]))})"
    yield "scale", _number(step["scale"])
    yield "offset", _number(step["offset"])
    for key in ("limits", "output"):
        yield key, _list(step[key], " to ")


def _list(values: Any, between: str = ", ") -> str:
    return between.join(_number(value) for value in values)


def _number(value: float) -> str:
    """All digits of a number; a whole one without a point."""
    return f"{int(value):,}" if float(value).is_integer() and abs(value) < 1e15 else repr(value)
