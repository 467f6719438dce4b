"""A config as text in which every line has its reason above it."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

_WIDTH = 100
_STRANGE = "\N{REPLACEMENT CHARACTER}"  # for what ends a line, or is no text at all


@dataclass(frozen=True, slots=True)
class Entry:
    """A key of a config.

    Attributes:
        key: Its name; empty for an item of a list.
        value: A plain value, or the entries below it.
        why: The reason, in a sentence or two.
    """

    key: str
    value: Any
    why: str = ""


def tree_of(entries: Sequence[Entry]) -> Any:
    """The plain value that entries stand for."""
    values = [tree_of(each.value) if _nested(each) else each.value for each in entries]
    if entries and not entries[0].key:
        return values
    return dict(zip((each.key for each in entries), values, strict=True))


def text_of(entries: Sequence[Entry], heading: Iterable[str]) -> str:
    """The YAML text, with a heading of comments."""
    lines = [line for told in heading for line in _comment(told, 0)]
    return "\n".join([*lines, *_lines(entries, 0)]) + "\n"


def _lines(entries: Sequence[Entry], depth: int) -> Iterator[str]:
    space = "  " * depth
    for entry in entries:
        yield from _comment(entry.why, depth)
        if _nested(entry):
            yield f"{space}{_flow(entry.key, bare=False)}:"
            yield from _lines(entry.value, depth + 1)
        else:
            lead = f"{_flow(entry.key, bare=False)}: " if entry.key else "- "
            yield f"{space}{lead}{_flow(entry.value, bare=not entry.key)}"


def _nested(entry: Entry) -> bool:
    value = entry.value
    return isinstance(value, tuple) and bool(value) and isinstance(value[0], Entry)


def _comment(told: str, depth: int) -> Iterator[str]:
    lead = "  " * depth + "# "
    shown = "".join(each if each.isprintable() else _STRANGE for each in told)
    yield from textwrap.wrap(
        shown, _WIDTH, initial_indent=lead, subsequent_indent=lead, break_on_hyphens=False
    )


def _flow(value: Any, *, bare: bool) -> str:
    """One line; a dictionary of one key without its braces, where it may be bare."""
    if bare and isinstance(value, dict) and len(value) == 1:
        ((key, below),) = value.items()
        return f"{_flow(key, bare=False)}: {_flow(below, bare=False)}"
    for style in (None, '"'):  # quoted, where a text would take several lines
        dumped = yaml.safe_dump(
            value, default_flow_style=True, default_style=style, width=10**6, sort_keys=False
        )
        line = dumped.removesuffix("\n").removesuffix("\n...")
        if "\n" not in line:
            break
    return line
