"""Feeding plans to an executor through a window, until all are done or the run must stop."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from gpuprep.executors.base import Executor, Outcome
from gpuprep.interrupts import Interrupts
from gpuprep.plan import CasePlan

_WINDOW = 1.25  # tasks handed out per slot
_POLL_SECONDS = 0.2


class Crew:
    """An executor that starts when first needed. ``stopped`` says why the run cannot go on, if so."""

    def __init__(self, start: Callable[[], Executor], interrupts: Interrupts) -> None:
        self._start = start
        self._interrupts = interrupts
        self._executor: Executor | None = None
        self.stopped = ""

    @property
    def halted(self) -> bool:
        """Whether the run ended before its plans did."""
        return bool(self.stopped) or self._interrupts.requested

    def work(self, plans: Iterable[CasePlan], note: Callable[[Outcome], None]) -> None:
        """Run plans and pass each outcome on; ``plans`` is drawn from only as slots come free.

        After a first interrupt nothing new is handed out and running cases get their time to finish.
        """
        waiting = iter(plans)
        drawing = True
        while not self._interrupts.drained:
            drawing = drawing and not self.halted and self._hand_out(waiting)
            if self._executor is None or not self._executor.inflight:
                break
            for outcome in self._executor.wait(_POLL_SECONDS):
                self.stopped = self.stopped or outcome.stop
                note(outcome)

    def _hand_out(self, waiting: Iterator[CasePlan]) -> bool:
        """Fill the window; False when there are no more plans."""
        while self._has_room() and not self._interrupts.requested:
            plan = next(waiting, None)
            if plan is None:
                return False
            if self._executor is None:
                self._executor = self._start()
            self._executor.submit(plan)
        return True

    def _has_room(self) -> bool:
        if self._executor is None:
            return True
        return self._executor.inflight < max(1, round(self._executor.slots * _WINDOW))

    def close(self) -> None:
        """Stop the executor; tasks that still run are killed where it can."""
        if self._executor is not None:
            self._executor.close()
