"""Both sides of a stored case by its record and its arrays' descriptions; no voxel is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from gpuprep.store.layout import GROUP_FILE, IMAGE_ARRAY, image_array, label_array
from gpuprep.store.metadata import parse_document
from gpuprep.store.stored_case import StoredCase
from gpuprep.values.agreement import unnamed
from gpuprep.values.geometry import Geometry, shear_degrees
from gpuprep.viewing.side import (
    OTHER_CODEC,
    ChannelView,
    LabelView,
    Line,
    Side,
    window_of,
)
from gpuprep.viewing.units import may_be_hu, suv_notes, unit_of

_LZ4 = ("lz4", "lz4hc")
_REGRIDDED = {
    "W_LABEL_MAPPED": "label.map replaced values of the file; the values are the new ones",
    "W_LABEL_RENUMBERED": "the values are the cohort's, the file numbers its classes otherwise",
    "E_SHAPE_MISMATCH": "a label or channel was brought to the image's grid by its geometry",
    "W_LABEL_REGRID": "the label was brought to the image's grid by its geometry",
    "W_CHANNEL_REGRID": "a channel was brought to the first one's grid by its geometry",
}


def before_side(case: StoredCase) -> Side:
    """The source as it is shown: on its file's grid, straightened where that was sheared or uneven."""
    record = case.record
    grids = record["geometry"]
    channels = tuple(
        ChannelView(
            name,
            unit_of(record, number),
            Line(),
            window_of((None, None), statistics),
            may_be_hu=may_be_hu(record, number, statistics),
        )
        for number, (name, statistics) in enumerate(
            zip(_channel_names(case), _statistics(record), strict=False)
        )
    )
    labels = tuple(LabelView(name, _value_names(case, name), None) for name in case.labels)
    source = Geometry.from_json(grids["source"])
    notes = []
    if "straight" in grids:
        turned = shear_degrees(source.affine)
        uneven = ", with uneven slices" * bool(grids.get("heights"))
        notes.append(
            f"the file's axes are sheared by {turned:.3g}°{uneven}; its voxels are shown on the straight "
            "grid on which the case was made"
        )
    codes = {row["code"] for row in record.get("findings", ())}
    notes += [text for code, text in _REGRIDDED.items() if code in codes]
    geometry = Geometry.from_json(grids.get("straight", grids["source"]))
    return Side("before", geometry, channels, labels, tuple(notes))


def after_side(case: StoredCase, *, outside_zeroed: bool = False) -> Side:
    """The stored case.

    Args:
        case: The case.
        outside_zeroed: Whether voxels outside the foreground were set to 0, as its config says; a record that
            tells it of each channel counts more.
    """
    record = case.record
    channels = tuple(
        replace(
            _stored_channel(
                name,
                unit_of(record, number),
                step,
                statistics,
                outside_zeroed,
                _filters(record, number),
                suv_notes(record, number),
            ),
            may_be_hu=may_be_hu(record, number, statistics)
            and "clahe" not in _filters(record, number),
        )
        for number, (name, step, statistics) in enumerate(
            zip(_channel_names(case), record["intensity"], record["statistics"], strict=False)
        )
    )
    labels = tuple(
        LabelView(name, _value_names(case, name), {int(v): n for v, n in counts.items()})
        for name, counts in record["labels"].items()
        if name in case.labels
    )
    codecs = {name: _codec(case, label_array(name)) for name in case.labels}
    if case.image is not None:
        codecs[IMAGE_ARRAY] = _codec(case, IMAGE_ARRAY)
    return Side(
        "after",
        case.geometry,
        channels,
        labels,
        _after_notes(record),
        stored_levels=stored_levels(case),
        codecs=codecs,
        output=case.output,
    )


def stored_levels(case: StoredCase) -> int:
    """How many levels the store holds, that of full resolution counted."""
    name = next(iter(case.labels), "")
    levels = 1
    while True:
        path = image_array(levels) if case.image is not None else label_array(name, levels)
        if case.place_of(f"{path}/{GROUP_FILE}") not in case.record["files"]:
            return levels
        levels += 1


def _filters(record: Mapping[str, Any], channel: int) -> tuple[str, ...]:
    """The names of the filters of a channel, in their order."""
    rows = record.get("filters", ())
    return tuple(str(name) for entry in rows[channel] for name in entry) if rows else ()


def _statistics(record: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """What is known of the source's values: of channels that CLAHE gave another unit, their range alone."""
    told: list[Mapping[str, Any]] = list(record["statistics"])
    for number, ends in enumerate(record.get("unfiltered", ())):
        if ends is not None:
            told[number] = {"min": ends[0], "max": ends[1]}
    return told


def _channel_names(case: StoredCase) -> tuple[str, ...]:
    if case.image is None:
        return ()
    number = 1 if case.image.ndim == 3 else case.image.shape[0]
    told = case.record["channels"]
    return tuple(map(str, told)) if len(told) == number else unnamed(number)


def _value_names(case: StoredCase, label: str) -> Mapping[int, str]:
    return case.label_names.get(label, {})


def _stored_channel(
    name: str,
    unit: str,
    step: Mapping[str, Any],
    statistics: Mapping[str, Any],
    zeroed: bool,  # noqa: FBT001  (said by name above)
    filters: tuple[str, ...],
    suv: tuple[str, ...],
) -> ChannelView:
    if "clahe" in filters:
        told = "clahe gave the voxels another unit, from which no value of the source follows"
        return ChannelView(name, "", None, window_of(step["output"], {}), (told,))
    line = Line.back(step)
    zeroed = step.get("outside", "zero" if zeroed else "keep") == "zero"
    low, high = step["clip"]
    if line is None:
        low, high = step["output"]
        told = "every voxel holds one value, from which no value of the source follows"
        return ChannelView(name, "", None, window_of((low, high), {}), (told,))
    notes = [*suv]
    if filters:
        notes.append(f"values are those of the source after its filters: {', '.join(filters)}")
    if line.table is not None:
        notes.append("values of the source are led back through a table, to within its rounding")
    if low is not None or high is not None:
        ends = [f"below {low:g}"] * (low is not None) + [f"above {high:g}"] * (high is not None)
        notes.append(f"values {' and '.join(ends)}{' ' * bool(unit)}{unit} are clipped to the end")
    if zeroed:
        notes.append("voxels outside the foreground are 0, whatever the source holds there")
    return ChannelView(name, unit, line, window_of((low, high), statistics), tuple(notes))


def _after_notes(record: Mapping[str, Any]) -> tuple[str, ...]:
    if "reference" not in record["geometry"]:
        return ()
    return ("where the reference's grid goes beyond the source, voxels hold the lowest value",)


def _codec(case: StoredCase, array: str) -> str:
    """What compresses the chunks, as far as pages can decode it."""
    file = case.place_of(f"{array}/{GROUP_FILE}")
    document = parse_document(case.path.document(file), f"{case.path / file}")
    for codec in document["codecs"][0]["configuration"]["codecs"]:
        told = codec.get("configuration", {})
        if codec["name"] == "blosc" and told.get("cname") in _LZ4:
            return "blosc-lz4"
    return OTHER_CODEC
