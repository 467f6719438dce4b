"""The answer of a visit as a response: one file, sent once."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gpuprep.service.volumes.slots import Visit

_LOG = logging.getLogger("gpuprep.service")
_BLOCK = 1 << 20


class SentFile(Response):
    """A file of a visit, sent once; the visit ends with it, whether the client took it or not."""

    def __init__(
        self, file: Path, media_type: str, headers: dict[str, str], visit: Visit, seconds: float
    ) -> None:
        size = str(file.stat().st_size)
        super().__init__(headers={**headers, "Content-Length": size}, media_type=media_type)
        self._file = file
        self._visit = visit
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async with asyncio.timeout(self._seconds):
                await self._sent(send)
        except TimeoutError:
            _LOG.warning("a client did not take its answer within %g s", self._seconds)
        finally:
            self._visit.release()

    async def _sent(self, send: Send) -> None:
        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        await send(start)
        with self._file.open("rb", buffering=0) as file:
            while block := await asyncio.to_thread(file.read, _BLOCK):
                await send({"type": "http.response.body", "body": block, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})
