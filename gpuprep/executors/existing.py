"""A scheduler that somebody else keeps running, with workers that come and go."""

from __future__ import annotations

import json
from pathlib import Path

from distributed import Client

from gpuprep import config_cluster
from gpuprep.config_cluster import check_address
from gpuprep.errors import UsageError
from gpuprep.executors.cluster import tls_security
from gpuprep.executors.preparation import Preparation, silence_tornado

_CONNECT_SECONDS = 20


class ExistingScheduler:
    """Joined as a client; nothing of it is started or stopped here."""

    def __init__(self, spec: config_cluster.Cluster) -> None:
        self.patience = spec.patience
        self.neighbours = spec.slots
        self._spec = spec

    def open(self) -> Client:
        spec = self._spec
        if spec.address.endswith(".json"):
            spec = spec.model_copy(update={"address": address_in(Path(spec.address))})
            try:
                check_address(spec)
            except ValueError as error:
                raise UsageError(f"{self._spec.address}: {error}") from None
        silence_tornado()
        try:
            self._client = Client(
                spec.address,
                security=tls_security(spec.tls),
                timeout=_CONNECT_SECONDS,
                set_as_default=False,
            )
        except OSError as error:
            raise UsageError(
                f"no Dask scheduler lets us in at {spec.address}: {error}",
                advice="check that it runs there (gpuprep scheduler) and that cluster.tls names its keys",
            ) from None
        self._client.register_plugin(Preparation())
        return self._client

    def tend(self) -> None:
        """Whoever runs the cluster keeps its workers."""

    def close(self, *, kill: bool) -> None:
        self._client.close(timeout=5)  # drops the tasks that wait; running ones come to their end


def address_in(file: Path) -> str:
    """The address in a scheduler file, as ``gpuprep scheduler`` and Dask write it.

    Raises:
        UsageError: it is no such file.
    """
    try:
        address = json.loads(file.expanduser().read_text("utf-8"))["address"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"{file} is no scheduler file: {error}",
            advice="gpuprep scheduler writes it when it is up; is its folder shared with this host?",
        ) from None
    return str(address)
