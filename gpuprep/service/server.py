"""A service at work: uvicorn on one address, ended by a signal within moments."""

from __future__ import annotations

import asyncio
import fcntl
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn

from gpuprep.host.priority import interrupt_nothing
from gpuprep.service.app import Service
from gpuprep.service.door.connections import Connection
from gpuprep.service.door.tokens import Principal
from gpuprep.service.settings import Settings
from gpuprep.values.errors import UsageError

LOCK_FILE = "lock"
_GRACE_SECONDS = 1.5  # for answers under way, once streams are ended


class Server(uvicorn.Server):
    """Ends streams of events as soon as it is told to stop; they would hold it up for ever."""

    def __init__(self, config: uvicorn.Config, on_stop: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_stop = on_stop

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._on_stop()
        await super().shutdown(sockets)


def serve(
    folder: Path, settings: Settings, *, port: int | None, say: Callable[[str], None]
) -> None:
    """Serve until SIGTERM or Ctrl-C.

    Args:
        folder: Of the service; made where it is not there.
        port: In place of the settings'; 0 takes a free one.
        say: Is told the address, then the link that opens a session.

    Raises:
        UsageError: the port is taken, or another service has the folder.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        (folder / LOCK_FILE).open("ab").close()
    except OSError as error:
        raise UsageError(
            f"{folder} cannot be written: {error.strerror}",
            advice="the service keeps jobs and tokens there; take a folder of your own by --folder",
        ) from None
    with _held(folder), _bound(settings.host, settings.port if port is None else port) as door:
        service = Service(folder, settings)
        config = uvicorn.Config(
            service.app,
            http=Connection,
            log_level="warning",
            access_log=False,
            server_header=False,
            date_header=False,
            timeout_graceful_shutdown=_GRACE_SECONDS,  # type: ignore[arg-type]
            timeout_keep_alive=75,
            proxy_headers=False,
            ssl_certfile=settings.tls_certificate or None,
            ssl_keyfile=settings.tls_key or None,
            ws="none",
        )
        server = Server(config, service.begin_to_end)
        scheme = "https" if settings.tls_certificate else "http"
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        address = f"{scheme}://{host}:{door.getsockname()[1]}"
        say(address)
        code = service.sessions.link(Principal("operator", "admin"))
        say(f"log in once: {address}/login?code={code}")
        interrupt_nothing()  # of the jobs, which begin their processes by taking that back
        asyncio.run(server.serve(sockets=[door]))


def _bound(host: str, port: int) -> socket.socket:
    door = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # its connections inherit it: head and body go in two writes, and the second would wait 40 ms
    door.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        door.bind((host, port))
    except OSError as error:
        door.close()
        raise UsageError(
            f"{host}:{port}: {error.strerror}", advice="choose another port; 0 takes a free one"
        ) from None
    return door


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """One service has a folder at a time: its database knows one writer."""
    with (folder / LOCK_FILE).open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(
                f"another service is at work in {folder}",
                advice="end it first, or take another folder",
            ) from None
        yield
