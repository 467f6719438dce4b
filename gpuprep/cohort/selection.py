"""Which of a cohort's cases a run is about (ids, patterns, those that failed), and which failed so far."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from gpuprep.values.case import Case
from gpuprep.values.errors import UsageError

_GLOB = frozenset("*?[")


def select(cases: Sequence[Case], only: Iterable[str]) -> tuple[Case, ...]:
    """The cases with one of these ids, or that one of these patterns (``liver_*``) takes in; in cohort order.

    Raises:
        UsageError: an id or pattern fits no case; the message names the nearest ids.
    """
    known = {case.id for case in cases}
    wanted: set[str] = set()
    for pattern in only:
        found = {pattern} & known
        if not found and _GLOB & set(pattern):
            found = {case_id for case_id in known if fnmatchcase(case_id, pattern)}
        if not found:
            raise _no_such_case(pattern, known)
        wanted |= found
    return tuple(case for case in cases if case.id in wanted)


def _no_such_case(pattern: str, known: set[str]) -> UsageError:
    near = difflib.get_close_matches(pattern, sorted(known), 3, 0.5)
    advice = f"did you mean {', '.join(near)}?" if near else "gpuprep plan lists the case ids"
    return UsageError(f"no case {pattern!r} among the {len(known)} of the input", advice=advice)
