"""One task inside a worker: run it, and turn whatever happens into an outcome."""

from __future__ import annotations

import errno
import platform
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
from gpuprep.host.backend import cupy_missing
from gpuprep.host.scratch import make_scratch
from gpuprep.io.rules import ReadRules
from gpuprep.io.sandbox.parent import Sandbox
from gpuprep.ledger.fingerprint import load_fingerprint
from gpuprep.ledger.output import load_output_config
from gpuprep.ops.mergeable import Mergeable
from gpuprep.preprocess.failure import explain
from gpuprep.preprocess.pipeline import measure_case, run_case
from gpuprep.preprocess.projection import project_case, shares_for
from gpuprep.preprocess.task import CaseTask, Stopwatch
from gpuprep.preprocess.writing import check_packages
from gpuprep.store.layout import case_path
from gpuprep.store.listing import Holding
from gpuprep.store.places import to_place
from gpuprep.values.errors import InputError, RunStopped, UsageError
from gpuprep.values.events import CaseDone

_BRING_BACK = "bring it back, then run the same command again; finished cases are kept"
_MAKE_SPACE = "make space, then run the same command again; finished cases are kept"
_STOPPING = {errno.ENOSPC: "the disk of the output is full", errno.EDQUOT: "the quota is used up"}

Deadline = Callable[[CaseTask, float], AbstractContextManager[None]]
"""A block in which a task may take so many seconds."""


class Workplace:
    """What one slot keeps between tasks: config, cohort statistics, a reader child and a way to a device.

    Cases for an object store are built in a local folder of the slot's own: the run's may be on another host.
    """

    def __init__(self, task: CaseTask) -> None:
        output = to_place(task.url or task.output)
        self.digest = task.digest
        self.config: Config = load_output_config(output)
        measuring = task.kind == "measure"  # what an earlier run left may be damaged then
        self.cohort: tuple[Mergeable, ...] = () if measuring else load_fingerprint(output).channels
        if not measuring:
            _check_packages(self.config)
        self._folder = make_scratch("gpuprep-slot-") if task.url else ""
        task = self.at_home(task)
        self.link, self.no_device = _open_link(self.config, task.backend)
        self._sandbox = Sandbox(_rules(self.config, task))

    def reader(self, task: CaseTask) -> Sandbox:
        """A reader that takes as much memory as the task allows."""
        self._sandbox.follow(_rules(self.config, task))
        return self._sandbox

    def get_ready(self) -> None:
        """Between two tasks: what the next one would have to wait for is made ready."""
        self._sandbox.get_ready()

    def at_home(self, task: CaseTask) -> CaseTask:
        """The task with a folder that this host has."""
        return replace(task, output=self._folder) if self._folder else task

    def close(self) -> None:
        self._sandbox.close()
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)


def open_workplace(task: CaseTask) -> Workplace | Outcome:
    """A workplace for tasks like this one, or what becomes of the task where there can be none."""
    try:
        return Workplace(task)
    except Exception as error:
        return _ended(task, error)


def _ended(task: CaseTask, error: Exception) -> Outcome:
    """The outcome of a task that an error ended: its own failure, or the whole run's."""
    if isinstance(error, RunStopped):
        return Outcome(task, stop=f"{error.message}; {error.advice}")
    return Outcome(task, failed=explain(task, error))


def _check_packages(config: Config) -> None:
    """Raises RunStopped where this host lacks a package that every case needs."""
    try:
        check_packages(config)
    except UsageError as error:
        raise RunStopped(f"{platform.node()}: {error.message}", advice=error.advice) from error


def _open_link(config: Config, backend: str) -> tuple[Link | None, str]:
    """A way to this process's device where one is wanted, or why there is none.

    Raises:
        RunStopped: the device cannot be opened, and NumPy was not to do its work.
    """
    if backend == "numpy":
        return None, ""
    reason = cupy_missing()
    if not reason:
        from gpuprep.device.cuda import open_link

        try:
            return open_link(config.cuda.memory), ""
        except Exception as error:  # whatever CUDA, its driver and NVRTC say
            reason = f"the CUDA device of {platform.node()} cannot be used: {error}"
    if backend == "cupy":
        raise RunStopped(f"backend cupy: {reason}", advice="--backend auto has NumPy do the cases")
    return None, reason


