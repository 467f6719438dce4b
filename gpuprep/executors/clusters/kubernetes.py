"""Workers as pods, through the operator of dask-kubernetes, for as long as the run.

The operator is supervised from outside: it never brings back a scheduler that it lost, so that a cluster
without one is deleted and made anew when the run opens it again.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from typing import Any

import dask
from distributed import Client

from gpuprep.config.cluster import ClusterSpec
from gpuprep.executors.clusters.cluster import (
    Cluster,
    LostWorker,
    cluster_settings,
    inherited,
    join,
)
from gpuprep.executors.clusters.pods import fate_of_pod
from gpuprep.values.errors import UsageError

_EVERY_SECONDS = 4.0


class KubernetesPods(Cluster):
    """The operator keeps ``workers`` pods up, each with one worker.

    Between pods Dask speaks plain TCP: the operator has no keys for them. A NetworkPolicy has to close the
    namespace, and ``cluster.insecure: true`` says that one does.
    """

    _name = ""
    _due = 0.0
    _asked = float("-inf")
    _pods: Sequence[dict[str, Any]] = ()

    def _start(self, started: ExitStack) -> Client:
        try:
            from dask_kubernetes.operator import KubeCluster
        except ImportError:
            raise UsageError(
                "clusters of kind kubernetes need dask-kubernetes",
                advice="pip install 'gpuprep[kubernetes]'",
            ) from None
        if not self._spec.insecure:
            raise UsageError(
                "pods of Dask's operator speak plain TCP to one another",
                advice="close the namespace by a NetworkPolicy, then set cluster.insecure: true",
            )
        started.enter_context(dask.config.set(cluster_settings(self._spec, self._silence)))
        document = cluster_document(self._spec, self._silence, self._workers)
        self._name = str(document["metadata"]["name"])
        cluster = KubeCluster(
            custom_cluster_spec=document,
            namespace=self._spec.kubernetes.namespace if self._spec.kubernetes else None,
            quiet=True,
        )
        started.callback(cluster.close, timeout=60)
        return join(cluster)

    def fate(self, lost: LostWorker) -> str | None:
        """What Kubernetes says of the pod; a node that is lost may make it wait for some minutes."""
        now = time.monotonic()
        if now >= self._due:
            self._due = now + _EVERY_SECONDS
            # Whatever its client and the network raise: it is asked again.
            with suppress(Exception):
                self._pods, self._asked = pods_of(self._name, self._spec), now
        if self._asked < lost.since:
            return None
        fate = fate_of_pod(self._pods, lost.host)
        return "" if fate is None and lost.replaced else fate


def pods_of(name: str, spec: ClusterSpec) -> list[dict[str, Any]]:
    """The pods of a cluster's workers, as Kubernetes describes them."""
    import kr8s

    chosen = {"dask.org/cluster-name": name, "dask.org/component": "worker"}
    namespace = spec.kubernetes.namespace if spec.kubernetes else "default"
    found = kr8s.get("pods", namespace=namespace, label_selector=chosen)
    return [pod.raw for pod in found]


def cluster_document(spec: ClusterSpec, silence: float, workers: int) -> dict[str, Any]:
    """The DaskCluster resource: the operator's own template, with our volume, devices and settings."""
    from dask_kubernetes.operator import make_cluster_spec

    if spec.kubernetes is None:
        raise UsageError("cluster.kind kubernetes needs cluster.kubernetes.image")
    asked: dict[str, Any] = {"cpu": str(spec.threads), "memory": str(spec.bytes)}
    if spec.kubernetes.gpus:
        asked["nvidia.com/gpu"] = str(spec.kubernetes.gpus)
    with dask.config.set(cluster_settings(spec, silence)):
        environment = inherited()
    document: dict[str, Any] = make_cluster_spec(
        name=f"gpuprep-{uuid.uuid4().hex[:8]}",
        image=spec.kubernetes.image,
        n_workers=workers,
        resources={"requests": asked, "limits": asked},
        env=environment,
        worker_command=f"dask worker --nthreads {spec.slots} --memory-limit {spec.bytes} --no-dashboard",
    )
    if spec.kubernetes.claim:
        _mount(document["spec"]["worker"]["spec"], spec.kubernetes.claim, spec.kubernetes.mount)
    return document


def _mount(pod: dict[str, Any], claim: str, path: str) -> None:
    """Mount the volume that holds input and output into every container of a pod."""
    source = {"persistentVolumeClaim": {"claimName": claim}}
    pod.setdefault("volumes", []).append({"name": "cohort", **source})
    for container in pod["containers"]:
        container.setdefault("volumeMounts", []).append({"name": "cohort", "mountPath": path})
