"""The document from which the Kubernetes operator makes a cluster; no cluster is needed."""

import dask
import pytest

from gpuprep.config.cluster import ClusterSpec, Kubernetes
from gpuprep.executors.clusters.kubernetes import KubernetesPods, cluster_document
from gpuprep.values.errors import UsageError

pytest.importorskip("dask_kubernetes", reason="pip install 'gpuprep[kubernetes]'")


@pytest.fixture
def spec() -> ClusterSpec:
    pods = Kubernetes(image="registry/gpuprep:1", claim="cohorts", mount="/cohorts", gpus=1)
    return ClusterSpec(
        kind="kubernetes", slots=2, threads=8, memory="16GiB", insecure=True, kubernetes=pods
    )


def test_the_document_has_image_volume_devices_and_settings(spec):
    document = cluster_document(spec, 120.0, 3)
    worker = document["spec"]["worker"]
    assert worker["replicas"] == 3
    (container,) = worker["spec"]["containers"]
    assert container["image"] == "registry/gpuprep:1"
    expected = {"cpu": "8", "memory": str(2**34), "nvidia.com/gpu": "1"}
    assert container["resources"] == {"requests": expected, "limits": expected}
    assert container["volumeMounts"] == [{"name": "cohort", "mountPath": "/cohorts"}]
    claim = {"claimName": "cohorts"}
    assert worker["spec"]["volumes"] == [{"name": "cohort", "persistentVolumeClaim": claim}]
    assert "--nthreads 2" in " ".join(container["args"])
    (settings,) = (
        entry["value"]
        for entry in container["env"]
        if entry["name"] == "DASK_INTERNAL_INHERIT_CONFIG"
    )
    scheduler = dask.config.deserialize(settings)["distributed"]["scheduler"]
    assert scheduler["allowed-failures"] == 0
    assert scheduler["worker-ttl"] == "120.0 seconds"


def test_plain_text_between_pods_must_be_wanted(spec):
    closed = spec.model_copy(update={"insecure": False})
    with pytest.raises(UsageError, match="plain TCP"):
        KubernetesPods(closed, 300.0).open()
