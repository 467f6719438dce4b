"""Workers on hosts that SSH reaches, for as long as the run."""

from __future__ import annotations

import shlex
import shutil
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import dask
from distributed import Client

from gpuprep.config.cluster import ClusterSpec, Ssh
from gpuprep.executors.clusters.cluster import (
    Cluster,
    cluster_settings,
    join,
    own_tls,
    tls_security,
)
from gpuprep.values.errors import UsageError


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
        return join(cluster, tls_security(spec.tls))


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
        "client_keys": [str(Path(ssh.key).expanduser())] if ssh.key else None,
        "known_hosts": str(Path(ssh.known_hosts).expanduser()) if ssh.known_hosts else None,
    }
    return {name: value for name, value in given.items() if value}
