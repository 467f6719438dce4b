"""One task inside a worker: run the plan, and turn whatever happens into an outcome."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from gpuprep.config.model import Config
from gpuprep.device.link import Link
from gpuprep.executors.base import Outcome
from gpuprep.executors.deadline import killed_when_overdue
from gpuprep.executors.shares import Shares, shared_folder
from gpuprep.host.scratch import make_scratch
from gpuprep.io.rules import ReadRules
from gpuprep.io.sandbox.parent import Sandbox
from gpuprep.ledger.output import load_fingerprint, load_output_config
from gpuprep.ops.statistics import Histogram
from gpuprep.preprocess.failure import _BRING_BACK, _MAKE_SPACE, _STOPPING, explain
from gpuprep.preprocess.pipeline import measure_case, run_case
from gpuprep.preprocess.projection import project_case, shares_for
from gpuprep.preprocess.task import CasePlan, Stopwatch
from gpuprep.store.places import to_place
from gpuprep.values.errors import InputError, RunStopped
from gpuprep.values.events import CaseDone

Deadline = Callable[[CasePlan, float], AbstractContextManager[None]]
"""A block in which a plan may take so many seconds."""


class Workplace:
    """What one slot keeps between tasks: config, cohort statistics, a reader child and a way to a device.

    Cases for an object store are built in a local folder of the slot's own: the run's may be on another host.
    """

    def __init__(self, plan: CasePlan) -> None:
        output = to_place(plan.url or plan.output)
        self.digest = plan.digest
        self.config: Config = load_output_config(output)
        self.cohort: tuple[Histogram, ...] = load_fingerprint(output)[1]
        self._folder = make_scratch("gpuprep-slot-") if plan.url else ""
        plan = self.at_home(plan)
        self.link = _open_link(self.config) if plan.backend == "cupy" else None
        self._sandbox = Sandbox(_rules(self.config, plan))

    def reader(self, plan: CasePlan) -> Sandbox:
        """A reader that takes as much memory as the plan allows."""
        rules = _rules(self.config, plan)
        if rules != self._sandbox.rules:
            self._sandbox.close()
            self._sandbox = Sandbox(rules)
        return self._sandbox

    def at_home(self, plan: CasePlan) -> CasePlan:
        """The plan with a folder that this host has."""
        return replace(plan, output=self._folder) if self._folder else plan

    def close(self) -> None:
        self._sandbox.close()
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)


def _open_link(config: Config) -> Link:
    from gpuprep.device.cuda import open_link

    return open_link(config.cuda.memory)


def _rules(config: Config, plan: CasePlan) -> ReadRules:
    return ReadRules.of(config, root=plan.root, memory=plan.memory, scratch=plan.output)


def perform(plan: CasePlan, workplace: Workplace, deadline: Deadline) -> Outcome:
    """Run one plan; every error of the case becomes part of the outcome."""
    patience = workplace.config.run.deadline
    try:
        with _admitted(workplace.at_home(plan), workplace) as admitted, deadline(plan, patience):
            return replace(_run(admitted, workplace), plan=plan)
    except RunStopped as error:
        return Outcome(plan, stop=f"{error.message}; {error.advice}")
    except OSError as error:
        if error.errno in _STOPPING:
            return Outcome(plan, stop=f"{_STOPPING[error.errno]}; {_MAKE_SPACE}")
        return Outcome(plan, failed=explain(plan, error))
    except Exception as error:
        if isinstance(error, InputError) and _input_has_gone(plan.root):
            return Outcome(plan, stop=f"nothing is left in the input {plan.root}; {_BRING_BACK}")
        return Outcome(plan, failed=explain(plan, error))


def _input_has_gone(root: str) -> bool:
    """Whether a folder was taken away or unmounted, which is no fault of the cases in it."""
    try:
        return bool(root) and next(Path(root).iterdir(), None) is None
    except FileNotFoundError:
        return True
    except OSError:
        return False


@contextmanager
def _admitted(plan: CasePlan, workplace: Workplace) -> Iterator[CasePlan]:
    """The plan with as many shares of the memory as its case needs, once they are free."""
    if plan.shares == 1 or not plan.memory or not shared_folder():
        yield plan
        return
    projection = project_case(plan.case, workplace.config, workplace.reader(plan).peek)
    number = shares_for(projection.roomy_bytes, plan.memory, plan.shares)
    with Shares(shared_folder(), plan.shares).taken(number):
        yield replace(plan, memory=plan.memory * number, threads=plan.threads * number)


def _run(plan: CasePlan, workplace: Workplace) -> Outcome:
    start, watch = time.perf_counter(), Stopwatch()
    read = workplace.reader(plan).read
    if plan.task == "measure":
        return Outcome(plan, histograms=measure_case(plan, workplace.config, read))
    record = run_case(plan, workplace.config, read, workplace.cohort, workplace.link, watch)
    return _done(plan, record, time.perf_counter() - start, watch)


def _done(plan: CasePlan, record: dict[str, Any], seconds: float, watch: Stopwatch) -> Outcome:
    event = CaseDone(
        plan.case.id,
        bytes_in=sum(entry["size"] for entry in record["source"]),
        bytes_out=sum(seal["size"] for seal in record["files"].values()),
        seconds=seconds,
        findings=tuple(finding["code"] for finding in record["findings"]),
        fallbacks=tuple(record["engine"].get("fallbacks", ())),
        stages=tuple(watch.spans),
    )
    return Outcome(plan, done=event, stage_seconds=tuple(watch.seconds.items()))


_slot = threading.local()


def perform_in_slot(fields: dict[str, Any]) -> Outcome:
    """Run a plan given as JSON, with a workplace kept by this thread between calls."""
    plan = CasePlan.from_json(fields)
    workplace: Workplace | None = getattr(_slot, "workplace", None)
    key = (plan.output, plan.digest)
    if workplace is None or _slot.key != key:
        if workplace is not None:
            workplace.close()
        try:
            workplace = Workplace(plan)
        except Exception as error:
            return Outcome(plan, failed=explain(plan, error))
        _slot.workplace, _slot.key = workplace, key
    return perform(plan, workplace, killed_when_overdue)
