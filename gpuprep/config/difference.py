"""In which values two configs differ, in words."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

_LONGEST = 40
"""Letters of a value in a message."""
_NONE = object()


def differences(before: Any, now: Any, place: str = "") -> Iterator[str]:
    """Every place, dotted, at which two trees of plain JSON differ, with both values.

    >>> list(differences({"gamma": {"value": 0.7}}, {"gamma": {"value": 0.8}}, "image"))
    ['image.gamma.value is 0.8 and was 0.7']
    """
    if isinstance(before, dict) and isinstance(now, dict):
        for key in dict.fromkeys((*before, *now)):
            below = f"{place}.{key}" if place else str(key)
            yield from differences(before.get(key, _NONE), now.get(key, _NONE), below)
    elif _is_chain(before) and _is_chain(now) and len(before) == len(now):
        for number, (one, other) in enumerate(zip(before, now, strict=True)):
            yield from differences(one, other, f"{place}.{number}")
    elif before != now:
        yield f"{place} is {_told(now)} and was {_told(before)}"


def _is_chain(value: Any) -> bool:
    """Whether it is a list of steps or of other blocks, not of numbers."""
    return isinstance(value, list) and any(isinstance(each, dict | list) for each in value)


def _told(value: Any) -> str:
    if value is _NONE:
        return "not set"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