def _rules(config: Config, task: CaseTask) -> ReadRules:
    return ReadRules.of(config, root=task.root, memory=task.memory, scratch=task.output)


def perform(task: CaseTask, workplace: Workplace, deadline: Deadline) -> Outcome:
    """Run one task; every error of the case becomes part of the outcome."""
    patience, start = workplace.config.run.deadline, time.perf_counter()
    try:
        with _admitted(workplace.at_home(task), workplace) as admitted, deadline(task, patience):
            outcome = _run(admitted, workplace)
        return replace(outcome, task=task, seconds=time.perf_counter() - start)
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _STOPPING:
            return Outcome(task, stop=f"{_STOPPING[error.errno]}; {_MAKE_SPACE}")
        if isinstance(error, InputError) and _input_has_gone(task.root):
            return Outcome(task, stop=f"nothing is left in the input {task.root}; {_BRING_BACK}")
        return _ended(task, error)


def _input_has_gone(root: str) -> bool:
    """Whether a folder was taken away or unmounted, which is no fault of the cases in it."""
    try:
        return bool(root) and next(Path(root).iterdir(), None) is None
    except FileNotFoundError:
        return True
    except OSError:
        return False


@contextmanager
def _admitted(task: CaseTask, workplace: Workplace) -> Iterator[CaseTask]:
    """The task with as many shares of the memory as its case needs, once they are free."""
    if task.shares == 1 or not task.memory or not shared_folder():
        yield task
        return
    projection = project_case(task.case, workplace.config, workplace.reader(task).peek)
    number = shares_for(projection.roomy_bytes, task.memory, task.shares)
    with Shares(shared_folder(), task.shares).taken(number):
        yield replace(task, memory=task.memory * number, threads=task.threads * number)


def _run(task: CaseTask, workplace: Workplace) -> Outcome:
    start, watch = time.perf_counter(), Stopwatch()
    read = workplace.reader(task).read
    if task.kind == "measure":
        histograms, files = measure_case(task, workplace.config, read)
        return Outcome(task, histograms=histograms, files=files)
    record = run_case(
        task,
        workplace.config,
        read,
        workplace.cohort,
        workplace.link,
        workplace.no_device,
        watch,
    )
    return _done(task, record, time.perf_counter() - start, watch)


def _done(task: CaseTask, record: dict[str, Any], seconds: float, watch: Stopwatch) -> Outcome:
    event = CaseDone(
        task.case.id,
        bytes_in=sum(entry["size"] for entry in record["source"]),
        bytes_out=sum(seal["size"] for seal in record["files"].values()),
        seconds=seconds,
        findings=tuple(finding["code"] for finding in record["findings"]),
        fallbacks=tuple(record["engine"].get("fallbacks", ())),
        stages=tuple(watch.spans),
    )
    folder = to_place(task.url or task.output) / case_path(task.case.id)
    held = Holding.of_record(record, folder.version())
    return Outcome(task, done=event, stage_seconds=tuple(watch.seconds.items()), held=held)


_slot = threading.local()


def perform_in_slot(fields: dict[str, Any]) -> Outcome:
    """Run a task given as JSON, with a workplace kept by this thread between calls."""
    task = CaseTask.from_json(fields)
    workplace: Workplace | None = getattr(_slot, "workplace", None)
    key = (task.output, task.digest)
    if workplace is None or _slot.key != key:
        if workplace is not None:
            workplace.close()
            _slot.workplace = workplace = None  # its page-locked memory goes before new is taken
        opened = open_workplace(task)
        if isinstance(opened, Outcome):
            return opened
        workplace = opened
        _slot.workplace, _slot.key = workplace, key
    return perform(task, workplace, killed_when_overdue)
