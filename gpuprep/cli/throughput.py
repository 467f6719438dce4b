"""Throughput of whole runs on a given or generated cohort, and a trace of the stages of every case."""

from __future__ import annotations

import json
import resource
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np

from gpuprep.config.model import Config
from gpuprep.export import write_volume
from gpuprep.host.backend import Name
from gpuprep.ledger.report import Breakdown, RunReport, break_down
from gpuprep.running.coordinator import run
from gpuprep.values.errors import RunStopped, UsageError
from gpuprep.values.events import CaseDone, Event
from gpuprep.values.geometry import Geometry, Shape
from gpuprep.values.volume import Volume

_SPACING = (0.8, 0.8, 1.6)
_BALL_MM = 30.0


@dataclass(frozen=True, slots=True)
class Measured:
    """One run: how fast it was, and the largest process up to its end (bytes, children included)."""

    workers: int
    report: RunReport
    peak_bytes: int
    cases: tuple[CaseDone, ...]

    @property
    def breakdown(self) -> Breakdown:
        return break_down(self.report.finished)

    @property
    def working_rate(self) -> float:
        """Cases a second from the first stage of the first case to the last of the last: without the time
        in which the workers start and end."""
        spans = [span for case in self.cases for span in case.stages]
        if not spans:
            return 0.0
        start = min(span.start for span in spans)
        return len(self.cases) / (max(span.start + span.seconds for span in spans) - start)

    def to_json(self) -> dict[str, Any]:
        finished = self.report.finished
        return {
            "workers": self.workers,
            "cases": finished.done,
            "failed": finished.failed,
            "seconds": finished.seconds,
            "cases_per_second": self.breakdown.cases_per_second,
            "cases_per_working_second": self.working_rate,
            "bytes_in_per_second": finished.bytes_in / finished.seconds,
            "bytes_out_per_second": finished.bytes_out / finished.seconds,
            "peak_bytes": self.peak_bytes,
            "breakdown": self.breakdown.to_json(),
        }


def measure_runs(
    source: Path,
    folder: Path,
    config: Config,
    *,
    workers: Sequence[int],
    backend: Name = "auto",
    limit: int | None = None,
) -> Iterator[Measured]:
    """Run the cohort once for every number of workers, each into a new folder below ``folder``.

    The start of the workers is part of the time, as it is for a user.

    Raises:
        RunStopped: a run did not reach its end.
    """
    for count in workers:
        done: list[CaseDone] = []
        report = run(
            source,
            folder / f"workers_{count}",
            config=config,
            backend=backend,
            workers=count,
            limit=limit,
            overwrite=True,
            listeners=[_collector(done)],
        )
        if report.finished.stopped or report.interrupted:
            raise RunStopped(f"{count} workers: {report.finished.stopped or 'interrupted'}")
        yield Measured(count, report, _peak_bytes(), tuple(done))


def _collector(done: list[CaseDone]) -> Any:
    def collect(event: Event) -> None:
        if isinstance(event, CaseDone):
            done.append(event)

    return collect


def _peak_bytes() -> int:
    """The largest resident size that this process or one of its ended children has had."""
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return max(resource.getrusage(kind).ru_maxrss for kind in kinds) * 1024


def write_cohort(folder: Path, *, cases: int, shape: Shape) -> None:
    """Write CT-like ``volume-N`` and ``segmentation-N`` files: a bright ball in noise, labels 1 and 2.

    Args:
        folder: where to; made when missing.
        cases: how many pairs.
        shape: ``z, y, x`` of each.
    """
    folder.mkdir(parents=True, exist_ok=True)
    geometry = Geometry(shape, _SPACING, (0.0, 0.0, 0.0), tuple(np.eye(3).ravel()))
    axes = [
        (np.arange(length, dtype=np.float32) - (length - 1) / 2) * step
        for length, step in zip(shape, geometry.spacing_zyx, strict=True)
    ]
    z, y, x = np.ix_(*axes)
    radius = np.sqrt(z * z + y * y + x * x)
    label = (radius < _BALL_MM).astype(np.uint8) + (radius < _BALL_MM / 2)
    for number in range(cases):
        noise = np.random.default_rng(number).normal(-700, 60, shape)
        voxels = (noise + 760 * (label > 0)).astype(np.int16)
        write_volume(Volume(voxels, geometry), folder / f"volume-{number}.nii.gz")
        write_volume(
            Volume(label.astype(np.uint8), geometry), folder / f"segmentation-{number}.nii.gz"
        )


@contextmanager
def bench_folder(parent: Path, *, keep: bool) -> Iterator[Path]:
    """A new folder below ``parent``; deleted at the end unless it is to be kept.

    Raises:
        UsageError: nothing can be written there.
    """
    try:
        folder = Path(mkdtemp(prefix="gpuprep-bench-", dir=parent))
    except OSError as error:
        raise UsageError(f"cannot write to {parent}: {error.strerror}") from None
    try:
        yield folder
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)


def chrome_trace(runs: Iterable[Measured]) -> dict[str, Any]:
    """The stages of all cases as a Chrome trace (open it in Perfetto): a process a worker, times in µs."""
    spans = [
        (measured.workers, case.case_id, span)
        for measured in runs
        for case in measured.cases
        for span in case.stages
    ]
    names = {span.process: f"worker {span.process} (of {workers})" for workers, _, span in spans}
    first = min((span.start for _, _, span in spans), default=0.0)
    events = [
        {
            "name": span.stage,
            "cat": f"{workers} workers",
            "ph": "X",  # a complete event: start and duration
            "ts": (span.start - first) * 1e6,
            "dur": span.seconds * 1e6,
            "pid": span.process,
            "tid": span.thread,
            "args": {"case": case_id},
        }
        for workers, case_id, span in spans
    ]
    rows = [
        {"name": "process_name", "ph": "M", "pid": process, "tid": 0, "args": {"name": name}}
        for process, name in names.items()
    ]
    return {"traceEvents": rows + events, "displayTimeUnit": "ms"}


def save_trace(runs: Iterable[Measured], path: Path) -> None:
    """Write the trace as JSON."""
    path.write_text(json.dumps(chrome_trace(runs)), "utf-8")
