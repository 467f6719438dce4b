"""Whether a channel is CT, by its header, its name or its values."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

Kind = Literal["CT", "MR", "PT", ""]

_NAMES: dict[Kind, re.Pattern[str]] = {
    "CT": re.compile(r"(?:^|[^a-z])(?:ct|cta|ncct|cbct|hu)(?:[^a-z]|$)", re.IGNORECASE),
    "PT": re.compile(r"(?:^|[^a-z])(?:pet|pt|suv)(?:[^a-z]|$)", re.IGNORECASE),
    "MR": re.compile(
        r"(?:^|[^a-z])(?:mri?|flair|adc|dwi|swi|t1\w*|t2\w*|pd|bold)(?:[^a-z]|$)", re.IGNORECASE
    ),
}
AIR = -200
"""HU: what lies below in whole numbers is a CT."""
_TOLD: dict[str, Kind] = {"CT": "CT", "MR": "MR", "PT": "PT"}


def kind_of(header: str, name: str, lowest: float | None, *, whole: bool) -> Kind:
    """What a channel of a case is; empty where nothing tells.

    Args:
        header: The modality in its header, if there is one.
        name: Of the channel.
        lowest: Its smallest voxel, where voxels were read.
        whole: Whether its voxels are whole numbers.

    >>> kind_of("", "CT", None, whole=False), kind_of("", "channel_0", -1024.0, whole=True)
    ('CT', 'CT')
    """
    if header in _TOLD:
        return _TOLD[header]
    for kind, pattern in _NAMES.items():
        if pattern.search(name):
            return kind
    if lowest is None:
        return ""
    return "CT" if lowest < AIR and whole else "MR"


def modalities(headers: Sequence[Mapping[str, Any]], images: int, channels: int) -> list[str]:
    """The modality of each channel, empty where nothing tells; of ``headers`` those of images come first.

    >>> modalities([{"modality": "CT"}, {"modality": "PT"}, {"modality": "SEG"}], 2, 2)
    ['CT', 'PT']
    """
    told = [str(row.get("modality", "")) for row in headers[:images]]
    if len(told) == channels:
        return told
    return [told[0] if len(set(told)) == 1 else ""] * channels


def most(kinds: Sequence[str]) -> str:
    """The most frequent one, the first of equals; empty where nothing is known of any."""
    known = [kind for kind in kinds if kind]
    return max(known, key=lambda kind: (known.count(kind), -known.index(kind)), default="")
