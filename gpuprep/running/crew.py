"""Feeding tasks to an executor through a window, until all are done or the run must stop."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from gpuprep.config.model import Run
from gpuprep.executors.base import Executor, Outcome
from gpuprep.host.failpoints import failpoint
from gpuprep.host.signals import Interrupts
from gpuprep.preprocess.task import CaseTask
from gpuprep.running.backlog import Backlog
from gpuprep.running.batches import MOST_TOGETHER, Batches, Room
from gpuprep.running.inflight import InFlight
from gpuprep.running.retries import Retries
from gpuprep.running.watch import Storm, Watchdog
from gpuprep.values.events import CaseFailed, CaseStarted, CaseTaken, Listener, Notice, Waiting
from gpuprep.values.failure import FailureCode

_POLL_SECONDS = 0.2
_TURN_SECONDS = 0.05  # of looking for work, and of handing it out, before it is heard what was done
_AHEAD = 8 * MOST_TOGETHER  # cases to have ready beyond one for every slot
_MOST_REBUILDS = 3  # executors lost without a single outcome in between
_LOGS_FOLDER = ".logs"


class Crew:
    """An executor that starts when first needed and is replaced when it is lost or stuck.

    ``stopped`` says why the run cannot go on, if so.
    """

    def __init__(
        self,
        start: Callable[[], Executor],
        interrupts: Interrupts,
        root: Path,
        run: Run,
        tell: Listener,
    ) -> None:
        self._start = start
        self._interrupts = interrupts
        self._root = root
        self._tell = tell
        self._retries = Retries(root, run)
        self._storm = Storm(run.storm)
        self._watchdog = Watchdog(run.stuck)
        self._executor: Executor | None = None
        self._inflight = InFlight()
        self._batches = Batches()
        self._parted: set[str] = set()  # cases that a worker died with, among others
        self._attempts: Counter[str] = Counter()  # of the cases that are not settled
        self._rebuilds = 0
        self._waiting = ""
        self.stopped = ""

    @property
    def halted(self) -> bool:
        """Whether the run ended before its tasks did."""
        return bool(self.stopped) or self._interrupts.requested

    def work(
        self,
        tasks: Iterable[CaseTask | None],
        note: Callable[[Outcome], None],
        *,
        cases: int = 0,
    ) -> None:
        """Run tasks and pass on how each one ended, after as many attempts as it deserves.

        After a first interrupt nothing new is handed out and running cases get their time to finish.

        Args:
            tasks: Drawn from for a moment a turn, a little ahead of the workers; None for a case that needs
                no task.
            note: Told every outcome as it comes.
            cases: How many tasks there may be, as far as is known; only what is ready goes by batches else.
        """
        backlog, self._batches = Backlog(tasks, self._retries.is_suspect, cases), Batches()
        while not self._interrupts.drained:
            if not self.halted:
                backlog.scan(self._wanted, _TURN_SECONDS, lambda: self.halted)
                self._hand_out(backlog)
            if not self._inflight and (self.halted or backlog.is_empty):
                break
            if self.halted and self._waiting:
                break  # none of them has begun
            for outcome in self._wait(backlog):
                self._settle(outcome, backlog, note)

    @property
    def _wanted(self) -> int:
        """Tasks to have ready."""
        return 1 if self._executor is None else self._executor.window + _AHEAD

    def _hand_out(self, backlog: Backlog) -> None:
        """Fill the window with what may start now."""
        until = time.monotonic() + _TURN_SECONDS
        while self._has_room() and not self._interrupts.requested and time.monotonic() < until:
            together = backlog.draw(len(self._inflight), self._fits(backlog))
            if not together:
                return
            if self._executor is None:
                self._executor = self._start()
            if not self._inflight:
                self._watchdog.rest()
            self._executor.submit(*together)
            self._inflight.add(together)
            for task in together:
                if task.kind == "prepare":
                    self._attempts[task.case.id] += 1
                    self._tell(CaseStarted(task.case.id, self._attempts[task.case.id]))

    def _fits(self, backlog: Backlog) -> Callable[[Sequence[CaseTask], CaseTask], bool]:
        """What a batch takes that is put together now."""
        if self._executor is None or not self._executor.takes_batches:
            return lambda together, task: False
        window = self._executor.window
        ready = backlog.left if backlog.is_dense else backlog.ready
        room = Room(window, window - self._inflight.batches, backlog.left, ready)
        most = self._batches.limit(room)

        def fits(together: Sequence[CaseTask], task: CaseTask) -> bool:
            return len(together) < most and self._batches.fits(room, together, task)

        return fits

    def _has_room(self) -> bool:
        if self._executor is None:
            return True
        return self._inflight.batches < self._executor.window

    def _wait(self, backlog: Backlog) -> list[Outcome]:
        looking = not self.halted and (
            (backlog.ready > 0 and self._has_room())
            or (not backlog.is_scanned and backlog.ready < self._wanted)
        )
        if self._executor is None or not self._inflight:
            if not looking:
                time.sleep(_POLL_SECONDS)  # until a case may be tried again
            return []
        outcomes = self._executor.wait(0 if looking else _POLL_SECONDS)
        self._note_waiting(self._executor.waiting)
        if not outcomes:
            reason = self._executor.lost or self._watchdog.bite()
            if reason:
                self._rebuild(reason, backlog)
        return outcomes

    def _note_waiting(self, what: str) -> None:
        """Nobody works while there is no worker, for which the watchdog is not to bite."""
        if what:
            self._watchdog.rest()
        if what != self._waiting:
            self._waiting = what
            self._tell(Waiting(what))

    def _settle(self, outcome: Outcome, backlog: Backlog, note: Callable[[Outcome], None]) -> None:
        """Pass an outcome on, unless its case gets another attempt."""
        self._inflight.remove(outcome.task)
        if outcome.taken:
            self._begin_again(outcome.task, outcome.taken, backlog)
            return
        self._rebuilds = 0
        self._watchdog.feed(outcome.done.seconds if outcome.done else None)
        self.stopped = self.stopped or outcome.stop
        if outcome.failed:
            self._batches.forget(outcome.task)
            if self._part(outcome, backlog):
                return
            if self._try_again(outcome.task, outcome.failed, backlog):
                return
            failed = self._retries.verdict(outcome.task, outcome.failed)
            outcome = replace(outcome, failed=failed)
        elif not outcome.stop:
            self._batches.learn(outcome.task, outcome.seconds)
            self._storm.calm()
        del self._attempts[outcome.task.case.id]
        self._parted.discard(outcome.task.case.id)
        note(outcome)

    def _begin_again(self, task: CaseTask, why: str, backlog: Backlog) -> None:
        """A task whose worker was taken away, or that need not be to blame: nothing is counted."""
        if task.kind == "prepare":
            self._attempts[task.case.id] -= 1
        self._tell(CaseTaken(task.case.id, why))
        add = backlog.add_suspect if self._retries.is_suspect(task) else backlog.add
        add(task)

    def _part(self, outcome: Outcome, backlog: Backlog) -> bool:
        """Whether a case is tried again, uncounted, since its worker died with others of the same task.

        The first time it goes by itself, beside others; the second time alone, so that only its own death
        is ever counted. One that was overdue is known.
        """
        task, failed = outcome.task, outcome.failed
        if failed is None or failed.code != FailureCode.WORKER_DIED:
            return False
        if outcome.beside and not self._retries.was_overdue(task):
            self._parted.add(task.case.id)
            text = f"its worker died with {outcome.beside + 1} cases in hand; it is tried by itself"
            self._begin_again(task, text, backlog)
            return True
        if task.case.id not in self._parted:
            return False
        self._parted.discard(task.case.id)
        self._retries.suspect(task)
        self._begin_again(task, "its worker died once more; it is tried alone", backlog)
        return True

    def _try_again(self, task: CaseTask, failure: CaseFailed, backlog: Backlog) -> bool:
        self.stopped = self.stopped or self._storm.add(failure)
        again = self._retries.after(task, failure)
        if again is None:
            return False
        if failure.retry == "memory":
            task = replace(task, memory=task.memory * task.shares, shares=1, threads=1)
        if again.alone:
            backlog.add_suspect(task)
        else:
            backlog.add(task, again.delay)
        return True

    def _rebuild(self, reason: str, backlog: Backlog) -> None:
        """Give up an executor; the next one takes over what it had in hand."""
        self._rebuilds += 1
        if self._rebuilds > _MOST_REBUILDS:
            self.stopped = (
                f"{reason}, {self._rebuilds} times; look into {_LOGS_FOLDER} of the output"
            )
        self._tell(Notice(f"{reason}; all workers are replaced"))
        self._write_state(reason)
        self.close()
        for task in self._inflight:
            backlog.add(task)
        self._inflight.clear()

    def _write_state(self, reason: str) -> None:
        """What the executor knew, for whoever looks for the cause."""
        if self._executor is None:
            return
        cases = sorted(task.case.id for task in self._inflight)
        state = {"reason": reason, "inflight": cases, **self._executor.state()}
        folder = self._root / _LOGS_FOLDER
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        with suppress(OSError):  # a disk that refuses costs the dump, never the run
            folder.mkdir(exist_ok=True)
            (folder / f"lost-{stamp}.json").write_text(json.dumps(state, indent=1))

    def close(self) -> None:
        """Stop the executor; tasks that still run are killed where it can."""
        if self._executor is not None:
            self._executor.close()
            self._executor = None

    def finish(self) -> None:
        """Close after the last task: attempts are forgotten unless the run is to be resumed."""
        failpoint("before_close", str(self._root))
        self.close()
        if not self.halted:
            self._retries.forget()
