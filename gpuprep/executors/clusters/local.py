"""Worker processes on this machine, behind a scheduler that only this machine can reach."""

from __future__ import annotations

import os
import shutil
import signal
import warnings
from contextlib import suppress
from multiprocessing.resource_tracker import ensure_running

import dask
from distributed import Client, LocalCluster, Security

from gpuprep.config.cluster import ClusterSpec
from gpuprep.executors.clusters.cluster import cluster_settings
from gpuprep.executors.clusters.preparation import join, silence_tornado
from gpuprep.executors.clusters.spawning import leave_script_alone
from gpuprep.host.scratch import make_scratch
from gpuprep.host.signals import signals_blocked


class LocalProcesses:
    """Loopback and mutual TLS with keys that exist in memory alone, no dashboard.

    Workers take turns over the CUDA devices, where there are any.
    """

    patience = 15.0  # for a nanny to replace the last worker

    def __init__(
        self, silence: float, workers: int, *, per_worker: int = 1, devices: tuple[str, ...] = ()
    ) -> None:
        self._silence = silence
        self._workers = workers
        self._per_worker = per_worker
        self._devices = devices

    def open(self) -> Client:
        self._scratch = make_scratch("gpuprep-workers-")
        self._settings = dask.config.set(
            cluster_settings(ClusterSpec(), self._silence)
        )  # until closed
        try:
            self._cluster, self._client = self._start()
        except BaseException:
            self._clear()
            raise
        return self._client

    def _start(self) -> tuple[LocalCluster, Client]:
        silence_tornado()
        leave_script_alone()
        security = Security.temporary()
        ensure_running()  # or the first worker's start would do it, and unblock signals after
        with signals_blocked(), warnings.catch_warnings():  # the workers inherit the first
            warnings.simplefilter("ignore")  # a busy disk or port is nothing a user should act on
            cluster = LocalCluster(
                n_workers=self._workers,
                threads_per_worker=self._per_worker,
                processes=True,
                host="127.0.0.1",
                protocol="tls://",
                security=security,
                dashboard_address=None,
                # without a dashboard a plain HTTP server still listens: on any free port, with no routes
                scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},
                local_directory=self._scratch,
                memory_limit=0,
                silence_logs=50,
            )
        own = {
            str(n): self._devices[n % len(self._devices)] for n in cluster.workers if self._devices
        }
        return cluster, join(cluster, security, devices=own, folder=self._scratch)

    def tend(self) -> None:
        """Workers that die are replaced by their nannies."""

    def pids(self) -> list[int]:
        """The worker processes."""
        return [nanny.pid for nanny in self._cluster.workers.values() if nanny.pid]

    def close(self, *, kill: bool) -> None:
        if kill:  # closing politely would wait for tasks
            self._kill_workers()
        self._client.close(timeout=5)
        self._cluster.close(timeout=10)
        self._clear()

    def _kill_workers(self) -> None:
        for nanny in self._cluster.workers.values():
            self._cluster.loop.add_callback(nanny.close_gracefully)  # it starts no other one
            with suppress(ProcessLookupError, TypeError):
                os.kill(nanny.pid, signal.SIGKILL)

    def _clear(self) -> None:
        self._settings.__exit__(None, None, None)
        shutil.rmtree(self._scratch, ignore_errors=True)
