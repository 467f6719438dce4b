"""Where the slices of a series lie: sorted along their normal, once each, evenly, straight above another."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuprep.io.dicom.pixels import is_native, native_bytes
from gpuprep.io.dicom.problem import Problem
from gpuprep.io.dicom.rounding import is_rounded, rounding_of
from gpuprep.io.dicom.slice import Slice
from gpuprep.io.dicom.telling import seen_of
from gpuprep.io.dicom.volumes import volumes_among
from gpuprep.io.hashed import open_regular
from gpuprep.io.rules import Reading
from gpuprep.values.geometry import Geometry

Vectors = NDArray[np.float64]

_EVEN = 0.01  # of the median gap: by this a gap may deviate from it, whatever the tolerance
_EVEN_MM = 0.01  # slices no further apart lie at one position; a smaller deviation is not told
_DRIFT = 0.1  # of the median gap: by this a slice may lie off even steps
_CROOKED_MM = 0.1  # off a line: by this a slice of a tilted series may lie, whatever the tolerance
_TILT_DEGREES = 0.1  # a smaller tilt of the gantry is rounding
_COPIES = "copies of one another"
_TOLD = 4  # places named in a message; all of them are in its values


def along_normal(slices: Sequence[Slice], tolerance: float) -> tuple[list[Slice], list[Problem]]:
    """Slices sorted, one per position, and what is wrong with the positions.

    ``tolerance`` is ``ReadRules.slice_tolerance``.
    """
    normal = normal_of(slices[0])
    heights = {id(one): float(np.dot(one.position, normal)) for one in slices}
    ordered = sorted(slices, key=lambda one: (heights[id(one)], one.number, one.part))
    places = [[ordered[0]]]
    for one in ordered[1:]:
        if heights[id(one)] - heights[id(places[-1][0])] > _EVEN_MM:
            places.append([one])
        else:
            places[-1].append(one)
    problems = []
    if len(places) < len(ordered):
        places, told = _by_volume(places)
        problems.append(_duplicates(places, told_apart=told))
    kept = [place[0] for place in places]
    positions = np.array([one.position for one in kept])
    along, aside = rounding_of(positions, normal)
    problems += _uneven(positions, normal, tolerance, along)
    problems += _tilted(positions, normal, aside)
    return kept, problems


def _by_volume(places: list[list[Slice]]) -> tuple[list[list[Slice]], bool]:
    """At each place the slice of the first volume first, and so on; and whether volumes are told apart."""
    slices = [one for place in places for one in place]
    parts = volumes_among([seen_of(one) for one in slices])
    if len(parts) == 1:
        return places, False
    volume_of = {
        id(slices[member]): number for number, part in enumerate(parts) for member in part.members
    }
    return [sorted(place, key=lambda one: volume_of[id(one)]) for place in places], True


def _duplicates(places: Sequence[Sequence[Slice]], *, told_apart: bool) -> Problem:
    """Copies; or several volumes where every place has as many slices; or slices too many."""
    crowded = [place for place in places if len(place) > 1]
    likeness = [_likeness(place) for place in crowded]
    copied = set(likeness) == {_COPIES}
    each = len(places[0])
    if not copied and len(places) > 1 and all(len(place) == each for place in places):
        text = f"{each} slices at each of {len(places)} positions: the series holds {each} volumes"
        return Problem("E_MIXED_SERIES", text, {"volumes": each}, told_apart)
    shown = "; ".join(
        f"{len(place)} at {_at(place[0].position)}, {words}"
        for place, words in zip(crowded[:_TOLD], likeness, strict=False)
    )
    total = sum(len(place) for place in places)
    plural = "s" if len(places) > 1 else ""
    values = {
        "slices": total,
        "positions": len(places),
        "repeated_mm": [list(place[0].position) for place in crowded],
    }
    text = f"{total} slices at only {len(places)} position{plural}: {shown}{_more(crowded)}"
    return Problem("E_SLICE_DUP", text, values, copied)


def _likeness(place: Sequence[Slice]) -> str:
    first = place[0]
    apart = [np.linalg.norm(np.subtract(one.position, first.position)) for one in place]
    if max(apart) > _EVEN_MM:
        return f"up to {max(apart):.2f} mm beside one another"
    stored = _stored(first)
    copies = all(_meaning(one) == _meaning(first) and _stored(one) == stored for one in place[1:])
    return _COPIES if stored is not None and copies else "with different pixels"


def _meaning(one: Slice) -> tuple[object, ...]:
    """What stored bytes are read by."""
    bits = (one.bits_allocated, one.bits_stored, one.high_bit, one.signed)
    return (one.line, one.table, *bits, one.padding, one.syntax)


def _stored(one: Slice) -> bytes | None:
    """The pixels as stored; None for a compressed frame among others, which is not looked for."""
    if is_native(one):
        return native_bytes(one)
    if one.frames > 1:
        return None
    with open_regular(Path(one.path)) as file:
        file.seek(one.header_bytes)
        return file.read()


def _uneven(
    positions: Vectors, normal: Vectors, tolerance: float, rounding: float
) -> list[Problem]:
    """Gaps unlike the others, or adding up; a note where a tolerance or ``rounding`` explains them."""
    heights = positions @ normal
    gaps = np.diff(heights)
    if len(gaps) < 2:
        return []
    middle = float(np.median(gaps))
    odd = np.abs(gaps - middle) > max(tolerance, _EVEN * middle)
    off = float(np.abs(heights - np.linspace(heights[0], heights[-1], len(heights))).max())
    explained = is_rounded(heights, rounding)
    if explained or (not odd.any() and off <= max(tolerance, _DRIFT * middle)):
        return _nearly_even(off, explained=explained)
    if not odd.any():
        text = f"slices are uneven: at even steps some would lie {off:.2f} mm from where they are"
        return [Problem("E_SLICE_GAP", text, {"largest_mm": off})]
    counts = Counter(f"{gap:.2f}" for gap in gaps).most_common()
    shown = ", ".join(gap for gap, _ in counts[:6]) + (" …" if len(counts) > 6 else "")
    often = ", ".join(f"{count}×" for _, count in counts[:6])
    places = [
        {
            "after_mm": positions[index].tolist(),
            "before_mm": positions[index + 1].tolist(),
            "missing": _missing(float(gaps[index]), middle),
        }
        for index in np.flatnonzero(odd)
    ]
    text = f"slices are uneven: gaps {shown} mm ({often}); {_told(places)}{_more(places)}"
    values = {"gaps_mm": sorted({float(gap) for gap, _ in counts}), "places": places}
    return [Problem("E_SLICE_GAP", text, values)]


def _nearly_even(off: float, *, explained: bool) -> list[Problem]:
    """What is told of slices that count as even; nothing where they are."""
    if off <= _EVEN_MM:
        return []
    why = ": positions are rounded to one decimal" if explained else ""
    text = f"slices lie up to {off:.3f} mm off even steps, which were taken{why}"
    return [Problem("W_GEOMETRY_TOLERANCE", text, {"mm": off})]


def _missing(gap: float, middle: float) -> int:
    """How many slices a gap is short of; 0 if it is no multiple of the others."""
    steps = round(gap / middle)
    return steps - 1 if abs(gap - steps * middle) <= _EVEN * gap else 0


def _told(places: Sequence[dict[str, Any]]) -> str:
    return "; ".join(
        (f"{place['missing']} missing" if place["missing"] else "another gap")
        + f" between {_at(place['after_mm'])} and {_at(place['before_mm'])}"
        for place in places[:_TOLD]
    )


def _at(position: Sequence[float]) -> str:
    return f"({', '.join(f'{value:.2f}' for value in position)}) mm"


def _more(places: Sequence[Any]) -> str:
    return f"; and {len(places) - _TOLD} more places" if len(places) > _TOLD else ""


def _tilted(positions: Vectors, normal: Vectors, rounding: float) -> list[Problem]:
    steps = positions - positions[0]
    along = steps @ normal
    aside = np.linalg.norm(steps - along[:, None] * normal, axis=1)
    worst = int(aside.argmax())
    shift = float(aside[worst])
    allowed = math.tan(math.radians(_TILT_DEGREES)) * float(along[-1])
    if shift <= allowed + _EVEN_MM:
        return []
    if shift <= allowed + 2 * rounding:  # of the first slice, and of this one
        text = f"slices shift by up to {shift:.3f} mm, which was ignored"
        text += ": positions are rounded to one decimal"
        return [Problem("W_GEOMETRY_TOLERANCE", text, {"mm": shift})]
    degrees = math.degrees(math.atan2(shift, float(along[worst])))
    text = f"the gantry was tilted by {degrees:.1f}°, so slices shift by up to {shift:.2f} mm"
    return [Problem("E_TILT", text, {"degrees": degrees, "largest_mm": shift})]


def normal_of(one: Slice) -> Vectors:
    """The unit normal of a slice: of its row and its column direction."""
    return unit(np.cross(one.orientation[:3], one.orientation[3:]))


def unit(vector: Sequence[float] | Vectors) -> Vectors:
    """A direction of length one: cosines of few digits are up to 1 % longer or shorter."""
    direction = np.asarray(vector, np.float64)
    return np.asarray(direction / np.linalg.norm(direction))


def tilted(grid: Geometry, slices: Sequence[Slice], reading: Reading) -> Geometry:
    """``grid`` with its slice axis along the line on which the slices lie: a sheared geometry.

    Raises:
        InputError: E_TILT if they lie on no line.
    """
    positions = np.array([one.position for one in slices])
    step = (positions[-1] - positions[0]) / (len(slices) - 1)
    along = (positions - positions[0]) @ step / (step @ step)
    crooked = float(np.linalg.norm(positions - positions[0] - along[:, None] * step, axis=1).max())
    allowed = max(_CROOKED_MM, reading.rules.slice_tolerance)
    if crooked > allowed:
        raise reading.error(
            "E_TILT",
            f"slices lie up to {crooked:.2f} mm off a straight line, more than {allowed:g} mm, so their "
            "shifts are no tilt",
            "Leave the series out, or raise input.slice_tolerance. "
            "input.policy {E_TILT: warn} ignores the shifts.",
        )
    affine = grid.affine.copy()
    affine[:3, 2] = step
    return replace(Geometry.from_affine(affine, grid.shape), origin=grid.origin)


def slice_heights(slices: Sequence[Slice]) -> tuple[float, ...]:
    """Heights of sorted slices along their normal in mean steps: from 0 to the last index."""
    normal = np.cross(slices[0].orientation[:3], slices[0].orientation[3:])
    along = np.array([one.position for one in slices]) @ normal
    heights = (along - along[0]) * ((len(slices) - 1) / (along[-1] - along[0]))
    return tuple(float(height) for height in heights)
