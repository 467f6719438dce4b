"""An input file or series by itself, looked at as its file has it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gpuprep.config.model import Config
from gpuprep.values.errors import UsageError
from gpuprep.viewing.case_view import downloads, finding_view, side_view, windows_of
from gpuprep.viewing.links import Links
from gpuprep.viewing.provenance import facts
from gpuprep.viewing.side import ChannelView, LabelView, Line, Side, window_of
from gpuprep.viewing.sight import Sight
from gpuprep.viewing.subject import Inspection, inspect_path
from gpuprep.viewing.units import may_be_hu, unit_of
from gpuprep.viewing.voxels import HeldVoxels, Voxels


class InputSight(Sight):
    """What ``inspect_path`` found in an input, on the grid of its file."""

    def __init__(self, found: Inspection) -> None:
        """Look at an inspection of an input that could be read."""
        self._found = found
        self._record = {
            "headers": [dict(header) for header in found.headers],
            "channels": [channel.name for channel in found.channels],
            "statistics": [dict(channel.statistics) for channel in found.channels],
        }
        self._side = _side(found, self._record)

    @property
    def sides(self) -> Mapping[str, Side]:
        return {"before": self._side}

    @property
    def id(self) -> str:
        """The id that the input would have as a case."""
        return self._found.id

    def prepare(self, side_name: str) -> None:
        """It was read when it was opened."""

    def view(self, links: Links) -> dict[str, Any]:
        found, side = self._found, self._side
        header = [["read as", facts(each)] for each in found.headers]
        return {
            "id": found.id,
            "cohort": None,
            "before": side_view(side, links),
            "before_problem": None,
            "after": None,
            "crop": None,
            **windows_of([side]),
            "findings": [finding_view(finding) for finding in found.findings],
            "provenance": [["made from", str(found.path)], *header],
            "numbers": [
                ["measure", f"{channel.name} {key}", f"{channel.statistics[key]:.6g}"]
                for channel in found.channels
                for key in ("count", "min", "max", "mean", "std", "nan", "inf")
                if channel.statistics[key] is not None
            ],
            "record": self._record,
            "downloads": downloads([side], links),
        }

    def _voxels(
        self, side: Side, channel: int, label: str | None, level: int
    ) -> tuple[Voxels, int]:
        if label is None:
            return HeldVoxels(self._found.channels[channel].array), level
        maps = {each.name: each.array for each in self._found.labels}
        return HeldVoxels(maps[label], is_label=True), level


def input_sight(path: Path, config: Config) -> InputSight:
    """Look at an input: one file, a series, or the folder of one case.

    Raises:
        UsageError: nothing, or more than one case, is there.
        InputError: it cannot be read under the limits and policies of the config.
    """
    image = config.image.model_copy(update={"orientation": "keep"})
    found = inspect_path(path, config.model_copy(update={"image": image}))
    if found.failure is not None:
        raise found.failure
    if found.grid is None:
        raise UsageError(f"{path} has nothing to look at")
    return InputSight(found)


def _side(found: Inspection, record: dict[str, Any]) -> Side:
    assert found.grid is not None
    assert found.geometry is not None
    channels = tuple(
        ChannelView(
            channel.name,
            unit_of(record, number),
            Line(),
            window_of(_finite(channel.window), channel.statistics),
            may_be_hu=may_be_hu(record, number, channel.statistics),
        )
        for number, channel in enumerate(found.channels)
    )
    labels = tuple(LabelView(label.name, label.names, label.voxels) for label in found.labels)
    straight = found.geometry.distance(found.grid) < 1e-6  # mm
    note = "the file's axes are sheared or its slices uneven; it is shown on a straight grid"
    return Side("before", found.grid, channels, labels, () if straight else (note,))


def _finite(window: tuple[float, float]) -> tuple[float | None, float | None]:
    low, high = (end if math.isfinite(end) else None for end in window)
    return low, high
