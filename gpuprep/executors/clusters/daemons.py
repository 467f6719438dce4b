"""A cluster of one's own where no other system starts it: a scheduler, and workers that come back.

Both are Dask's own commands under our settings, so that nothing listens without TLS, no dashboard is open,
and a lost link ends in a worker that joins again.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from urllib.parse import urlsplit

import dask

from gpuprep.config.cluster import ClusterSpec
from gpuprep.device.cuda import SHARERS
from gpuprep.executors.clusters.cluster import cluster_settings, inherited
from gpuprep.host.scratch import scratch_folder, temporary_root
from gpuprep.values.errors import RunStopped, UsageError

_QUIET = ("--no-dashboard", "--dashboard-address", "127.0.0.1:0")
_POLL_SECONDS = 0.5
_LEAVING_SECONDS = 30

_Child = tuple[
    list[str], dict[str, str]
]  # one of Dask's commands, and the environment it adds to ours


def serve_scheduler(spec: ClusterSpec, silence: float) -> int:
    """Run the scheduler at the address of the cluster until it is told to stop; its exit code.

    A worker that gives no sign of life for ``silence`` seconds counts as dead.
    """
    _refuse_open(spec)
    temporary_root()  # Dask writes there, and says less clearly where it cannot
    if spec.address.endswith(".json"):
        where = [*_scheduler_file(spec), "--port", "0"]
    else:
        parts = urlsplit(spec.address)
        where = ["--host", f"{parts.scheme}://{parts.hostname}", "--port", str(parts.port)]
    command = _command("dask_scheduler", *where, *_QUIET)
    return _supervise([(command, _settings(spec, silence))], again=False)


def serve_workers(spec: ClusterSpec, silence: float, devices: Sequence[str] = ()) -> int:
    """Run workers of this host until they are told to stop.

    One process for each CUDA device that is named, which sees no other; or as many as the cluster says. A
    worker that lost its scheduler joins again; one that finds none for ``patience`` seconds ends them all.

    Raises:
        RunStopped: there was no scheduler.
    """
    _refuse_open(spec)
    scheduler = _scheduler_file(spec) if spec.address.endswith(".json") else [spec.address]
    with scratch_folder("gpuprep-worker-") as scratch:
        command = _command(
            "dask_worker",
            *scheduler,
            *("--nthreads", str(spec.slots), "--nworkers", "1"),
            *("--memory-limit", str(spec.bytes), "--death-timeout", str(spec.patience)),
            *("--local-directory", str(scratch), *_QUIET),
        )
        settings = _settings(spec, silence)
        own = [{"CUDA_VISIBLE_DEVICES": device} for device in devices] or [{}]
        number = spec.workers or len(own)
        sharers = {SHARERS: str(-(-number // len(own)))}
        children = [
            (command, settings | sharers | own[index % len(own)]) for index in range(number)
        ]
        return _supervise(children, again=True)


def _settings(spec: ClusterSpec, silence: float) -> dict[str, str]:
    """Our settings of Dask, as its processes inherit them."""
    with dask.config.set(cluster_settings(spec, silence)):
        return inherited()


def _scheduler_file(spec: ClusterSpec) -> list[str]:
    return ["--scheduler-file", str(Path(spec.address).expanduser().absolute())]


def _refuse_open(spec: ClusterSpec) -> None:
    if spec.kind != "existing":
        raise UsageError(
            f"the config describes a cluster of kind {spec.kind}, which gpuprep run starts itself",
            advice="cluster: {kind: existing, address: tls://HOST:PORT or FILE.json}",
        )
    if spec.address.endswith(".json") and spec.tls is None and not spec.insecure:
        raise UsageError(
            "without keys anybody who reaches the scheduler runs code on every worker",
            advice="gpuprep certificates FOLDER, and name its files in cluster.tls",
        )


def _command(module: str, *options: str) -> list[str]:
    own = str(os.getpid())
    return [sys.executable, "-m", "gpuprep.executors.clusters.follower", own, module, *options]


def _supervise(children: list[_Child], *, again: bool) -> int:
    """Keep the children up until a signal asks to stop, or one of them gives up."""
    with _stop_requests() as requests:
        running = [_start(*child) for child in children]
        try:
            while not requests:
                time.sleep(_POLL_SECONDS)
                for index, child in enumerate(running):
                    code = child.poll()
                    if code is not None and not again:
                        return code
                    if code is not None and code > 0:  # no scheduler in time, or no start
                        raise RunStopped(f"a worker gave up (exit code {code}); its log says why")
                    if code is not None:
                        running[index] = _start(*children[index])
            return 0
        finally:
            _end(running)


def _start(command: list[str], environment: dict[str, str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command, env={**os.environ, **environment}, start_new_session=True)


def _end(children: list[subprocess.Popen[bytes]]) -> None:
    for child in children:
        if child.poll() is None:
            child.terminate()
    deadline = time.monotonic() + _LEAVING_SECONDS
    for child in children:
        try:
            child.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()


@contextmanager
def _stop_requests() -> Iterator[list[int]]:
    """Signals that asked to stop, as they come in."""
    seen: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        seen.append(number)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield seen
    finally:
        for number, action in before.items():
            signal.signal(number, action)
