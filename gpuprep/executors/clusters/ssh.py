"""Workers on hosts that SSH reaches, for as long as the run."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path
from typing import Any

import dask
from distributed import Client

from gpuprep.config.cluster import ClusterSpec, Ssh
from gpuprep.executors.clusters.cluster import cluster_settings, own_tls, tls_security
from gpuprep.executors.clusters.preparation import join, silence_tornado
from gpuprep.values.errors import UsageError

_NO_WORKER_SECONDS = 60.0  # for nannies to replace the workers that died


class SshHosts:
    """One worker per host, the scheduler on the first. A host that is lost stays so until the next run."""

    def __init__(self, spec: ClusterSpec, silence: float, scratch: Path) -> None:
        self.patience = _NO_WORKER_SECONDS
        self._spec = spec
        self._silence = silence
        self._scratch = scratch

    def open(self) -> Client:
        ssh = self._spec.ssh
        if ssh is None:
            raise UsageError("cluster.kind ssh needs cluster.ssh.hosts")
        shutil.rmtree(self._scratch, ignore_errors=True)
        spec = own_tls(self._spec, self._scratch)
        # SSHCluster hands these to the hosts
        self._settings = dask.config.set(cluster_settings(spec, self._silence))
        silence_tornado()
        try:
            self._cluster = _start(spec, ssh)
        except BaseException:
            self._clear()
            raise
        self._client = join(self._cluster, tls_security(spec.tls))
        return self._client

    def tend(self) -> None:
        """Nothing is put back: the other hosts take over."""

    def close(self, *, kill: bool) -> None:
        self._client.close(timeout=5)
        self._cluster.close(timeout=10)
        self._clear()

    def _clear(self) -> None:
        self._settings.__exit__(None, None, None)
        shutil.rmtree(self._scratch, ignore_errors=True)


def _start(spec: ClusterSpec, ssh: Ssh) -> Any:
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
        "client_keys": [str(Path(ssh.key).expanduser())] if ssh.key else None,
        "known_hosts": str(Path(ssh.known_hosts).expanduser()) if ssh.known_hosts else None,
    }
    return {name: value for name, value in given.items() if value}
