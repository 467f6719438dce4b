"""A small service of warm slots alone, by uvicorn on a loopback port, for tests and measurements."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import uvicorn
from fastapi import FastAPI

from gpuprep.service.places import Places
from gpuprep.service.problems import install
from gpuprep.service.settings import Settings
from gpuprep.service.volumes.routes import process_router
from gpuprep.service.volumes.slots import Slots, WarmProfile
from gpuprep.service.volumes.uploads import UploadLimits
from support.runs import wait_until


class Anyone:
    """May submit, and use the root ``data``."""

    def may_use(self, root: str) -> bool:
        return root == "data"


@dataclass(frozen=True)
class Serving:
    """A service that runs: its slots, their scratch folder, and a client of it."""

    slots: Slots
    scratch: Path
    client: httpx.Client
    port: int

    def send(self, file: Path, **query: str) -> httpx.Response:
        """One file as a body."""
        return self.client.post(
            "/v1/process", params={"name": file.name, **query}, content=file.read_bytes()
        )

    def name(self, path: str, root: str = "data", **query: str) -> httpx.Response:
        """One file or folder of a root."""
        return self.client.post("/v1/process", params=query, json={"root": root, "path": path})

    def pids(self) -> list[int | None]:
        return [slot.pid for line in self.slots.lines.values() for slot in line.slots]

    def left(self) -> list[str]:
        """What lies in scratch beside the folders of living slots, and cases in those."""
        visits = [path.name for path in self.scratch.glob("visit-*")]
        cases = [str(path) for path in self.scratch.glob("slot-*/output/cases/*.zarr")]
        parts = [str(path) for path in self.scratch.glob("slot-*/output/.staging/*")]
        slots = len(list(self.scratch.glob("slot-*"))) - sum(pid is not None for pid in self.pids())
        return [*visits, *cases, *parts, *["a slot's folder"] * slots]

    def is_clean(self) -> bool:
        """Whether nothing is left, and every slot is back in its line."""
        lines = self.slots.lines.values()
        idle = all(line.idle.qsize() == line.profile.slots and not line.visits for line in lines)
        return idle and not self.left()

    def settle(self) -> None:
        """Wait until every visit is over and nothing of it is left."""
        wait_until(self.is_clean, f"nothing is left in scratch: {self.left()}")


def make_app(slots: Slots, data: Path, limits: UploadLimits | None = None) -> FastAPI:
    """An app of ``/v1/process`` alone; the root ``data`` is a folder."""

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        await slots.start()
        yield
        await slots.close()

    app = FastAPI(lifespan=life)
    install(app)
    places = Places(data.parent, Settings(roots={"data": str(data)}))
    app.include_router(
        process_router(slots, lambda request, scope: Anyone(), resolve=places.source, limits=limits)
    )
    return app


@contextmanager
def serving(
    profiles: Mapping[str, WarmProfile],
    scratch: Path,
    data: Path,
    limits: UploadLimits | None = None,
) -> Iterator[Serving]:
    """A running service; its slots compute with NumPy."""
    slots = Slots(profiles, scratch, backend="numpy")
    app = make_app(slots, data, limits)
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning", lifespan="on"))
    thread = threading.Thread(target=asyncio.run, args=(server.serve(),))
    thread.start()
    try:
        wait_until(lambda: server.started or not thread.is_alive(), "the service answers")
        port = server.servers[0].sockets[0].getsockname()[1]
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=120) as client:
            yield Serving(slots, scratch, client, port)
    finally:
        server.should_exit = True
        thread.join()
