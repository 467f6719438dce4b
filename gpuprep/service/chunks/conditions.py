"""What a request for bytes asks for: conditions and ranges as RFC 9110 has them, as plain functions.

Several ranges are answered as one where they join without a gap. Otherwise ``Range`` is ignored, as 14.2 of
the RFC permits: no answer is ever put together of many parts. A malformed ``Range`` is ignored, too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime

CONDITIONS = ("if-match", "if-none-match", "if-modified-since", "if-unmodified-since", "if-range")
"""The headers that make a request depend on what is there."""

_MOST_RANGES = 100  # more are nobody's wish for voxels
_DIGITS = 20  # of a position that could be inside a file
_RANGE = re.compile(r"bytes=(.*)", re.IGNORECASE)
_SPEC = re.compile(r"(?:([0-9]+)-([0-9]*)|-([0-9]+))", re.ASCII)
_TAGS = re.compile(r'(W/)?("[\x21\x23-\x7e\x80-\xff]*")')

Spec = tuple[int | None, int | None]
"""First and last byte as a request names them; ``(None, n)`` are the last n, ``(n, None)`` all from n on."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a request is answered: 200, 206, 304, 412 or 416, and with which bytes."""

    status: int
    start: int = 0
    stop: int = 0


@dataclass(frozen=True, slots=True)
class Part:
    """The one range that a GET wants, whatever is there or, with an etag, of this version only."""

    spec: Spec
    etag: str | None = None


def wanted_part(method: str, asked: Mapping[str, str]) -> Part | None:
    """What a plain request for one bounded range wants; None for any other, which needs a look first."""
    if method != "GET" or "range" not in asked or not asked.keys() <= {"range", "if-match"}:
        return None
    specs = parse_ranges(asked["range"])
    tag = _TAGS.fullmatch(asked["if-match"].strip()) if "if-match" in asked else None
    if specs is None or len(specs) > 1 or specs[0][1] is None:
        return None
    if "if-match" in asked and (tag is None or tag[1]):
        return None
    return Part(specs[0], None if tag is None else tag[2])


def decide(
    method: str, asked: Mapping[str, str], *, etag: str, modified: int, size: int, now: float
) -> Verdict:
    """The answer to a GET or HEAD, its conditions taken in the order of RFC 9110, 13.2.2.

    Args:
        method: ``GET`` or ``HEAD``, for which ``Range`` means nothing.
        asked: Headers by lower-case name.
        etag: The strong tag of what is there, with its quotes.
        modified: When it was last written, seconds since 1970.
        size: Its bytes.
        now: The time.
    """
    if "if-match" in asked:
        if not _names(asked["if-match"], etag, weak=False):
            return Verdict(412)
    elif (date := _date(asked.get("if-unmodified-since"))) is not None and modified > date:
        return Verdict(412)
    if "if-none-match" in asked:
        if _names(asked["if-none-match"], etag, weak=True):
            return Verdict(304)
    elif (date := _date(asked.get("if-modified-since"))) is not None and modified <= date:
        return Verdict(304)
    if method != "GET" or "range" not in asked or not _same(asked, etag, modified, now):
        return Verdict(200, 0, size)
    return _part(asked["range"], size)


def parse_ranges(text: str) -> list[Spec] | None:
    """The ranges of a ``Range`` header; None where it is malformed or names too many."""
    found = _RANGE.fullmatch(text)
    if found is None or found[1].count(",") >= _MOST_RANGES:
        return None
    specs: list[Spec] = []
    for part in found[1].split(","):
        if not (part := part.strip(" \t")):
            continue  # empty elements of a list mean nothing
        if (spec := _SPEC.fullmatch(part)) is None:
            return None
        first, last, suffix = (None if not text else _number(text) for text in spec.groups())
        if first is not None and last is not None and last < first:
            return None
        specs.append((None, suffix) if first is None else (first, last))
    return specs or None


def _part(text: str, size: int) -> Verdict:
    """Which bytes a ``Range`` header means."""
    specs = parse_ranges(text)
    if specs is None:
        return Verdict(200, 0, size)
    spans = sorted(span for spec in specs if (span := _span(spec, size)) is not None)
    if not spans:
        suffix = not size and any(first is None and last for first, last in specs)
        return (
            Verdict(200) if suffix else Verdict(416)
        )  # the last bytes of an empty file are no fault
    start, stop = spans[0]
    for low, high in spans[1:]:
        if low > stop:
            return Verdict(200, 0, size)
        stop = max(stop, high)
    return Verdict(206, start, stop)


def _span(spec: Spec, size: int) -> tuple[int, int] | None:
    """First byte and the one behind the last; None for a range that nothing satisfies."""
    first, last = spec
    if first is None:
        start, stop = max(0, size - (last or 0)), size
    else:
        start, stop = first, size if last is None else min(last + 1, size)
    return (start, stop) if start < stop else None


def _number(text: str) -> int:
    """A position; one of more digits than any file needs is cut, and is beyond every end all the same."""
    return int(text.lstrip("0")[:_DIGITS] or "0")


def _same(asked: Mapping[str, str], etag: str, modified: int, now: float) -> bool:
    """Whether ``If-Range``, where there is one, names what is there: strongly, be it by tag or date."""
    told = asked.get("if-range")
    if told is None or told == etag:
        return True
    date = _date(told)
    return date is not None and date == modified and now - modified >= 1


def _names(header: str, etag: str, *, weak: bool) -> bool:
    """Whether a list of tags has this one, or is ``*``; weak tags count only in a weak comparison."""
    if header.strip() == "*":
        return True
    return any(tag == etag and (weak or not mark) for mark, tag in _TAGS.findall(header))


def _date(text: str | None) -> int | None:
    """Seconds since 1970 of a date; None for no date."""
    if text is None:
        return None
    try:
        found = parsedate_to_datetime(text)
        return int((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp())
    except (ValueError, TypeError, OverflowError):
        return None
