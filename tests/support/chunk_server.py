"""The chunk routes under a real uvicorn on loopback, which counts, and fails or refuses when told to."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request

from gpuprep.service.chunks.routes import chunk_answers, chunk_routes
from gpuprep.store.places import Place, to_place
from support.runs import wait_until

ORIGIN = "https://viewer.example"


class ChunkServer:
    """Serves places by name. Where ``token`` is set it must be shown.

    ``fail`` answers so many requests with ``status``. ``seen`` is (method, path, range) of every request.
    """

    def __init__(self) -> None:
        self.base = ""
        self.reset()
        self.app = Starlette(routes=chunk_routes(chunk_answers(self._place_of), cors=[ORIGIN]))

    def reset(self) -> None:
        self.places: dict[str, Place] = {}
        self.token = ""
        self.fail, self.status = 0, 503
        self.seen: list[tuple[str, str, str]] = []

    def _place_of(self, request: Request, cohort: str) -> Place | None:
        headers = request.headers
        self.seen.append((request.method, request.url.path, headers.get("range", "")))
        told = headers.get("authorization")  # which a careless server repeats
        if self.fail > 0:
            self.fail -= 1
            raise HTTPException(self.status, f"not {told}")
        if self.token and told != f"Bearer {self.token}":
            raise HTTPException(401, f"not {told}")
        return self.places.get(cohort)

    def share(self, name: str, root: Path | str) -> str:
        """Serve an output under a name; returns its URL."""
        self.places[name] = to_place(root)
        return f"{self.base}/v1/zarr/{name}"


@contextmanager
def chunk_server() -> Iterator[ChunkServer]:
    """A running server; it ends with the block."""
    own = ChunkServer()
    listening = socket.create_server(("127.0.0.1", 0))
    own.base = f"http://127.0.0.1:{listening.getsockname()[1]}"
    settings = uvicorn.Config(
        own.app, lifespan="off", ws="none", log_level="error", timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(settings)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        wait_until(lambda: server.started, "the server listens")
        yield own
    finally:
        server.should_exit = True
        thread.join(30)
        listening.close()
