"""Who asked for what, line by line: no voxels, no header texts, no paths of roots, no tokens."""

from __future__ import annotations

import json
import time
from collections.abc import MutableMapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from gpuprep.service.access import Connection, Receive, Send

AUDIT_FILE = "audit.jsonl"
_MOST_BYTES = 256 << 20  # of the newest part; one earlier part is kept beside it
_QUIET = ("/health/", "/metrics", "/v1/zarr")


class Audit:
    """An ASGI layer that writes one line for every request but those for chunks and health."""

    def __init__(self, app: Any, folder: Path) -> None:
        self._app = app
        self._path = folder / AUDIT_FILE
        self._written = self._path.stat().st_size if self._path.exists() else 0

    async def __call__(self, scope: Connection, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(_QUIET):
            await self._app(scope, receive, send)
            return
        began, status = time.monotonic(), 0

        async def sent(message: MutableMapping[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, sent)
        finally:
            self._write(scope, status, time.monotonic() - began)

    def _write(self, scope: Connection, status: int, seconds: float) -> None:
        line = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "who": scope.get("gpuprep.principal", ""),
            "from": (scope.get("client") or ("",))[0],
            "method": scope["method"],
            "path": scope["path"][:300],
            "status": status,
            "seconds": round(seconds, 3),
        }
        text = (json.dumps(line) + "\n").encode()
        with suppress(OSError):
            with self._path.open("ab", buffering=0) as file:
                file.write(text)
            self._written += len(text)
            if self._written > _MOST_BYTES:
                self._path.replace(f"{self._path}.1")
                self._written = 0
