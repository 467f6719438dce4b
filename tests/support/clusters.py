"""Keys, and a Dask cluster on loopback that somebody else keeps."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dask
from distributed import LocalCluster

from gpuprep.config.cluster import Tls
from gpuprep.executors.clusters.certificates import make_certificates
from gpuprep.executors.clusters.cluster import tls_security


def make_keys(folder: Path) -> Tls:
    ca, cert, key = make_certificates(folder)
    return Tls(ca=str(ca), cert=str(cert), key=str(key))


@contextmanager
def loopback_cluster(tls: Tls, workers: int) -> Iterator[LocalCluster]:
    """A scheduler behind TLS, with so many workers of two threads in this process.

    Their limit is there to be told: the process they live in has run many tests, and Dask would pause them.
    """
    with (
        dask.config.set({"distributed.worker.memory.pause": False}),
        LocalCluster(
            n_workers=workers,
            threads_per_worker=2,
            processes=False,
            host="127.0.0.1",
            protocol="tls://",
            security=tls_security(tls),
            dashboard_address=None,
            scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},
            memory_limit="1GiB",
            silence_logs=50,
        ) as cluster,
    ):
        yield cluster
