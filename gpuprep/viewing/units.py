"""Whether a case's values are Hounsfield units, as its record says it: never by a guess from the numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

HU = "HU"


def unit_of(record: Mapping[str, Any], channel: int) -> str:
    """``HU`` for a channel that a CT gave, by its header, its name or the case's attributes; else empty.

    >>> unit_of({"headers": [{"modality": "CT"}], "channels": ["channel_0"]}, 0)
    'HU'
    >>> unit_of({"headers": [{"format": "nifti1"}], "channels": ["T1"]}, 0)
    ''
    """
    names = list(record.get("channels", ()))
    headers = _image_headers(record)
    header = headers[channel] if len(headers) == len(names) else _only(headers)
    if modality := str(header.get("modality", "")):
        return HU if modality.upper() == "CT" else ""
    if channel < len(names) and str(names[channel]).upper() == "CT":
        return HU
    told = record.get("attributes", {})
    modality = next((str(told[key]) for key in told if key.lower() == "modality"), "")
    return HU if modality.upper() == "CT" else ""


def _image_headers(record: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The headers of the images, which are read before the labels, in the order of the channels."""
    roles = list(
        dict.fromkeys(
            role
            for row in record.get("source", ())
            if (role := str(row.get("role", ""))).startswith("image")
        )
    )
    headers = list(record.get("headers", ()))
    if not roles:
        return headers[:1]
    found = dict(zip(roles, headers, strict=False))
    names = [f"image {name}" for name in record.get("channels", ())]
    order = names if set(names) == set(roles) else roles
    return [found.get(role, {}) for role in order]


def _only(headers: list[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The header of all channels, where one file holds them."""
    return headers[0] if len(headers) == 1 else {}
