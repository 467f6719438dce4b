"""A run's counters in Prometheus' text format: a file for the textfile collector, or a loopback endpoint.

Few labels, and none that grows with the cohort: no case ids, no paths.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from gpuprep.values.errors import UsageError
from gpuprep.values.events import CaseDone, CaseFailed, CaseStarted, Event, RunFinished, RunStarted

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_WRITE_SECONDS = 1.0
_LOOPBACK = "127.0.0.1"

_FAMILIES = {
    "gpuprep_cases": ("gauge", "Cases of the run."),
    "gpuprep_workers": ("gauge", "Worker processes."),
    "gpuprep_inflight": ("gauge", "Cases handed to workers and not finished."),
    "gpuprep_running": ("gauge", "1 while the run goes on."),
    "gpuprep_updated_timestamp_seconds": ("gauge", "When these numbers were written."),
    "gpuprep_items_total": ("counter", "Cases by how they ended; class is the kind of a failure."),
    "gpuprep_bytes_total": ("counter", "Bytes of source files read and of stored files written."),
    "gpuprep_stage_seconds_total": ("counter", "Seconds of work per stage, over all workers."),
    "gpuprep_retries_total": ("counter", "Cases handed out once more."),
}


class Metrics:
    """A listener that counts; ``text`` is what Prometheus reads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values: defaultdict[str, float] = defaultdict(float)
        self._inflight: set[str] = set()

    def __call__(self, event: Event) -> None:
        with self._lock:
            self._count(event)

    def _count(self, event: Event) -> None:
        values = self._values
        match event:
            case RunStarted():
                values["gpuprep_cases"] = event.cases
                values["gpuprep_workers"] = event.workers
                values["gpuprep_running"] = 1
            case CaseStarted():
                self._inflight.add(event.case_id)
                values["gpuprep_retries_total"] += event.attempt > 1
            case CaseDone():
                self._inflight.discard(event.case_id)
                state = "skipped" if event.skipped else "done"
                values[f'gpuprep_items_total{{state="{state}",class=""}}'] += 1
                values['gpuprep_bytes_total{dir="in"}'] += event.bytes_in
                values['gpuprep_bytes_total{dir="out"}'] += event.bytes_out
                for span in event.stages:
                    name = f'gpuprep_stage_seconds_total{{stage="{span.stage}"}}'
                    values[name] += span.seconds
            case CaseFailed():
                self._inflight.discard(event.case_id)
                values[f'gpuprep_items_total{{state="failed",class="{event.kind}"}}'] += 1
            case RunFinished():
                self._inflight.clear()
                values["gpuprep_running"] = 0
        values["gpuprep_inflight"] = len(self._inflight)

    def text(self) -> str:
        """All counters in Prometheus' text exposition format."""
        with self._lock:
            values = {**self._values, "gpuprep_updated_timestamp_seconds": round(time.time(), 3)}
        lines = []
        for family, (kind, meaning) in _FAMILIES.items():
            samples = [name for name in values if name.partition("{")[0] == family]
            if samples:
                lines += [f"# HELP {family} {meaning}", f"# TYPE {family} {kind}"]
                lines += [f"{name} {values[name]}" for name in sorted(samples)]
        return "\n".join(lines) + "\n"


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
            partial = self._path.with_name(f".{self._path.name}.partial")
            with suppress(OSError):  # a disk that refuses costs the metrics, never the run
                partial.write_text(self._metrics.text(), "utf-8")
                partial.replace(self._path)


class MetricsServer:
    """Answers ``GET /metrics`` on the loopback address, until it is closed.

    Attributes:
        port: where it listens; the system chooses where 0 was asked for.

    Raises:
        UsageError: the port is taken.
    """

    def __init__(self, metrics: Metrics, port: int) -> None:
        class Answer(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path != "/metrics":
                    self.send_error(404)
                    return
                body = metrics.text().encode()
                self.send_response(200)
                self.send_header("Content-Type", CONTENT_TYPE)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing: standard error belongs to the run."""

        try:
            self._server = ThreadingHTTPServer((_LOOPBACK, port), Answer)
        except OSError as error:
            raise UsageError(
                f"--metrics-port {port} on {_LOOPBACK}: {error.strerror}",
                advice="choose another port; 0 takes a free one",
            ) from None
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop answering and give the port back."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
