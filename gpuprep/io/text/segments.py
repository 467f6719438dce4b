"""Segments of Slicer's ``.seg.nrrd``: their names, layers and values, and one label map of them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gpuprep.io.painting import paint, report_overlap
from gpuprep.io.rules import Reading
from gpuprep.io.scan import Voxels
from gpuprep.io.text.header import read_start, unreadable
from gpuprep.io.text.nrrd import looks_like_nrrd

_FIELD = re.compile(rb"^Segment(\d{1,6})_(Name|Layer|LabelValue):=([^\r\n]*)", re.MULTILINE)
_WHOLE = re.compile(r"[0-9]{1,10}")


class Segment(NamedTuple):
    """One segment: the layer that holds it, and its value there."""

    name: str
    layer: int
    value: int


def segments_in(path: Path) -> tuple[Segment, ...]:
    """The segments that the header of an NRRD file names, in its order; none of any other file.

    Files of Slicer before 4.11 tell no layers and values: each segment is a layer of ones.

    Raises:
        InputError: E_UNREADABLE for a layer or value that is no number, or the value 0 of the background.
    """
    start = read_start(path)
    if not looks_like_nrrd(start):
        return ()
    text = start.partition(b"\n\n")[0] if b"\n\n" in start else start.partition(b"\r\n\r\n")[0]
    told: dict[int, dict[str, str]] = {}
    for number, key, value in _FIELD.findall(text):
        told.setdefault(int(number), {})[key.decode()] = value.decode("utf-8", "replace").strip()
    found = []
    for number, fields in sorted(told.items()):
        layer, label = fields.get("Layer", str(number)), fields.get("LabelValue", "1")
        if not (_WHOLE.fullmatch(layer) and _WHOLE.fullmatch(label) and int(label)):
            told_of = f"segment {number} has the layer {layer[:60]!r} and the value {label[:60]!r}"
            raise unreadable(path, told_of)
        found.append(Segment(fields.get("Name") or f"segment {number}", int(layer), int(label)))
    return tuple(found)


def as_volume(groups: Sequence[Sequence[Segment]]) -> str:
    """How ``Source.volume`` names segments, those of a group becoming one value: ``0:1+0:3,1:1``."""
    return ",".join("+".join(f"{one.layer}:{one.value}" for one in group) for group in groups)


def combined(voxels: Voxels, volume: str, reading: Reading) -> Voxels:
    """One label map ``(1, z, y, x)`` of the segments that are meant: value 1 for the first group, and so on.

    Raises:
        InputError: E_LABEL_OVERLAP, unless its policy lets later ones win; E_UNREADABLE if there is no such
            layer.
    """
    names: dict[tuple[int, int], list[str]] = {}
    for one in segments_in(Path(reading.path)):
        names.setdefault((one.layer, one.value), []).append(one.name)
    groups = [
        [tuple(map(int, one.split(":"))) for one in group.split("+")] for group in volume.split(",")
    ]
    out = reading.allocate(
        (1, *voxels.shape[1:]), np.dtype(np.uint8 if len(groups) < 256 else np.uint16)
    )
    out[...] = 0
    shared: Counter[tuple[int, int]] = Counter()
    told = {}
    for value, group in enumerate(groups, start=1):
        told[value] = " + ".join(
            held.pop(0) if (held := names.get((layer, label))) else f"{layer}:{label}"
            for layer, label in group
        )
        for layer, label in group:
            if layer >= len(voxels):
                raise unreadable(
                    Path(reading.path), f"there is no layer {layer} among {len(voxels)}"
                )
            paint(out[0], voxels[layer] == label, value, shared)
    report_overlap(shared, told, reading)
    return out
