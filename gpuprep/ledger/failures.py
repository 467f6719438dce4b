"""What failed in a cohort, grouped by reason, and the command that retries just one group."""

from __future__ import annotations

import shlex
from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gpuprep.ledger.inputs import Lists, input_name, lists_of
from gpuprep.ledger.output import find_output
from gpuprep.ledger.state import read_state
from gpuprep.store.files import json_line, write_file
from gpuprep.store.layout import FAILURES_FILE
from gpuprep.store.places import Place, read_lines, to_place
from gpuprep.values.case import Case
from gpuprep.values.errors import RunStopped, StoreError, UsageError
from gpuprep.values.events import CaseDone, CaseFailed, Event, RunStarted

_NAMED = 5  # up to so many cases are named one by one in a command
_WHOLE = ("gpuprep", "nnunet")
_CHOOSING = frozenset({"--only", "--only-from", "--retry-failed", "--limit"})


@dataclass(frozen=True, slots=True)
class FailureGroup:
    """Failures of one kind and code; ``example`` is the message of the first."""

    kind: str
    code: str
    cases: tuple[str, ...]
    example: str
    advice: str
    path: str
    retry: str
    """The command that retries just these cases."""

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "count": len(self.cases)}


def group_failures(output: str | Place) -> tuple[FailureGroup, ...]:
    """The failures of the last run on an output by kind and code, the largest group first.

    Raises:
        StoreError: this is no gpuprep output.
    """
    root = find_output(output)
    groups: defaultdict[tuple[str, str, str], dict[str, dict[str, Any]]] = defaultdict(dict)
    command = _Command.of(root)
    for row in read_lines(root / FAILURES_FILE):
        case_id = str(row.get("case"))
        key = str(row.get("kind")), str(row.get("code")), command.other_input(case_id)
        groups[key][case_id] = row
    codes = Counter(code for _, code, _ in groups)
    found = [
        _group(
            kind,
            code,
            rows,
            _retry(command.on(source), root, code, list(rows), shared=codes[code] > 1),
        )
        for (kind, code, source), rows in groups.items()
    ]
    return tuple(sorted(found, key=lambda group: (-len(group.cases), group.code)))


def _group(kind: str, code: str, rows: dict[str, dict[str, Any]], retry: str) -> FailureGroup:
    first = next(iter(rows.values()))
    message, advice, path = (str(first.get(name, "")) for name in ("message", "advice", "path"))
    return FailureGroup(kind, code, tuple(rows), message, advice, path, retry)


@dataclass(frozen=True, slots=True)
class _Command:
    """What started the last run, without the options that chose its cases, and what inputs there are."""

    words: tuple[str, ...]
    position: int
    """Where the input stands among the words; 0 where it is not known."""
    source: str
    lists: Lists

    @classmethod
    def of(cls, root: Place) -> _Command:
        lists = lists_of(root)
        try:
            state = read_state(root)
            words = _without_choice(shlex.split(state.command))
        except StoreError:
            words = []
        for position, word in enumerate(words):
            source = input_name(Path(state.folder, word))
            if position > 1 and word[0] != "-" and source in lists:
                return cls(tuple(words), position, source, lists)
        return cls(tuple(words or ["gpuprep", "run", "INPUT", str(root)]), 0, "", lists)

    def other_input(self, case_id: str) -> str:
        """The input of a case that the input of the last run does not list; empty for any other."""
        if not self.position or case_id in self.lists[self.source]:
            return ""
        return next((name for name, listed in self.lists.items() if case_id in listed), "")

    def on(self, source: str) -> list[str]:
        """The words, for another input where one is given; an output has one config, so all else stays."""
        words = list(self.words)
        if source:
            words[self.position] = source
        return words


def _without_choice(words: list[str]) -> list[str]:
    kept: list[str] = []
    dropped_value = False
    for word in words:
        option = word.partition("=")[0]
        if dropped_value:
            dropped_value = False
        elif option in _CHOOSING:
            dropped_value = option == word != "--retry-failed"
        else:
            kept.append(word)
    return kept


def _retry(base: list[str], root: Place, code: str, cases: list[str], *, shared: bool) -> str:
    """The base command for these cases: named one by one, or piped where they are many; steps of nnU-Net are
    of whole data sets, of which they do what is not there.

    ``shared`` is a code that other groups have, too, so that a pipe would bring their cases along.
    """
    if tuple(base[:2]) == _WHOLE:
        return shlex.join(base)
    if len(cases) <= _NAMED or shared:
        chosen = [f"--only={case}" for case in cases]
        return shlex.join([*base, *chosen])
    listing = shlex.join(["gpuprep", "failures", str(root), "--code", code, "--ids"])
    return f"{listing} | {shlex.join([*base, '--only-from', '-'])}"


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

    def __init__(
        self, output: Path, cohort: Sequence[Case], elsewhere: Collection[str] = ()
    ) -> None:
        """``cohort`` are the cases of the input; failures of cases ``elsewhere``, in another, are kept."""
        self._path = output / FAILURES_FILE
        self._cohort = cohort
        self._elsewhere = elsewhere
        self._rows: dict[str, dict[str, Any]] | None = None

    def __call__(self, event: Event) -> None:
        if isinstance(event, RunStarted):
            known = {case.id for case in self._cohort}.union(self._elsewhere)
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
