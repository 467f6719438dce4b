"""A scheduler that somebody else keeps running, with workers that come and go."""

from __future__ import annotations

import json
import socket
import time
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

from distributed import Client, Security

from gpuprep.config.cluster import check_address
from gpuprep.executors.clusters.cluster import Cluster, join, tls_security
from gpuprep.values.errors import RunStopped, UsageError

_ANSWER_SECONDS = 20.0
_PAUSE_SECONDS = 2.0


class ExistingScheduler(Cluster):
    """Joined as a client; nothing of it is started or stopped here.

    Whoever runs it keeps its workers. Closing drops the tasks that wait; running ones come to their end.
    """

    _joined = False

    def _start(self, started: ExitStack) -> Client:
        """Connect. A scheduler that was lost is given ``patience`` seconds to come back.

        Raises:
            UsageError: there is none that lets us in.
            RunStopped: it did not come back.
        """
        security = tls_security(self._spec.tls)
        deadline = time.monotonic() + (self.patience if self._joined else 0.0)
        while True:
            address = self._address()
            try:
                knock(address, security)
                break
            except OSError as error:
                if time.monotonic() >= deadline:
                    raise (RunStopped if self._joined else UsageError)(
                        f"no Dask scheduler lets us in at {address}: {error}",
                        advice="check that it runs there (gpuprep scheduler) and that cluster.tls names"
                        " its keys",
                    ) from None
            time.sleep(_PAUSE_SECONDS)
        client = join(address, security, seconds=_ANSWER_SECONDS)
        self._joined = True
        return client

    def _address(self) -> str:
        if not self._spec.address.endswith(".json"):
            return self._spec.address
        named = self._spec.model_copy(update={"address": address_in(Path(self._spec.address))})
        try:
            check_address(named)
        except ValueError as error:
            raise UsageError(f"{self._spec.address}: {error}") from None
        return named.address


def knock(address: str, security: Security) -> None:
    """Connect and hang up as soon as the scheduler speaks, which it does first, to those it knows.

    Dask's own client waits for ever where something else listens, and for what is not TLS.

    Raises:
        OSError: nothing listens there, or does not know us.
    """
    parts = urlsplit(address)
    place = (parts.hostname or "", parts.port or 0)
    with ExitStack() as open_lines:
        line = open_lines.enter_context(socket.create_connection(place, timeout=_ANSWER_SECONDS))
        if parts.scheme == "tls":
            context = security.get_connection_args("client")["ssl_context"]
            line = open_lines.enter_context(context.wrap_socket(line))
        if not line.recv(1):
            raise ConnectionError("it hung up at once")


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
