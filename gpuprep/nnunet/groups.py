"""Groups of cases that no fold divides, such as the scans of a patient: read from a table, or off the ids."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from gpuprep.cohort.layouts.tables import read_rows
from gpuprep.values.errors import UsageError

_CASE = "case_id"


def read_groups(file: Path, column: str) -> dict[str, str]:
    """The group of each case out of a table (.csv, .tsv) with the columns ``case_id`` and another; a manifest
    is one.

    Raises:
        UsageError: it lacks one of both columns, or names a case twice.
    """
    rows = read_rows(file)
    _, header = next(rows, (1, []))
    missing = [name for name in (_CASE, column) if name not in header]
    if missing:
        raise UsageError(
            f"{file} has no column {missing[0]}; there are {', '.join(header) or 'none'}",
            advice=f"give the columns {_CASE} and one for the group, and name that with --by",
        )
    places = header.index(_CASE), header.index(column)
    groups: dict[str, str] = {}
    for line, cells in rows:
        case, group = (cells[place] if place < len(cells) else "" for place in places)
        if case in groups or not (case and group):
            wrong = "is there already" if case in groups else f"has no {column if case else _CASE}"
            raise UsageError(f"{file}, line {line}: case {case!r} {wrong}")
        groups[case] = group
    return groups


def groups_by_pattern(ids: Sequence[str], pattern: str) -> dict[str, str]:
    """The group of each case as its id tells: what a pattern's parentheses, or all of it, match from the
    start on.

    >>> groups_by_pattern(["anna_1", "anna_2", "ben_1"], "([a-z]+)_")
    {'anna_1': 'anna', 'anna_2': 'anna', 'ben_1': 'ben'}

    Raises:
        UsageError: it is no pattern. Ids that it does not match are left out.
    """
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise UsageError(f"{pattern!r} is no pattern: {error}") from None
    found = ((name, compiled.match(name)) for name in ids)
    return {name: match[min(1, compiled.groups)] for name, match in found if match}
