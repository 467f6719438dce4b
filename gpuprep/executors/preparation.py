"""What every worker does before its first task."""

from __future__ import annotations

import logging
import os
import signal
import threading
from typing import Any

from distributed import WorkerPlugin

INTERRUPTS = (signal.SIGINT, signal.SIGHUP)  # what a terminal sends to all its processes


class Preparation(WorkerPlugin):  # type: ignore[misc]
    """Take a CUDA device where some are given, and leave Ctrl-C and the closed terminal to the coordinator,
    which drains; a worker that died of them would lose its cases."""

    name = "gpuprep-preparation"

    def __init__(self, devices: tuple[str, ...] = ()) -> None:
        self._devices = devices

    def setup(self, worker: Any) -> None:
        if self._devices:
            own = self._devices[int(worker.name) % len(self._devices)]
            os.environ["CUDA_VISIBLE_DEVICES"] = own
        silence_tornado()
        if threading.current_thread() is threading.main_thread():
            for number in INTERRUPTS:
                signal.signal(number, signal.SIG_IGN)


def silence_tornado() -> None:
    """Heartbeats that meet a closed connection while a cluster shuts down are logged with tracebacks."""
    for name in ("tornado.application", "asyncio", "distributed.batched"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
