"""Volumes of a series that have fewer slices than another one at the same places: a sister of theirs.

A volume that lacks slices at an end has no gap, so that nothing but its sisters tells. Stacks that lie
elsewhere, or between the slices of one another, are no sisters.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from gpuprep.io.dicom.volumes import Part, Seen, places_of
from gpuprep.values.case import Sister

_AT = 0.1  # of the sister's smallest gap: by this a slice may lie beside one of hers
_TURNED = 1e-3  # by this cosines of one orientation may differ
_MOST = 8  # longer volumes of its orientation that are looked at for each


def sisters_of(seen: Sequence[Seen], parts: Sequence[Part]) -> list[Sister | None]:
    """Of each volume the longest one that has a slice where any of its own is, and more; None for none."""
    places = [_places(seen, part) for part in parts]
    by_length = sorted(range(len(parts)), key=lambda number: -len(places[number]))
    found: list[Sister | None] = []
    for part, own in zip(parts, places, strict=True):
        longer = (
            number
            for number in by_length
            if len(places[number]) > len(own) > 0 and _alike(seen, part, parts[number])
        )
        sisters = (
            Sister(parts[number].name, len(places[number]))
            for number in islice(longer, _MOST)
            if _is_within(own, places[number])
        )
        found.append(next(sisters, None))
    return found


def _places(seen: Sequence[Seen], part: Part) -> NDArray[np.float64]:
    """Where the slices of a volume lie, ``(n, 3)``; none where they are not told, or it is of mosaics."""
    if any(seen[one].whole or len(seen[one].position) != 3 for one in part.members):
        return np.empty((0, 3))
    first = [place[0] for place in places_of(seen, part.members)]
    return np.array([seen[one].position for one in first])


def _alike(seen: Sequence[Seen], part: Part, other: Part) -> bool:
    own, its = (seen[each.members[0]].orientation for each in (part, other))
    return len(own) == len(its) == 6 and all(
        abs(one - other) <= _TURNED for one, other in zip(own, its, strict=True)
    )


def _is_within(own: NDArray[np.float64], other: NDArray[np.float64]) -> bool:
    gaps = np.linalg.norm(np.diff(other, axis=0), axis=1)
    axis = other[-1] - other[0]
    heights, its = own @ axis, other @ axis
    after = np.clip(np.searchsorted(its, heights), 1, len(its) - 1)
    nearest = np.where(heights - its[after - 1] < its[after] - heights, after - 1, after)
    apart = np.linalg.norm(own - other[nearest], axis=1)
    return bool(apart.max() <= _AT * gaps.min())
