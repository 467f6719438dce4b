"""A run's counters in Prometheus' text format: a file for the textfile collector, or a loopback endpoint.

Few labels, and none that grows with the cohort: no case ids, no paths.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from prometheus_client import generate_latest, write_to_textfile
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from gpuprep.values.errors import UsageError
from gpuprep.values.events import CaseDone, CaseFailed, CaseStarted, Event, RunFinished, RunStarted

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_WRITE_SECONDS = 1.0
_LOOPBACK = "127.0.0.1"


class Metrics(Collector):
    """A listener that counts, and what Prometheus' own functions write out."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values: defaultdict[tuple[str, ...], float] = defaultdict(float)
        """By the name of a family and the values of its labels."""
        self._inflight: set[str] = set()

    def __call__(self, event: Event) -> None:
        with self._lock:
            self._count(event)

    def _count(self, event: Event) -> None:
        values = self._values
        match event:
            case RunStarted():
                values["gpuprep_cases",] = event.cases
                values["gpuprep_workers",] = event.workers
                values["gpuprep_running",] = 1
            case CaseStarted():
                self._inflight.add(event.case_id)
                values["gpuprep_retries",] += event.attempt > 1
            case CaseDone():
                self._inflight.discard(event.case_id)
                values["gpuprep_items", "skipped" if event.skipped else "done", ""] += 1
                values["gpuprep_bytes", "in"] += event.bytes_in
                values["gpuprep_bytes", "out"] += event.bytes_out
                for span in event.stages:
                    values["gpuprep_stage_seconds", span.stage] += span.seconds
            case CaseFailed():
                self._inflight.discard(event.case_id)
                values["gpuprep_items", "failed", event.kind] += 1
            case RunFinished():
                self._inflight.clear()
                values["gpuprep_running",] = 0
        values["gpuprep_inflight",] = len(self._inflight)

    def collect(self) -> Iterator[Metric]:
        """The families that have a value, all of one moment."""
        with self._lock:
            values = {**self._values, ("gpuprep_updated_timestamp_seconds",): round(time.time(), 3)}
        for family in _families():
            for (name, *labels), value in values.items():
                if name == family.name:
                    family.add_metric(labels, value)
            if family.samples:
                yield family


def _families() -> list[GaugeMetricFamily | CounterMetricFamily]:
    """Every family, empty; ``_total`` is put behind the names of counters."""
    gauge, counter = GaugeMetricFamily, CounterMetricFamily
    ended = "Cases by how they ended; class is the kind of a failure."
    moved = "Bytes of source files read and of stored files written."
    return [
        gauge("gpuprep_cases", "Cases of the run."),
        gauge("gpuprep_workers", "Worker processes."),
        gauge("gpuprep_inflight", "Cases handed to workers and not finished."),
        gauge("gpuprep_running", "1 while the run goes on."),
        gauge("gpuprep_updated_timestamp_seconds", "When these numbers were written."),
        counter("gpuprep_items", ended, labels=["state", "class"]),
        counter("gpuprep_bytes", moved, labels=["dir"]),
        counter(
            "gpuprep_stage_seconds",
            "Seconds of work per stage, over all workers.",
            labels=["stage"],
        ),
        counter("gpuprep_retries", "Cases handed out once more."),
    ]


class MetricsFile:
    """A listener that keeps a metrics file up to date: at most once a second, and at the end."""

    def __init__(self, metrics: Metrics, path: Path) -> None:
        if not path.absolute().parent.is_dir():
            raise UsageError(
                f"--metrics {path}: its folder does not exist", advice="make the folder first"
            )
        self._metrics = metrics
        self._path = path
        self._written = 0.0

    def __call__(self, event: Event) -> None:
        due = time.monotonic() - self._written >= _WRITE_SECONDS
        if due or isinstance(event, RunStarted | RunFinished):
            self._written = time.monotonic()
            with suppress(OSError):  # a disk that refuses costs the metrics, never the run
                write_to_textfile(str(self._path), self._metrics)


@contextmanager
def served(metrics: Metrics, port: int) -> Iterator[int]:
    """Answer ``GET /metrics`` on the loopback address inside the block; gives the port.

    The system chooses one where 0 is asked for.

    Raises:
        UsageError: the port is taken.
    """

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path != "/metrics":
                self.send_error(404)
                return
            body = generate_latest(metrics)
            self.send_response(200)
            self.send_header("Content-Type", CONTENT_TYPE)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing: standard error belongs to the run."""

    try:
        server = ThreadingHTTPServer((_LOOPBACK, port), Answer)
    except OSError as error:
        raise UsageError(
            f"--metrics-port {port} on {_LOOPBACK}: {error.strerror}",
            advice="choose another port; 0 takes a free one",
        ) from None
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
