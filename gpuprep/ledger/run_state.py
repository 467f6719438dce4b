"""How a run stands: a value that follows its events."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal

from gpuprep.values.events import (
    CaseDone,
    CaseFailed,
    CaseMeasured,
    CaseStarted,
    CaseTaken,
    CohortPass,
    Event,
    RunFinished,
    RunStarted,
    Waiting,
)

State = Literal["running", "finished", "paused", "died"]


@dataclass(frozen=True, slots=True)
class RunState:
    """How a run stands. Times are seconds since the epoch, UTC; counts are cases."""

    state: State = "running"
    reason: str = ""
    """Why it paused or died, in words."""
    command: str = ""
    """What starts it again, from ``folder``."""
    folder: str = ""
    host: str = ""
    pid: int = 0
    process_started: int = 0
    """Clock ticks from boot to the start of the process; tells it from a later one of that pid."""
    machine: str = ""
    """Host, boot and process namespace, in which the pid means something; older versions left it out."""
    started: float = 0.0
    updated: float = 0.0
    backend: str = ""
    workers: int = 0
    total: int = 0
    done: int = 0
    skipped: int = 0
    failed: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    running: tuple[tuple[str, float], ...] = ()
    """Cases handed out, and since when."""
    waiting: str = ""
    """What all of these wait for, while there is no worker; older versions left it out."""
    began: float = 0.0
    """When the first case was handed out; older versions left it out."""
    to_measure: int = 0
    """Cases of the pass over the cohort that comes first, where there is one; older versions left it out."""
    measured: int = 0
    """Of these, how many are through."""

    @property
    def remaining(self) -> int:
        """Cases that are neither done nor failed."""
        return max(0, self.total - self.done - self.skipped - self.failed)

    @property
    def seconds(self) -> float:
        """From the start to the last sign of life."""
        return max(0.0, self.updated - self.started)

    @property
    def measuring(self) -> bool:
        """Whether the run is still at its pass over the cohort."""
        return self.state == "running" and self.measured < self.to_measure and not self.began

    @property
    def rate(self) -> float:
        """Cases per second that were worked on, since the first was handed out; skipped ones do not count."""
        worked = self.done + self.failed
        seconds = max(0.0, self.updated - (self.began or self.started))
        return worked / seconds if worked and seconds else 0.0

    @property
    def eta(self) -> float | None:
        """Seconds to the end at that rate; None where nothing tells."""
        if self.state != "running" or not self.rate:
            return None
        return self.remaining / self.rate

    @property
    def exit_code(self) -> int:
        """What ``gpuprep status`` exits with: 0 running or all done, 1 some failed, 3 it must be resumed."""
        if self.state in ("paused", "died"):
            return 3
        return 1 if self.state == "finished" and self.failed else 0

    def after(self, event: Event, now: float) -> RunState:
        """How the run stands once an event has happened."""
        running = dict(self.running)
        keep_in_hand(running, event, now)
        return replace(self.counted(event, now), running=tuple(running.items()))

    def counted(self, event: Event, now: float) -> RunState:
        """The same but for the cases in hand."""
        return replace(self, **self._changes(event, now), updated=now)

    def _changes(self, event: Event, now: float) -> dict[str, Any]:
        match event:
            case CaseDone() | CaseFailed():
                return self._ended(event)
            case RunStarted():
                workers, backend = event.workers, event.backend
                return {"total": event.cases, "workers": workers, "backend": backend}
            case CohortPass():
                return {"to_measure": event.cases, "measured": event.known}
            case CaseMeasured():
                return {"measured": self.measured + 1}
            case CaseStarted():
                return {"began": self.began or now}
            case Waiting():
                return {"waiting": event.what}
            case RunFinished():
                paused = event.stopped or ("interrupted" if event.remaining else "")
                state = {"state": "paused" if paused else "finished", "waiting": ""}
                return {**state, "reason": paused} if paused else state
        return {}

    def _ended(self, event: CaseDone | CaseFailed) -> dict[str, Any]:
        if isinstance(event, CaseFailed):
            return {"failed": self.failed + 1}
        if event.skipped:
            return {"skipped": self.skipped + 1}
        bytes_in = self.bytes_in + event.bytes_in
        bytes_out = self.bytes_out + event.bytes_out
        return {"done": self.done + 1, "bytes_in": bytes_in, "bytes_out": bytes_out}

    def to_json(self) -> dict[str, Any]:
        derived = {name: getattr(self, name) for name in ("remaining", "seconds", "rate", "eta")}
        running = [{"case": case, "since": since} for case, since in self.running]
        return {"schema": 1, **asdict(self), **derived, "running": running}

    @classmethod
    def from_json(cls, tree: dict[str, Any]) -> RunState:
        known = {entry.name for entry in fields(cls)} - {"running"}
        running = tuple((entry["case"], entry["since"]) for entry in tree["running"])
        return cls(**{name: tree[name] for name in known & tree.keys()}, running=running)


def keep_in_hand(running: dict[str, float], event: Event, now: float) -> None:
    """Keep up, by each event, which cases are in hand and since when."""
    match event:
        case CaseStarted():
            running.pop(event.case_id, None)
            running[event.case_id] = now
        case CaseDone() | CaseFailed() | CaseTaken():
            running.pop(event.case_id, None)
        case Waiting():
            running.update(dict.fromkeys(running, now))
        case RunFinished():
            running.clear()
