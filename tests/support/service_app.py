"""A service's app in this process, and clients of it that say who they are."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx

from gpuprep.service.app import Service
from gpuprep.service.door.tokens import Principal
from gpuprep.service.settings import Settings

HERE = "http://127.0.0.1:8000"


class Asking:
    """Asks an app in this process; cookies stay."""

    def __init__(self, app: Any, headers: dict[str, str]) -> None:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        self._client = httpx.AsyncClient(transport=transport, base_url=HERE, headers=headers)
        self.cookies = self._client.cookies

    def request(self, verb: str, path: str, **options: Any) -> httpx.Response:
        return asyncio.run(self._client.request(verb, path, **options))

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.request("GET", path, **options)

    def post(self, path: str, **options: Any) -> httpx.Response:
        return self.request("POST", path, **options)


class App:
    """A service without its life: nothing is begun or watched."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.service = Service(folder, Settings.model_validate(settings))

    def client(self, principal: Principal | None = None, **headers: str) -> Asking:
        """A client with a new token of a principal, or of nobody."""
        if principal is not None:
            headers["Authorization"] = f"Bearer {self.service.tokens.add(principal)}"
        return Asking(self.service.app, headers)

    def browser(self) -> Asking:
        """A client with a session, which a link opened."""
        client = self.client(None)
        code = self.service.sessions.link(Principal("operator", "admin"))
        answer = client.get("/login", params={"code": code})
        assert answer.status_code == 303, answer.text
        return client

    def audited(self) -> str:
        path = self.folder / "audit.jsonl"
        return path.read_text() if path.exists() else ""
