"""Who may try again: by the class of the error, and by how often the case has failed before.

Every failed attempt is a line in ``attempts.jsonl`` of the output before anything is decided, so that a
run that is killed and started again goes on counting. A run that comes to its end forgets them: the same
command is then a new request.
"""

from __future__ import annotations

import random
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from gpuprep.config.model import Run
from gpuprep.preprocess.task import CaseTask
from gpuprep.store.files import append_line
from gpuprep.store.layout import ATTEMPTS_FILE
from gpuprep.store.places import read_lines
from gpuprep.values.errors import Retry
from gpuprep.values.events import CaseFailed
from gpuprep.values.failure import FailureCode

_LONGEST_WAIT = 60.0
_NOT_CHARGED = 20  # attempts lost to machines rather than to the case
_IN_DOUBT = (FailureCode.WORKER_DIED, FailureCode.DEADLINE)
"""Codes that do not tell whose fault it was; a reader's process is its case's own."""
_POISON = (
    "leave the file out, or look at it with gpuprep inspect; more memory helps where that ran out"
)


@dataclass(frozen=True, slots=True)
class Again:
    """Another attempt: not before ``delay`` seconds; ``alone`` when nothing else runs."""

    delay: float = 0.0
    alone: bool = False


class Retries:
    """The failed attempts of a run on one output, and what follows from one more."""

    def __init__(self, root: Path, run: Run) -> None:
        self._path = root / ATTEMPTS_FILE
        self._run = run
        self._most: dict[Retry, int] = {
            "never": 1,
            "transient": run.tries,
            "memory": 2,
            "crash": run.crashes,
            "infrastructure": _NOT_CHARGED,
        }
        lines = list(read_lines(self._path))
        self._failed = Counter(_names(line) for line in lines)
        self._suspects = {_names(line)[:2] for line in lines if line.get("code") in _IN_DOUBT}

    def is_suspect(self, task: CaseTask) -> bool:
        """Whether a worker has died of the task or beside it, or the task was overdue."""
        return (task.kind, task.case.id) in self._suspects

    def suspect(self, task: CaseTask) -> None:
        """From now on a task is a suspect, though nothing is counted against it."""
        self._suspects.add((task.kind, task.case.id))

    def after(self, task: CaseTask, failure: CaseFailed) -> Again | None:
        """Count a failed attempt; None when it was the last one."""
        key = (task.kind, task.case.id, failure.retry)
        if failure.retry == "never":
            return None
        names = dict(zip(("task", "case", "class"), key, strict=True))
        append_line(self._path, {**names, "code": failure.code, "message": failure.message})
        self._failed[key] += 1
        if failure.code in _IN_DOUBT:
            self._suspects.add((task.kind, task.case.id))
        if self._failed[key] >= self._most[failure.retry]:
            return None
        if failure.retry == "transient":
            longest = min(_LONGEST_WAIT, self._run.backoff * 2 ** (self._failed[key] - 1))
            return Again(delay=longest * random.uniform(0.5, 1))
        return Again(alone=failure.retry == "memory" or failure.code in _IN_DOUBT)

    def verdict(self, task: CaseTask, failure: CaseFailed) -> CaseFailed:
        """The failure as it is told when no attempt is left."""
        times = self._failed[task.kind, task.case.id, failure.retry]
        if failure.retry == "crash":
            overdue = failure.code == FailureCode.WORKER_DIED and self.was_overdue(task)
            if overdue or failure.code == FailureCode.DEADLINE:
                message = f"the case was not done within {self._run.deadline:g} s (run.deadline)"
                advice = "raise run.deadline, or leave the case out"
                return replace(failure, code=FailureCode.DEADLINE, message=message, advice=advice)
            message = f"{failure.message} ({times} times)"
            return replace(failure, code=FailureCode.POISON, message=message, advice=_POISON)
        if times > 1:
            return replace(failure, message=f"{failure.message} ({times} attempts)")
        return failure

    def forget(self) -> None:
        """The run is over, and all its failures are told."""
        with suppress(OSError):  # the next run may then give up a little sooner
            self._path.unlink(missing_ok=True)

    def was_overdue(self, task: CaseTask) -> bool:
        """Whether the worker said so before it killed itself."""
        overdue = (task.kind, task.case.id, "deadline")
        return any(_names(line) == overdue for line in read_lines(self._path))


def _names(line: dict[str, object]) -> tuple[str, str, str]:
    """What a failed attempt is counted by: the kind of task, the case, the class of the error."""
    work, case_id, kind = (str(line.get(name, "")) for name in ("task", "case", "class"))
    return work, case_id, kind
