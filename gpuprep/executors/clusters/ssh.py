"""Workers on hosts that SSH reaches, for as long as the run."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import dask
from distributed import Client

from gpuprep.config.cluster import ClusterSpec, Ssh
from gpuprep.executors.clusters.cluster import (
    Cluster,
    LostWorker,
    cluster_settings,
    join,
    own_tls,
    tls_security,
)
from gpuprep.values.errors import UsageError

_ALIVE_SECONDS = 10  # between signs of life on a link
_MOST_MISSED = 3
_JOIN_SECONDS = 20
_BREAK_SECONDS = 2.0 * _ALIVE_SECONDS * _MOST_MISSED  # after so long a broken link is known as such


class SshHosts(Cluster):
    """One worker per host, the scheduler on the first. A host that is lost stays so until the next run."""

    patience = 60.0  # for nannies to replace the workers that died

    def _start(self, started: ExitStack) -> Client:
        ssh = self._spec.ssh
        if ssh is None:
            raise UsageError("cluster.kind ssh needs cluster.ssh.hosts")
        shutil.rmtree(self._scratch, ignore_errors=True)
        started.callback(shutil.rmtree, self._scratch, ignore_errors=True)
        spec = own_tls(self._spec, self._scratch)
        # SSHCluster hands these to the hosts
        started.enter_context(dask.config.set(cluster_settings(spec, self._silence)))
        cluster = _start_hosts(spec, ssh)
        started.callback(cluster.close, timeout=10)
        links = (worker.connection for worker in cluster.workers.values())
        self._links = {str(link.get_extra_info("sockname")[1]): link for link in links}
        self._ports: dict[str, str] = {}  # our end of the link of each worker, by its address
        self._client = join(cluster, tls_security(spec.tls))
        with suppress(TimeoutError):
            self._client.wait_for_workers(len(ssh.hosts), timeout=_JOIN_SECONDS)
        self.tend()
        return self._client

    def tend(self) -> None:
        """Ask workers that are new over which link they were started."""
        new = self._client.scheduler_info(n_workers=-1)["workers"].keys() - self._ports.keys()
        if not new:
            return
        try:
            answers = self._client.run(
                os.getenv, "SSH_CONNECTION", workers=[*new], on_error="return"
            )
        except OSError:
            return  # they are asked again
        for address, answer in answers.items():
            self._ports[address] = answer.split()[1] if isinstance(answer, str) else ""

    def fate(self, lost: LostWorker) -> str | None:
        """Whether the link broke over which it was started, and with which it ended."""
        link = self._links.get(self._ports.get(lost.address, ""))
        if link is not None and link.is_closed():
            return f"the SSH link to {lost.host} broke"
        if link is None or lost.replaced or time.monotonic() - lost.since > _BREAK_SECONDS:
            return ""
        return None


def _start_hosts(spec: ClusterSpec, ssh: Ssh) -> Any:
    try:
        import asyncssh
        from distributed import SSHCluster
    except ImportError:
        raise UsageError(
            "clusters over SSH need asyncssh", advice="pip install 'gpuprep[ssh]'"
        ) from None
    quiet = {"dashboard": False, "dashboard_address": "127.0.0.1:0"}
    try:
        return SSHCluster(
            [ssh.hosts[0], *ssh.hosts],
            connect_options=connect_options(ssh),
            scheduler_options={"protocol": "tls://", "port": 0, **quiet},
            worker_options={
                "nthreads": spec.slots,
                "memory_limit": spec.bytes,
                "death_timeout": spec.patience,  # a worker without its scheduler ends
                **quiet,
            },
            remote_python=interpreters(ssh),
            security=tls_security(spec.tls),
        )
    except (OSError, RuntimeError, asyncssh.Error) as error:
        raise UsageError(
            f"the cluster on {', '.join(ssh.hosts)} did not start: {error}",
            advice="ssh HOST true must work without a question, and python there import gpuprep",
        ) from None


def interpreters(ssh: Ssh) -> list[str]:
    """What runs the scheduler and each worker; workers of one host take turns over its CUDA devices."""
    python = shlex.quote(ssh.python or sys.executable)
    turns = (ssh.hosts[:number].count(host) for number, host in enumerate(ssh.hosts))
    return [python, *(f"env CUDA_VISIBLE_DEVICES={turn} {python}" for turn in turns)]


def connect_options(ssh: Ssh) -> dict[str, Any]:
    """Arguments of ``asyncssh.connect``; what is not given is left to the user's own SSH settings."""
    given = {
        "username": ssh.user,
        "port": ssh.port,
        "keepalive_interval": _ALIVE_SECONDS,
        "keepalive_count_max": _MOST_MISSED,
        "client_keys": [str(Path(ssh.key).expanduser())] if ssh.key else None,
        "known_hosts": str(Path(ssh.known_hosts).expanduser()) if ssh.known_hosts else None,
    }
    return {name: value for name, value in given.items() if value}
