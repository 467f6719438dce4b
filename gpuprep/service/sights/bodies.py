"""What the JSON of one case holds, for the API's description."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict


class _Answer(BaseModel):
    model_config = ConfigDict(use_attribute_docstrings=True)


class ZarrLevel(_Answer):
    """Where the store holds a level."""

    store: str
    path: str
    channel: int | None
    codec: str
    """``blosc-lz4``, or ``other`` for what pages do not decode."""


class LevelView(_Answer):
    """One resolution of a channel or label map."""

    shape: list[int]
    affine: list[list[float]]
    nii: str
    zarr: ZarrLevel | None


class TableView(_Answer):
    """Points with straight lines between them, which go on beyond the outer two; both rows ascend."""

    x: list[float]
    """Values of the source."""
    y: list[float]
    """What they became."""


class LineView(_Answer):
    """``source = scale * stored + offset``; with a table that is its ``y``, whose ``x`` is the source."""

    scale: float
    offset: float
    table: TableView | None = None


class ChannelBody(_Answer):
    """A channel; ``window`` is in source values, or in stored ones where there is no line."""

    name: str
    unit: str
    line: LineView | None
    window: list[float]
    notes: list[str]
    levels: list[LevelView]


class LabelValue(_Answer):
    """A class; voxels and millilitres are null where they were not counted."""

    value: int
    name: str
    color: str
    voxels: int | None
    ml: float | None


class LabelBody(_Answer):
    """A label map; 0 is background and has no row."""

    name: str
    values: list[LabelValue]
    levels: list[LevelView]


class SideBody(_Answer):
    """The source or the stored case; everything as x, y, z."""

    shape: list[int]
    spacing: list[float]
    affine: list[list[float]]
    """RAS mm of an index x, y, z from 0."""
    axes: list[str]
    """The letter towards which each index grows."""
    oblique_degrees: float
    notes: list[str]
    channels: list[ChannelBody]
    labels: list[LabelBody]
    plane: str
    """A pattern of addresses: axis, index, channel, low, high and label are filled in."""


class CropBody(_Answer):
    """What was cut out of the source, in its voxels from 0, half open; corners are in RAS mm."""

    start: list[int]
    stop: list[int]
    corners: list[list[float]]


class WindowBody(_Answer):
    name: str
    level: float
    width: float


class FindingBody(_Answer):
    code: str
    text: str
    severity: str
    advice: str
    values: dict[str, Any]


class Download(_Answer):
    name: str
    url: str


class CaseBody(_Answer):
    """Everything that a page shows of one case."""

    id: str
    cohort: str | None
    before: SideBody | None
    before_problem: str | None
    """Why the source cannot be shown."""
    after: SideBody | None
    crop: CropBody | None
    windows: list[WindowBody]
    windows_assumed: bool
    """Whether the windows hold only if the values are HU, which nothing says."""
    findings: list[FindingBody]
    provenance: list[list[str]]
    """Name and text."""
    numbers: list[list[str]]
    """Step, name and text of every number that was resolved."""
    record: dict[str, Any]
    downloads: list[Download]
