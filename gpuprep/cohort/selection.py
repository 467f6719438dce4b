"""Which of a cohort's cases a run is about (ids, patterns, those that failed), and which failed so far."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from contextlib import suppress
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from gpuprep.store.files import json_line, read_lines, write_file
from gpuprep.store.layout import FAILURES_FILE
from gpuprep.store.places import to_place
from gpuprep.values.case import Case
from gpuprep.values.errors import RunStopped, StoreError, UsageError
from gpuprep.values.events import CaseDone, CaseFailed, Event, RunStarted

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
    rows = read_lines(to_place(output) / FAILURES_FILE)
    found = {str(row["case"]) for row in rows if "case" in row}
    if not found:
        raise UsageError(
            f"no case of {output} is waiting to be retried",
            advice="leave --retry-failed away to do what is not done yet",
        )
    return found


class FailureList:
    """A listener that keeps ``failures.jsonl`` in step: a case leaves it when it is done, and not before.

    New failures are appended by the run as they happen, so that a crash loses none; ``close`` makes the
    file one line a case again. Until then, what a run that died had repaired is still listed.
    """

    def __init__(self, output: Path, cohort: Sequence[Case]) -> None:
        self._path = output / FAILURES_FILE
        self._cohort = cohort
        self._rows: dict[str, dict[str, Any]] | None = None

    def __call__(self, event: Event) -> None:
        if isinstance(event, RunStarted):
            known = {case.id for case in self._cohort}
            rows = read_lines(self._path)
            self._rows = {row["case"]: row for row in rows if row.get("case") in known}
        elif self._rows is not None and isinstance(event, CaseDone):
            self._rows.pop(event.case_id, None)
        elif self._rows is not None and isinstance(event, CaseFailed):
            self._rows[event.case_id] = event.to_json()

    def close(self) -> None:
        """Write the list anew; without failures there is no file."""
        if self._rows is None:
            return
        rows = self._rows.values()
        lines = (json_line(row) for row in rows)
        with suppress(RunStopped, StoreError, OSError):  # the file stays, with lines to spare
            if not self._rows:
                self._path.unlink(missing_ok=True)
                return
            write_file(self._path, lines, fsync=True)
