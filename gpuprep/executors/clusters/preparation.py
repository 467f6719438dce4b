"""Joining a scheduler, and what every worker does before its first task."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Mapping
from typing import Any

from distributed import Client, Security, WorkerPlugin

from gpuprep.executors.shares import divide_memory_in

_INTERRUPTS = (signal.SIGINT, signal.SIGHUP)  # what a terminal sends to all its processes


def join(
    where: Any,
    security: Security | None = None,
    *,
    devices: Mapping[str, str] | None = None,
    folder: str = "",
    seconds: float = 30.0,
) -> Client:
    """A client of a scheduler, given by its address or Dask's cluster object, whose workers are prepared.

    ``devices`` are by the names of workers, as ``CUDA_VISIBLE_DEVICES`` has them. Those on one
    host that divide its memory do so in ``folder``; without it, each has its own.
    """
    client = Client(where, security=security, timeout=seconds, set_as_default=False)
    client.register_plugin(_Preparation(devices or {}, folder))
    return client


class _Preparation(WorkerPlugin):  # type: ignore[misc]
    """Take a CUDA device where some are given, meet the others that divide the memory, and leave
    Ctrl-C and the closed terminal to the coordinator, which drains; a worker that died of them would lose
    its cases."""

    name = "gpuprep-preparation"

    def __init__(self, devices: Mapping[str, str], folder: str) -> None:
        self._devices = dict(devices)
        self._folder = folder

    def setup(self, worker: Any) -> None:
        own = self._devices.get(str(worker.name))
        if own is not None:
            os.environ["CUDA_VISIBLE_DEVICES"] = own
        divide_memory_in(self._folder or worker.local_directory)
        silence_tornado()
        if threading.current_thread() is threading.main_thread():
            for number in _INTERRUPTS:
                signal.signal(number, signal.SIG_IGN)


def silence_tornado() -> None:
    """Heartbeats that meet a closed connection while a cluster shuts down are logged with tracebacks."""
    for name in ("tornado.application", "asyncio", "distributed.batched"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
