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
from gpuprep.service.door.access import Sessions
from gpuprep.service.door.connections import Connection
from gpuprep.service.door.tokens import Principal
from gpuprep.service.settings import Settings
from gpuprep.service.viewer import Viewer
from gpuprep.values.errors import UsageError
from gpuprep.viewing.opened import Opened

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
        scheme = "https" if settings.tls_certificate else "http"
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        address = f"{scheme}://{host}:{door.getsockname()[1]}"
        say(address)
        say(f"log in once: {_link(address, service.sessions, Principal('operator', 'admin'))}")
        interrupt_nothing()  # of the jobs, which begin their processes by taking that back
        _listen(service, door, settings)


def view(opened: Opened, folder: Path, *, port: int, show: Callable[[str], None]) -> None:
    """Serve what was opened to this machine alone, until SIGTERM or Ctrl-C.

    Args:
        opened: What ``open_path`` found.
        folder: An empty one that nobody else has.
        port: 0 takes a free one.
        show: Is given the link that opens a session, once connections are taken.

    Raises:
        UsageError: the port is taken.
    """
    settings = Settings()
    with _bound(settings.host, port) as door:
        door.listen()  # whoever follows the link at once waits until it is answered
        viewer = Viewer(opened, folder)
        address = f"http://{settings.host}:{door.getsockname()[1]}"
        show(_link(address, viewer.sessions, Principal("you", "read")))
        _listen(viewer, door, settings)


def _link(address: str, sessions: Sessions, who: Principal) -> str:
    return f"{address}/login?code={sessions.link(who)}"


def _listen(service: Service | Viewer, door: socket.socket, settings: Settings) -> None:
    """Answer until a signal ends it."""
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
