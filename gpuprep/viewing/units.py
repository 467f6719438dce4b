"""Whether a case's values are Hounsfield units: ``unit_of`` as its record says it, never from the numbers.

``may_be_hu`` goes by the numbers where the record says nothing: windows are then offered with a reservation.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

HU = "HU"
_AIR = -500.0  # lower than this lies what only a CT measures


def unit_of(record: Mapping[str, Any], channel: int) -> str:
    """``HU`` for a channel that a CT gave, by its header, its name or the case's attributes; else empty.

    >>> unit_of({"headers": [{"modality": "CT"}], "channels": ["channel_0"]}, 0)
    'HU'
    >>> unit_of({"headers": [{"format": "nifti1"}], "channels": ["T1"]}, 0)
    ''
    """
    return HU if _modality(record, channel) == "CT" else ""


def may_be_hu(record: Mapping[str, Any], channel: int, statistics: Mapping[str, Any]) -> bool:
    """Whether nothing tells the modality, and the values begin where those of a CT do.

    >>> may_be_hu({"headers": [{"format": "nifti1"}], "channels": ["a"]}, 0, {"min": -1024.0})
    True
    """
    lowest = statistics.get("min")
    return not _modality(record, channel) and lowest is not None and lowest <= _AIR


def suv_notes(record: Mapping[str, Any], channel: int) -> tuple[str, ...]:
    """What of a channel's values is one SUV, where its case was made with that step.

    >>> told = {"bodyweight": {"factor": 0.0004}}
    >>> suv_notes({"headers": [{"modality": "PT", "suv": told}], "channels": ["PET"]}, 0)
    ('one SUV (bodyweight) is 2500 of these values',)
    """
    told = _header(record, channel).get("suv", {})
    return tuple(
        f"one SUV ({kind}) is {1 / row['factor']:.6g} of these values" for kind, row in told.items()
    )


def _modality(record: Mapping[str, Any], channel: int) -> str:
    """In capitals; empty where neither header, name nor attributes tell it."""
    names = list(record.get("channels", ()))
    if modality := str(_header(record, channel).get("modality", "")):
        return modality.upper()
    if channel < len(names) and str(names[channel]).upper() == "CT":
        return "CT"
    told = record.get("attributes", {})
    return next((str(told[key]) for key in told if key.lower() == "modality"), "").upper()


def _header(record: Mapping[str, Any], channel: int) -> Mapping[str, Any]:
    """That of a channel's file; empty where it is not known."""
    headers = _image_headers(record)
    return headers[channel] if len(headers) == len(record.get("channels", ())) else _only(headers)


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
