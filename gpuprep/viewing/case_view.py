"""Everything that a page shows of one case, as JSON; voxels are behind the addresses in it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from gpuprep.export.native import NativeGrid
from gpuprep.store.stored_case import StoredCase
from gpuprep.values.findings import Finding
from gpuprep.values.geometry import Geometry
from gpuprep.values.windows import WINDOWS
from gpuprep.viewing.levels import level_grids
from gpuprep.viewing.links import Links
from gpuprep.viewing.numbers import resolved_numbers
from gpuprep.viewing.provenance import provenance_rows
from gpuprep.viewing.side import Side
from gpuprep.viewing.units import HU

Tree = dict[str, Any]


def case_view(
    case: StoredCase,
    sides: Sequence[Side],
    links: Links,
    cohort: str | None = None,
    before_problem: str = "",
) -> Tree:
    """The view of a stored case.

    Args:
        case: The case.
        sides: Those that can be shown.
        links: Where its parts are read.
        cohort: The cohort's name.
        before_problem: Why the source cannot be shown; empty where it can.
    """
    record = case.record
    shown = {side.name: side_view(side, links) for side in sides}
    raw = sum(array.dtype.itemsize * int(np.prod(array.shape)) for array in _arrays(case))
    return {
        "id": case.id,
        "cohort": cohort,
        "before": shown.get("before"),
        "before_problem": before_problem or None,
        "after": shown.get("after"),
        "crop": _crop(NativeGrid.of(record, case.geometry)),
        **windows_of(sides),
        "findings": [finding_view(finding) for finding in case.findings],
        "provenance": [
            list(row)
            for row in provenance_rows(record, raw_bytes=raw, stored_bytes=case.stored_bytes)
        ],
        "numbers": resolved_numbers(record),
        "record": record,
        "downloads": downloads(sides, links),
    }


def side_view(side: Side, links: Links) -> Tree:
    """One side: its grid as x, y, z, and every level of every channel and label map."""
    grids = level_grids(side.geometry, stored=side.stored_levels)
    many = len(side.channels) > 1

    def levels(channel: int = 0, label: str | None = None) -> list[Tree]:
        held = channel if many and label is None else None
        return [
            {
                "shape": list(grid.size),
                "affine": grid.affine_ras.tolist(),
                "nii": links.volume(side.name, level, channel=channel, label=label),
                "zarr": links.zarr(side, level, held, label or ""),
            }
            for level, grid in enumerate(grids)
        ]

    voxel_ml = float(np.prod(side.geometry.spacing)) / 1000
    return {
        "shape": list(side.geometry.size),
        "spacing": list(side.geometry.spacing),
        "affine": side.geometry.affine_ras.tolist(),
        "axes": list(side.geometry.orientation),
        "oblique_degrees": side.geometry.oblique_degrees,
        "notes": list(side.notes),
        "channels": [
            {
                "name": channel.name,
                "unit": channel.unit,
                "line": None if channel.line is None else channel.line.to_json(),
                "window": list(channel.window),
                "notes": list(channel.notes),
                "levels": levels(number),
            }
            for number, channel in enumerate(side.channels)
        ],
        "labels": [
            {
                "name": label.name,
                "values": label.to_json(voxel_ml),
                "levels": levels(label=label.name),
            }
            for label in side.labels
        ],
        "plane": links.plane(side.name),
    }


def windows_of(sides: Sequence[Side]) -> Tree:
    """The windows of tissues, where some channel is in HU, or may be; and which of the two."""
    channels = [channel for side in sides for channel in side.channels]
    known = any(channel.unit == HU for channel in channels)
    assumed = not known and any(channel.may_be_hu for channel in channels)
    windows = [asdict(window) for window in WINDOWS.values()] if known or assumed else []
    return {"windows": windows, "windows_assumed": assumed}


def finding_view(finding: Finding) -> Tree:
    """A finding: its code, what it says, and the numbers behind it."""
    return {
        "code": finding.code,
        "text": finding.message,
        "severity": finding.severity,
        "advice": finding.advice,
        "values": dict(finding.values),
    }


def _arrays(case: StoredCase) -> list[Any]:
    return [array for array in (case.image, *case.labels.values()) if array is not None]


def _crop(grid: NativeGrid) -> Tree:
    """The box in voxels of the source, and its eight corners where its outermost voxels end."""
    ends = np.array([[part.start, part.stop] for part in grid.box])  # of the oriented grid
    own = np.empty_like(ends)
    turned = zip(grid.reorientation.axes, grid.reorientation.flips, strict=True)
    for new, (old, flip) in enumerate(turned):
        length = grid.oriented.shape[new]
        own[old] = length - ends[new][::-1] if flip else ends[new]
    return {
        "start": own[::-1, 0].tolist(),
        "stop": own[::-1, 1].tolist(),
        "corners": _corners(grid.source, own).tolist(),
    }


def _corners(source: Geometry, box: Any) -> Any:
    """RAS mm of where the outermost voxels of a box end, ``(8, 3)``."""
    index = np.array(list(itertools.product(*(box - 0.5))), np.float64)[:, ::-1]  # x, y, z
    affine = source.affine_ras
    return index @ affine[:3, :3].T + affine[:3, 3]


def downloads(sides: Sequence[Side], links: Links) -> list[Tree]:
    """Every channel and label map at full resolution, by name."""
    found = []
    for side in sides:
        what = "source" if side.name == "before" else "stored"
        for number, channel in enumerate(side.channels):
            url = links.volume(side.name, 0, channel=number)
            found.append({"name": f"{what}: {channel.name}", "url": url})
        for label in side.labels:
            url = links.volume(side.name, 0, label=label.name)
            found.append({"name": f"{what}: label {label.name}", "url": url})
    return found


def json_texts(tree: Any) -> Any:
    """A tree in which every text can be encoded: bytes of file names that are no text are written out."""
    return changed_texts(tree, _encodable)


def _encodable(text: str) -> str:
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def changed_texts(tree: Any, change: Callable[[str], str]) -> Any:
    """A tree whose texts, keys among them, are each what ``change`` makes of them."""
    match tree:
        case str():
            return change(tree)
        case Mapping():
            return {
                changed_texts(key, change): changed_texts(value, change)
                for key, value in tree.items()
            }
        case list() | tuple():
            return [changed_texts(value, change) for value in tree]
    return tree
