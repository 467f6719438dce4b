"""Worker processes on this machine, behind a scheduler that only this machine can reach."""

from __future__ import annotations

import os
import shutil
import signal
import warnings
from contextlib import ExitStack, suppress
from functools import wraps
from multiprocessing import spawn
from multiprocessing.resource_tracker import ensure_running
from typing import Any

import dask
from distributed import Client, LocalCluster, Security

from gpuprep.config.cluster import ClusterSpec
from gpuprep.executors.clusters.cluster import Cluster, cluster_settings, join
from gpuprep.host.scratch import make_scratch
from gpuprep.host.signals import signals_blocked
from gpuprep.values.errors import UsageError

_WORKERS = "Dask Worker process"  # how the nanny names them
_OF_THE_SCRIPT = ("init_main_from_name", "init_main_from_path")


class LocalProcesses(Cluster):
    """Loopback and mutual TLS with keys that exist in memory alone, no dashboard.

    Workers take turns over the CUDA devices, where there are any.
    """

    patience = 15.0  # for a nanny to replace the last worker

    def __init__(
        self, silence: float, workers: int, *, per_worker: int = 1, devices: tuple[str, ...] = ()
    ) -> None:
        super().__init__(ClusterSpec(), silence, workers=workers)
        self._per_worker = per_worker
        self._devices = devices

    def _start(self, started: ExitStack) -> Client:
        scratch = make_scratch("gpuprep-workers-")
        started.callback(shutil.rmtree, scratch, ignore_errors=True)
        started.enter_context(dask.config.set(cluster_settings(self._spec, self._silence)))
        leave_script_alone()
        security = Security.temporary()
        ensure_running()  # or the first worker's start would do it, and unblock signals after
        try:
            self._cluster = self._processes(scratch, security)
        except (RuntimeError, OSError) as error:  # whatever Dask and the system say
            raise UsageError(
                f"no worker process starts here: {error}",
                advice="--scheduler serial does the cases in this process",
            ) from error
        started.callback(self._cluster.close, timeout=10)
        names, devices = self._cluster.workers, self._devices
        own = {str(name): devices[name % len(devices)] for name in names if devices}
        return join(self._cluster, security, devices=own, folder=scratch)

    def _processes(self, scratch: str, security: Security) -> LocalCluster:
        with signals_blocked(), warnings.catch_warnings():  # the workers inherit the first
            warnings.simplefilter("ignore")  # a busy disk or port is nothing a user should act on
            return LocalCluster(
                n_workers=self._workers,
                threads_per_worker=self._per_worker,
                processes=True,
                host="127.0.0.1",
                protocol="tls://",
                security=security,
                dashboard_address=None,
                # without a dashboard a plain HTTP server still listens: on any free port, with no routes
                scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},
                local_directory=scratch,
                memory_limit=0,
                silence_logs=50,
            )

    def close(self, *, kill: bool) -> None:
        if kill:  # closing politely would wait for tasks
            for nanny in self._cluster.workers.values():
                self._cluster.loop.add_callback(nanny.close_gracefully)  # it starts no other one
                with suppress(ProcessLookupError, TypeError):
                    os.kill(nanny.pid, signal.SIGKILL)
        super().close(kill=kill)


_prepare = spawn.get_preparation_data


def leave_script_alone() -> None:
    """From now on no Dask worker imports the main module of this process; other processes still do.

    A spawned process of Python imports the script that started it, for what may be pickled from there. Our
    workers need nothing of it; a script without ``if __name__ == "__main__":`` would begin its run again in
    each of them, and one that imports torch would do so in each.
    """
    spawn.get_preparation_data = _prepare_without_script


@wraps(_prepare)
def _prepare_without_script(name: str) -> dict[str, Any]:
    prepared = _prepare(name)
    if name.startswith(_WORKERS):
        for key in _OF_THE_SCRIPT:
            prepared.pop(key, None)
    return prepared
