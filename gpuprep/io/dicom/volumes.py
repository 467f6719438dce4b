"""Several volumes in one series: time points, b-values, echoes, magnitude and phase, told apart and named.

Slices are of one volume where the settings that tell volumes apart are equal; where slices of equal settings
visit every place equally often, they are as many volumes, told apart by the indices of their frames where
these do it, else in the order of their instance numbers. Discovery and reading ask the same question here, of
the same tags, so that names and order are the same for both.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

Setting = tuple[str, str]
"""A keyword, and its value as text."""

_TOLD = 6  # volumes named in a message
_APART = 0.01  # mm along the normal: slices that are closer lie at one place
_ORDER = (
    "StackID",
    "TemporalPositionIdentifier",
    "TemporalPositionIndex",
    "DiffusionBValue",
    "EchoTime",
    "EffectiveEchoTime",
    "KVP",
    "ConvolutionKernel",
    "ImageType",
)
"""The settings that tell volumes apart, in the order by which these are sorted and named."""
HIDDEN = "Hidden"
"""In the place of a setting: what may be told by parts of a header that are not read to find series."""
_TIME = frozenset({"TemporalPositionIdentifier", "TemporalPositionIndex"})
_NAMED = {
    "StackID": "stack {}",
    "DiffusionBValue": "b{}",
    "EchoTime": "TE {}",
    "EffectiveEchoTime": "TE {}",
    "KVP": "{} kV",
    "ConvolutionKernel": "{}",
    "ImageType": "{}",
}


@dataclass(frozen=True, slots=True)
class Seen:
    """Of one slice, or of one mosaic, what tells its volume.

    Attributes:
        settings: Those of ``Frame.settings``, and of MR images also the image type (``M/FFE``).
        position, orientation: As in ``Slice``; empty where they are not told.
        number: The instance number …
        frame: … and the frame's, by which volumes of equal settings are put in order.
        whole: It is a volume by itself: a mosaic.
        dimensions: The indices of a frame by the dimensions of its file.
    """

    settings: tuple[Setting, ...]
    position: tuple[float, ...]
    orientation: tuple[float, ...]
    number: int
    frame: int = 0
    whole: bool = False
    dimensions: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Part:
    """One volume of a series: its name (``t0``, ``b1000``, ``TE 4.92``), and which slices are its."""

    name: str
    members: tuple[int, ...]


def volumes_among(seen: Sequence[Seen]) -> list[Part]:
    """The volumes of a series in order: by stack, time, b-value, echo and so on, then by instance numbers.

    Names are of the settings that differ within the series. Slices that nothing tells apart stay one volume,
    whose audit says what is wrong: places that are not visited equally often, or numbers in no order.

    >>> echoes = [Seen((("EchoTime", te),), (0, 0, z), (1, 0, 0, 0, 1, 0), 0) for te in "59" for z in (0, 1)]
    >>> [(part.name, part.members) for part in volumes_among(echoes)]
    [('TE 5', (0, 1)), ('TE 9', (2, 3))]
    """
    groups: dict[tuple[Setting, ...], list[int]] = {}
    for place, one in enumerate(seen):
        groups.setdefault(_telling(one.settings), []).append(place)
    ordered = sorted(groups.items(), key=lambda item: _ranks(item[0]))
    names = _names([settings for settings, _ in ordered])
    parts = []
    for name, (_, members) in zip(names, ordered, strict=True):
        repeats = _repeats(seen, members)
        for number, repeat in enumerate(repeats):
            told = f"{name} {number}" if name else f"t{number}"
            parts.append(Part(told if len(repeats) > 1 else name, tuple(repeat)))
    return parts


def told_settings(settings: Iterable[str], modality: str, kind: str) -> tuple[Setting, ...]:
    """Settings as ``Frame`` tells them, as pairs; with the image type of an MR image."""
    found = [(keyword, told) for keyword, _, told in (each.partition(" ") for each in settings)]
    if modality == "MR" and kind:
        found.append(("ImageType", kind))
    return tuple(found)


def _telling(settings: tuple[Setting, ...]) -> tuple[Setting, ...]:
    found = dict(settings)
    return tuple((keyword, found[keyword]) for keyword in _ORDER if keyword in found)


def _ranks(settings: tuple[Setting, ...]) -> list[tuple[bool, float, str]]:
    """Sorts groups by one setting after the other; before all others those that lack it."""
    found = dict(settings)
    return [(keyword in found, *_rank(found.get(keyword, ""))) for keyword in _ORDER]


def _rank(told: str) -> tuple[float, str]:
    """Numbers by size, words by letters."""
    try:
        return float(told), told
    except ValueError:
        return 0.0, told


def _names(groups: Sequence[tuple[Setting, ...]]) -> list[str]:
    """Of each group what is its own: settings that all have alike name none."""
    alike = set.intersection(*map(set, groups)) if groups else set()
    values: dict[str, set[str]] = {}
    for keyword, told in {setting for group in groups for setting in group}:
        values.setdefault(keyword, set()).add(told)
    names = []
    for group in groups:
        own = [_word(*setting, values[setting[0]]) for setting in group if setting not in alike]
        names.append(" ".join(dict.fromkeys(own)) or ("rest" if len(groups) > 1 else ""))
    crowded = {name for name, count in Counter(names).items() if count > 1}
    return [f"{name} ({number})" if name in crowded else name for number, name in enumerate(names)]


def _word(keyword: str, told: str, values: set[str]) -> str:
    """What one setting adds to the name of a volume, where the series has these values of it."""
    if keyword in _TIME:
        return f"t{sorted(values, key=_rank).index(told)}"
    if keyword == "ImageType":
        common = set.intersection(*(set(each.split("/")) for each in values))
        told = " ".join(word for word in told.split("/") if word not in common)
    return _NAMED[keyword].format(
        told.strip("[]").replace("'", "")
    )  # of a kernel with several words


def _repeats(seen: Sequence[Seen], members: list[int]) -> list[list[int]]:
    """Slices of equal settings as volumes: one where places are visited once, or nothing tells them apart."""
    if all(seen[member].whole for member in members):
        by_number = {seen[member].number: [member] for member in members}
        told_apart = len(by_number) == len(members)
        return [by_number[number] for number in sorted(by_number)] if told_apart else [members]
    places = places_of(seen, members)
    each = len(places[0])
    if each == 1 or len(places) == 1 or any(len(place) != each for place in places):
        return [members]
    told = _by_dimensions(seen, places)
    numbered = [[(seen[member].number, seen[member].frame) for member in place] for place in places]
    if in_order(numbered):
        in_turn = [sorted(volume) for volume in zip(*places, strict=True)]
        if not told or sorted(told) == sorted(in_turn):
            return in_turn
    return told or [members]


def _by_dimensions(seen: Sequence[Seen], places: Sequence[Sequence[int]]) -> list[list[int]]:
    """Volumes by the indices of frames, in their order; none where these do not tell them.

    What an index counts is not asked for: some writers name their dimensions in another order than they count
    them. One that is the same for all frames of a place tells no volume; by the others together each volume
    has to have one frame at every place.
    """
    rows = [[seen[one].dimensions for one in place] for place in places]
    if len({len(row) for place in rows for row in place}) != 1:
        return []
    telling = [
        column
        for column in range(len(rows[0][0]))
        if any(len({row[column] for row in place}) > 1 for place in rows)
    ]
    for several_files in (False, True):
        volumes: dict[tuple[int, ...], list[int]] = {}
        for place in places:
            for one in place:
                own = (seen[one].number,) if several_files else ()
                key = own + tuple(seen[one].dimensions[column] for column in telling)
                volumes.setdefault(key, []).append(one)
        once = all(len(volume) == len(places) for volume in volumes.values())
        if len(volumes) == len(places[0]) and once and _visit_all(volumes.values(), places):
            return [sorted(volumes[key]) for key in sorted(volumes)]
    return []


def _visit_all(volumes: Iterable[Sequence[int]], places: Sequence[Sequence[int]]) -> bool:
    """Whether each volume has one frame at every place."""
    place_of = {one: number for number, place in enumerate(places) for one in place}
    return all(len({place_of[one] for one in volume}) == len(places) for volume in volumes)


def places_of(seen: Sequence[Seen], members: Sequence[int]) -> list[list[int]]:
    """The slices at each place along the normal, at every place by their numbers.

    Slices that are not placed are all at one.
    """
    if any(len(seen[one].position) != 3 or len(seen[one].orientation) != 6 for one in members):
        return [list(members)]
    orientation = seen[members[0]].orientation
    normal = np.cross(orientation[:3], orientation[3:])
    heights = {one: float(np.dot(seen[one].position, normal)) for one in members}
    places: list[list[int]] = []
    last = 0.0
    for one in sorted(members, key=lambda one: heights[one]):
        if places and heights[one] - last <= _APART:
            places[-1].append(one)
        else:
            places.append([one])
            last = heights[one]
    return [sorted(place, key=lambda one: (seen[one].number, seen[one].frame)) for place in places]


def in_order(places: Sequence[Sequence[tuple[int, int]]]) -> bool:
    """Whether numbers tell volumes apart: they run through each volume, or through each place, in turn."""
    volumes = list(zip(*places, strict=True))
    places = sorted(map(list, places))
    return _one_after_another(volumes) or _one_after_another(places)


def _one_after_another(runs: Sequence[Sequence[tuple[int, int]]]) -> bool:
    distinct = all(len(set(run)) == len(run) for run in runs)
    return distinct and all(max(run) < min(after) for run, after in pairwise(runs))


def named(names: Sequence[str]) -> str:
    """Some names of volumes in words."""
    more = f" and {len(names) - _TOLD} more" if len(names) > _TOLD else ""
    return ", ".join(names[:_TOLD]) + more
