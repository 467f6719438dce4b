"""One side of a case as it is looked at: its grid, its channels with units, its label maps with classes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gpuprep.drawing.colours import colour_text
from gpuprep.ops.table import Table
from gpuprep.values.geometry import Geometry

Range = tuple[float, float]

OTHER_CODEC = "other"


@dataclass(frozen=True, slots=True)
class Line:
    """How stored values lead back to those of the source: ``source = scale * stored + offset``.

    Where the source went through a table, that is the table's result, and the table leads further back.
    """

    scale: float = 1.0
    offset: float = 0.0
    table: Table | None = None

    @classmethod
    def back(cls, step: Mapping[str, Any]) -> Line | None:
        """The inverse of a channel's recorded line and table; None where the line has none.

        >>> Line.back({"scale": 0.5, "offset": -1.0})
        Line(scale=2.0, offset=2.0, table=None)
        """
        scale, offset = float(step["scale"]), float(step["offset"])
        if not scale or not math.isfinite(1.0 / scale):
            return None
        table = Table.from_json(step["table"]) if "table" in step else None
        return cls(1.0 / scale, -offset / scale + 0.0, table)

    def to_json(self) -> dict[str, Any]:
        table = {} if self.table is None else {"table": self.table.to_lists()}
        return {"scale": self.scale, "offset": self.offset, **table}

    def stored(self, value: float) -> float:
        """The stored value of one of the source."""
        if self.table is not None:
            value = self.table(value)
        return (value - self.offset) / self.scale


@dataclass(frozen=True, slots=True)
class ChannelView:
    """A channel.

    Attributes:
        line: The way back to the source's values; None where there is none.
        window: What a viewer should show first, in the source's values, or in stored ones without a line.
        notes: What the line does not tell, as sentences.
        may_be_hu: Whether the source's values look like HU, and nothing says what they are.
    """

    name: str
    unit: str
    line: Line | None
    window: Range
    notes: tuple[str, ...] = ()
    may_be_hu: bool = False


@dataclass(frozen=True, slots=True)
class LabelView:
    """A label map: the names of its values, and the voxels of each, where these were counted."""

    name: str
    names: Mapping[int, str]
    voxels: Mapping[int, int] | None

    def to_json(self, voxel_ml: float) -> list[dict[str, Any]]:
        """A row for each value but 0 that is named or present."""
        counted = self.voxels or {}
        rows = []
        for value in sorted({*self.names, *counted} - {0}):
            voxels = None if self.voxels is None else counted.get(value, 0)
            rows.append(
                {
                    "value": value,
                    "name": self.names.get(value, f"label {value}"),
                    "color": colour_text(value),
                    "voxels": voxels,
                    "ml": None if voxels is None else voxels * voxel_ml,
                }
            )
        return rows


@dataclass(frozen=True)
class Side:
    """The source (``before``) or the stored case (``after``)."""

    name: str
    geometry: Geometry
    channels: tuple[ChannelView, ...]
    labels: tuple[LabelView, ...]
    notes: tuple[str, ...] = ()
    stored_levels: int = 1
    codecs: Mapping[str, str] = field(default_factory=dict)
    """By array (``0``, or the label's name): ``blosc-lz4``, or ``other`` for what pages cannot decode."""
    output: str = ""
    """The output of the stored case that is shown, where it has several."""


def window_of(ends: Sequence[float | None], statistics: Mapping[str, Any]) -> Range:
    """What to show first: the clip where it has two ends, else percentiles, else all there is."""
    told = statistics.get("percentiles", {})
    for low, high in (ends, (told.get("0.5"), told.get("99.5"))):
        if low is not None and high is not None and low < high:
            return float(low), float(high)
    low, high = statistics.get("min"), statistics.get("max")
    if low is None or high is None:
        return 0.0, 1.0
    return float(low), float(high) if high > low else float(low) + 1.0
