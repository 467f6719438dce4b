"""RTSTRUCT: contours drawn on the slices of an image.

A voxel is inside a structure where its centre is inside its contours by the even-odd rule: on its row, an
odd number of edges lies at smaller x. All contours of a structure in one plane count together, so that a
contour within another one is a hole, and the channel of a keyhole is nothing. A centre upon an edge is inside
where the edge bounds from the left or from above, so that regions that share an edge share no voxel. Of a
structure that was traced along a mask (see ``traced``) the voxels that its contours run through are inside.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from gpuprep.io.dicom.deflated import open_plain
from gpuprep.io.dicom.drawn.structures import Choice
from gpuprep.io.dicom.drawn.traced import is_traced, mark_edges
from gpuprep.io.dicom.header import damaged, parsing
from gpuprep.io.frames_on_grid import FARTHEST, Grid
from gpuprep.io.painting import paint, report_overlap
from gpuprep.io.rules import Reading
from gpuprep.io.scan import Voxels

Points = NDArray[np.float64]

_DATA = Tag("ContourData")
_CLOSED = frozenset({"CLOSED_PLANAR", "CLOSEDPLANAR_XOR"})
_ON_SLICE = 0.01  # slices that a contour may be off one without a word
_ONE_PLANE = 0.1  # slices that contours of one plane may be apart
_SLANTED = 0.5  # slices that one contour may cross
_LEAST_POINTS = 3  # of a contour that encloses something
_CROSSINGS = 1 << 20  # of edges and rows that are looked at together
_EDGE = 0.51  # voxels beyond the centre of the outermost one that belong to it, and a bit


def inside(contours: list[Points], rows: int, columns: int) -> NDArray[np.bool_]:
    """The voxels ``(rows, columns)`` whose centres are inside closed contours, by the even-odd rule.

    Contours are ``(n, 2)`` in indices ``y, x``, voxel centres being whole numbers. An edge from ``y0`` to
    ``y1`` crosses the rows ``min ≤ y < max``; each crossing turns inside and outside from ``x`` on.
    """
    starts = np.concatenate(contours)
    ends = np.concatenate([np.roll(each, -1, axis=0) for each in contours])
    turns = np.zeros((rows, columns + 1), np.uint8)
    step = max(1, _CROSSINGS // rows)
    for at in range(0, len(starts), step):
        _turn(turns, starts[at : at + step], ends[at : at + step])
    limits = np.array((rows, columns))
    top, left = np.clip(np.floor(starts.min(axis=0)), 0, limits).astype(int)
    bottom, right = np.clip(np.ceil(starts.max(axis=0)) + 1, 0, limits).astype(int)
    mask = np.zeros((rows, columns), np.bool_)
    part = np.bitwise_xor.accumulate(turns[top:bottom, left:right], axis=1)
    mask[top:bottom, left:right] = part.view(np.bool_)
    return mask


def _turn(turns: NDArray[np.uint8], starts: Points, ends: Points) -> None:
    """Note in ``turns``, ``(rows, columns + 1)``, where edges cross rows."""
    rows, columns = turns.shape[0], turns.shape[1] - 1
    first = np.clip(np.ceil(np.minimum(starts[:, 0], ends[:, 0])), 0, rows).astype(np.intp)
    last = np.clip(np.ceil(np.maximum(starts[:, 0], ends[:, 0])), 0, rows).astype(np.intp)
    counts = last - first
    edges = np.repeat(np.arange(len(starts)), counts)
    y = np.arange(len(edges)) - np.repeat(np.cumsum(counts) - counts, counts) + first[edges]
    (y0, x0), (y1, x1) = starts[edges].T, ends[edges].T
    low = y0 <= y1  # either way along an edge gives one number, so that shared edges cancel
    ya, xa, yb, xb = (np.where(low, *pair) for pair in ((y0, y1), (x0, x1), (y1, y0), (x1, x0)))
    x = np.clip(np.ceil(xa + (y - ya) * ((xb - xa) / (yb - ya))), 0, columns).astype(np.intp)
    np.bitwise_xor.at(turns, (y, x), 1)


@dataclass(slots=True)
class _Told:
    """What is odd about the contours of a file."""

    off: int = 0
    farthest: float = 0.0
    beyond: int = 0
    crowded: int = 0
    repeated: int = 0
    open: int = 0
    traced: int = 0
    skipped: dict[str, int] = field(default_factory=dict)


def drawn(
    path: Path, choice: Choice, names: dict[int, str], image: Grid, reading: Reading, out: Voxels
) -> None:
    """Write the values of structures into ``out`` ``(z, y, x)`` on the image's grid, which is 0.

    Raises:
        InputError: E_NOT_VOLUME if contours do not run along the slices; E_LABEL_OVERLAP; E_UNREADABLE.
    """
    with parsing(path):
        with open_plain(path) as file:
            dataset = pydicom.dcmread(file, force=True, stop_before_pixels=True)
        for keyword in ("StructureSetROISequence", "ROIContourSequence"):
            if keyword not in dataset:  # an empty one holds nothing; a cut file has none
                raise damaged(path, f"it breaks off before its {keyword}, or has none")
        listed = [int(each.ROINumber) for each in dataset.get("StructureSetROISequence") or ()]
        found: dict[int, list[Dataset]] = defaultdict(list)
        for each in dataset.get("ROIContourSequence") or ():
            found[int(each.ReferencedROINumber)] += each.get("ContourSequence") or ()
    _check_numbers(path, listed, {number for number, contours in found.items() if contours})
    told, shared = _Told(), Counter[tuple[int, int]]()
    for value, places in choice:
        covered: set[int] = set()
        for place in sorted(places):
            with parsing(path):
                contours = [
                    _points(each, path) for each in found[listed[place - 1]] if _closed(each, told)
                ]
            groups = _by_slice(contours, names[value], image, told, reading)
            for z, mask in _masks(groups, (out.shape[1], out.shape[2]), told):
                paint(out[z], mask, value, shared)
                covered.add(z)
        if covered and (gap := max(covered) - min(covered) + 1 - len(covered)):
            told.skipped[names[value]] = gap
    report_overlap(shared, names, reading)
    _report(told, image, reading)


def _masks(
    groups: dict[int, list[Points]], plane: tuple[int, int], told: _Told
) -> Iterator[tuple[int, NDArray[np.bool_]]]:
    """The voxels of one structure in each of its slices."""
    traced = is_traced([each for group in groups.values() for each in group], *plane)
    for z, group in groups.items():
        closed = [each for each in group if len(each) >= _LEAST_POINTS]
        if traced:
            told.traced += len(group)
        else:
            told.open += len(group) - len(closed)
        if not (traced or closed):
            continue
        mask = inside(closed, *plane) if closed else np.zeros(plane, np.bool_)
        if traced:
            mark_edges(mask, group)
        yield z, mask


def _check_numbers(path: Path, listed: list[int], drawn_for: set[int]) -> None:
    """Refuse contours that are of no structure, or of two."""
    if strange := sorted(drawn_for - set(listed)):
        raise damaged(path, f"contours are of ROI {strange[0]}, which the file does not name")
    if twice := [number for number, count in Counter(listed).items() if count > 1]:
        raise damaged(path, f"two ROIs have the number {twice[0]}")


def _closed(contour: Dataset, told: _Told) -> bool:
    closed = str(contour.get("ContourGeometricType") or "").upper() in _CLOSED
    told.open += not closed
    return closed


def _points(contour: Dataset, path: Path) -> Points:
    """LPS mm ``(n, 3)``; from the text itself, as pydicom makes an object of every number."""
    held = contour.get_item(_DATA)
    if isinstance(held, RawDataElement) and isinstance(held.value, bytes):
        numbers = np.array(held.value.strip(b" \0").split(b"\\"), np.bytes_).astype(np.float64)
    else:
        numbers = np.array(contour.get("ContourData") or [], np.float64)
    sound = numbers.size and not numbers.size % 3 and np.isfinite(numbers).all()
    if not sound or np.abs(numbers).max() > FARTHEST:
        raise damaged(path, f"a contour has {numbers.size} numbers, which are no points")
    return numbers.reshape(-1, 3)


def _by_slice(
    contours: list[Points], name: str, image: Grid, told: _Told, reading: Reading
) -> dict[int, list[Points]]:
    """Contours by the slice they are nearest to, each ``y, x``; of several planes there the nearest one."""
    depth, *plane = image.geometry.shape
    planes: dict[int, list[tuple[float, Points]]] = defaultdict(list)
    for contour in contours:
        index = (image.of_slices or image).index(contour)
        if np.ptp(index[:, 0]) > _SLANTED:
            raise reading.error(
                "E_NOT_VOLUME",
                f"a contour of {name} crosses {np.ptp(index[:, 0]):.3g} slices of the image: it was drawn in "
                f"other planes than those of {image.geometry.describe()}",
                "Give the series that it was drawn on.",
            )
        height = float(index[:, 0].mean())
        z = math.floor(height + 0.5)
        is_within = (index[:, 1:] >= -_EDGE) & (index[:, 1:] <= np.array(plane) - 1 + _EDGE)
        if not 0 <= z < depth or not is_within.all():
            told.beyond += 1
        if not 0 <= z < depth:
            continue
        planes[z].append((height - z, index[:, 1:]))
    kept = {}
    for z, group in sorted(planes.items()):
        nearest = min((off for off, _ in group), key=abs)
        near = [points for off, points in group if abs(off - nearest) <= _ONE_PLANE]
        kept[z] = list({points.tobytes(): points for points in near}.values())
        told.crowded += len(group) - len(near)
        told.repeated += len(near) - len(kept[z])
        told.off += sum(abs(off) > _ON_SLICE for off, _ in group)
        told.farthest = max(told.farthest, *(abs(off) for off, _ in group))
    return kept


def _report(told: _Told, image: Grid, reading: Reading) -> None:
    step = image.geometry.spacing[2]
    gaps = ", ".join(f"{name} {count}" for name, count in list(told.skipped.items())[:5])
    said = [
        (told.off, f"{told.off} contours lie up to {told.farthest * step:.3g} mm off their slices"),
        (told.beyond, f"{told.beyond} lie beyond the image, at least in part"),
        (
            told.crowded,
            f"{told.crowded} lie on a slice that another plane of contours is nearer to",
        ),
        (told.repeated, f"{told.repeated} are another one once more, and were left out"),
        (told.open, f"{told.open} are points or open lines, which enclose nothing"),
        (told.traced, f"{told.traced} run from voxel centre to voxel centre, which are inside"),
        (len(told.skipped), f"slices without contours lie between others ({gaps})"),
    ]
    texts = [text for count, text in said if count]
    if texts:
        reading.report(
            "W_CONTOURS",
            "; ".join(texts),
            off=told.off,
            beyond=told.beyond,
            crowded=told.crowded,
            repeated=told.repeated,
            open=told.open,
            traced=told.traced,
            skipped=dict(told.skipped),
        )
