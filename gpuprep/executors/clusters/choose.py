"""The cluster that a config describes."""

from __future__ import annotations

from pathlib import Path

from gpuprep.config.cluster import ClusterSpec
from gpuprep.executors.clusters.cluster import Cluster
from gpuprep.executors.clusters.existing import ExistingScheduler
from gpuprep.executors.clusters.local import LocalProcesses


def cluster_of(
    spec: ClusterSpec,
    silence: float,
    *,
    workers: int,
    per_worker: int,
    devices: tuple[str, ...],
    scratch: Path,
) -> Cluster:
    """A cluster, not opened yet.

    Args:
        silence: seconds without a sign of life after which a worker counts as dead.
        scratch: a folder that all hosts see, for keys and job logs; made when needed.
    """
    if spec.kind == "local":
        return LocalProcesses(silence, workers, per_worker=per_worker, devices=devices)
    if spec.kind == "ssh":
        from gpuprep.executors.clusters.ssh import SshHosts

        return SshHosts(spec, silence, scratch)
    if spec.kind == "slurm":
        from gpuprep.executors.clusters.slurm import SlurmJobs

        return SlurmJobs(spec, silence, workers, scratch)
    if spec.kind == "kubernetes":
        from gpuprep.executors.clusters.kubernetes import KubernetesPods

        return KubernetesPods(spec, silence, workers)
    return ExistingScheduler(spec)
