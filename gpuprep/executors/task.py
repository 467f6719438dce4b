"""One task inside a worker: run the plan, and turn whatever happens into an outcome."""

from __future__ import annotations

import errno
import threading
import time
import traceback
from pathlib import Path
from typing import Any

from gpuprep.config import Config
from gpuprep.device.link import Link
from gpuprep.errors import CaseError, GpuprepError, InputError, RunStopped
from gpuprep.events import CaseDone, CaseFailed
from gpuprep.executors.base import Outcome
from gpuprep.footprint import source_in_memory
from gpuprep.io.rules import ReadRules
from gpuprep.io.sandbox import Sandbox
from gpuprep.ops.statistics import Histogram
from gpuprep.output import load_fingerprint, load_output_config
from gpuprep.plan import CasePlan
from gpuprep.prepare import Stopwatch
from gpuprep.worker import measure_case, run_case

_LOOK = (
    "gpuprep inspect shows what the reader sees; take the file out of the input if it is not needed"
)
_STOPPING = {errno.ENOSPC: "the disk of the output is full", errno.EDQUOT: "the quota is used up"}


class Workplace:
    """What one slot keeps between tasks: config, cohort statistics, a reader child and a way to a device."""

    def __init__(self, plan: CasePlan) -> None:
        output = plan.output
        self.digest = plan.digest
        self.config: Config = load_output_config(Path(output))
        self.cohort: tuple[Histogram, ...] = load_fingerprint(Path(output))[1]
        self.link = _open_link(self.config) if plan.backend == "cupy" else None
        self.sandbox = Sandbox(read_rules(self.config, plan))

    def close(self) -> None:
        self.sandbox.close()


def _open_link(config: Config) -> Link:
    from gpuprep.device.cuda import open_link

    return open_link(config.cuda.memory)


def read_rules(config: Config, plan: CasePlan | None = None) -> ReadRules:
    """The reader's rules out of a config; voxels beyond the plan's memory go to disk in its output."""
    limits = config.input.limits
    return ReadRules(
        max_voxels=limits.voxels,
        max_bytes=limits.bytes,
        timeout_seconds=limits.seconds,
        in_memory_bytes=source_in_memory(plan.memory) if plan else None,
        scratch=plan.output if plan else "",
        policy=dict(config.input.policy),
    )


def perform(plan: CasePlan, workplace: Workplace) -> Outcome:
    """Run one plan; every error of the case becomes part of the outcome."""
    start, watch = time.perf_counter(), Stopwatch()
    try:
        if plan.task == "measure":
            histograms = measure_case(plan, workplace.config, workplace.sandbox.read)
            return Outcome(plan, histograms=histograms)
        reader, link = workplace.sandbox.read, workplace.link
        record = run_case(plan, workplace.config, reader, workplace.cohort, link, watch)
    except RunStopped as error:
        return Outcome(plan, stop=str(error))
    except OSError as error:
        if error.errno in _STOPPING:
            return Outcome(plan, stop=_STOPPING[error.errno])
        return Outcome(plan, failed=explain(plan, error))
    except Exception as error:
        return Outcome(plan, failed=explain(plan, error))
    return _done(plan, record, time.perf_counter() - start, watch)


def explain(plan: CasePlan, error: Exception) -> CaseFailed:
    """What went wrong, for a person: kind, code, message, advice."""
    if isinstance(error, GpuprepError):
        retry = error.retry if isinstance(error, CaseError) else "never"
        code = error.code if isinstance(error, InputError) else error.kind.upper()
        path, details = (str(getattr(error, name, "")) for name in ("path", "details"))
        return CaseFailed(
            plan.case.id,
            error.kind,
            code,
            error.message,
            error.advice or _LOOK,
            path,
            details,
            retry,
        )
    details = "".join(traceback.format_exception(error))
    if isinstance(error, MemoryError):
        advice = "use fewer workers or a machine with more memory"
        return CaseFailed(
            plan.case.id, "memory", "MEMORY", "memory ran out", advice, "", details, "memory"
        )
    if isinstance(error, OSError):
        message = f"{error.strerror or error} ({error.filename or 'no file named'})"
        return CaseFailed(
            plan.case.id, "io", errno.errorcode.get(error.errno or 0, "OSERROR"), message,
            "check the disk and permissions, then run the same command again", "", details, "transient",
        )  # fmt: skip
    return CaseFailed(
        plan.case.id,
        "bug",
        "BUG",
        f"{type(error).__name__}: {error}",
        "this is a fault in gpuprep; run again with -v and report the traceback",
        "",
        details,
    )


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
    return perform(plan, workplace)
