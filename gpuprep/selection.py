"""Which of a cohort's cases a run is about: ids, glob patterns, or those that failed."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from gpuprep.case import Case
from gpuprep.errors import UsageError
from gpuprep.store.files import parse_lines, read_lines, write_file
from gpuprep.store.layout import FAILURES_FILE
from gpuprep.store.objects import to_place

_GLOB = frozenset("*?[")


def choose_cases(
    cohort: Sequence[Case], output: Path | str, *, only: Sequence[str], retry_failed: bool
) -> tuple[Case, ...]:
    """The cases of a run: those that ``only`` names and those that failed, or else the whole cohort.

    Raises:
        UsageError: an id fits no case, or there is nothing to retry.
    """
    if not only and not retry_failed:
        return tuple(cohort)
    chosen = {case.id for case in select(cohort, only)}
    if retry_failed:
        chosen |= failed_cases(output)
    return tuple(case for case in cohort if case.id in chosen)


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


def failed_cases(output: Path | str) -> set[str]:
    """The ids of the cases that failed when they were last tried.

    Raises:
        UsageError: none did.
    """
    file = to_place(output) / FAILURES_FILE
    rows = parse_lines(file.read_bytes().splitlines() if file.is_file() else ())
    found = {str(row["case"]) for row in rows if "case" in row}
    if not found:
        raise UsageError(
            f"no case of {output} is waiting to be retried",
            advice="leave --retry-failed away to do what is not done yet",
        )
    return found


def keep_failures(output: Path, cohort: Sequence[Case], tried_now: Sequence[Case]) -> None:
    """Drop what is known about failures, except of cases of the cohort that are left alone this time."""
    kept = {case.id for case in cohort} - {case.id for case in tried_now}
    rows = [row for row in read_lines(output / FAILURES_FILE) if row.get("case") in kept]
    if not rows:
        (output / FAILURES_FILE).unlink(missing_ok=True)
        return
    lines = (json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows)
    write_file(output / FAILURES_FILE, lines, fsync=True)
