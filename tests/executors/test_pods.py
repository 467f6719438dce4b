"""What is made of Kubernetes' own description of a pod whose worker is gone."""

import time

import pytest

from gpuprep.config.cluster import ClusterSpec, Kubernetes
from gpuprep.executors.clusters import kubernetes
from gpuprep.executors.clusters.cluster import LostWorker
from gpuprep.executors.clusters.pods import fate_of_pod


def pod(**status):
    metadata = {"name": "worker-7", **status.pop("metadata", {})}
    return {"metadata": metadata, "status": {"podIP": "10.0.0.7", **status}}


RUNNING = [{"restartCount": 0, "state": {"running": {}}}]
DISRUPTED = {"type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler"}


@pytest.mark.parametrize(
    ("status", "fate"),
    [
        ({"phase": "Failed", "reason": "Evicted"}, "Evicted"),
        ({"conditions": [DISRUPTED], "containerStatuses": RUNNING}, "PreemptionByScheduler"),
        ({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}, "deleted"),
    ],
)
def test_what_kubernetes_takes_away(status, fate):
    said = fate_of_pod([pod(**status)], "10.0.0.7")
    assert said is not None
    assert fate in said
    assert "worker-7" in said


def test_a_pod_that_is_gone_was_deleted():
    assert "deleted" in (fate_of_pod([pod()], "10.0.0.8") or "")


@pytest.mark.parametrize(
    "container",
    [
        {"restartCount": 0, "state": {"terminated": {"reason": "OOMKilled", "exitCode": 137}}},
        {"restartCount": 1, "state": {"running": {}}},
    ],
)
def test_a_container_that_ended_is_its_own_doing(container):
    assert fate_of_pod([pod(containerStatuses=[container])], "10.0.0.7") == ""


@pytest.mark.parametrize(("replaced", "fate"), [(False, None), (True, "")])
def test_a_pod_that_runs_tells_nothing_unless_its_nanny_does(monkeypatch, replaced, fate):
    monkeypatch.setattr(kubernetes, "pods_of", lambda name, spec: [pod(containerStatuses=RUNNING)])
    spec = ClusterSpec(kind="kubernetes", insecure=True, kubernetes=Kubernetes(image="a"))
    cluster = kubernetes.KubernetesPods(spec, 300.0)
    lost = LostWorker("w", "tcp://10.0.0.7:1234", time.monotonic(), replaced)
    assert cluster.fate(lost) == fate


def test_what_does_not_answer_is_asked_again(monkeypatch):
    def refuse(name, spec):
        raise OSError("no route")

    monkeypatch.setattr(kubernetes, "pods_of", refuse)
    spec = ClusterSpec(kind="kubernetes", insecure=True, kubernetes=Kubernetes(image="a"))
    lost = LostWorker("w", "tcp://10.0.0.7:1234", time.monotonic(), replaced=False)
    assert kubernetes.KubernetesPods(spec, 300.0).fate(lost) is None
