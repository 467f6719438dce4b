"""Who asked for what, line by line: no voxels, header texts, ids of cases, paths of roots or tokens.

Of a path only what the routes' templates and the names of jobs and cohorts say is written, never the query.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from prometheus_client.core import CounterMetricFamily, Metric
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gpuprep.service.door.verbs import VERBS
from gpuprep.service.settings import NAME

AUDIT_FILE = "audit.jsonl"
_MOST_BYTES = 256 << 20  # of the newest part; one earlier part is kept beside it
_QUIET = ("/health/", "/metrics")
_CHUNKS = "/v1/zarr"
_ASKING = ("GET", "HEAD")  # which make nothing
_TOLD = frozenset({"name", "cohort", "job_id"})
"""Parts of paths that are no case's."""
_LONGEST_NAME = 100
_AGAIN_SECONDS = 3600.0
_MOST_READERS = 10_000


class Audit:
    """An ASGI layer that writes a line for every request but those for health and numbers.

    Of the chunks of a cohort the first that someone reads, or is refused, in an hour has a line.
    """

    def __init__(self, app: ASGIApp, folder: Path) -> None:
        self._app = app
        self._path = folder / AUDIT_FILE
        self._written = self._path.stat().st_size if self._path.exists() else 0
        self._readers: dict[tuple[str, str, bool], float] = {}
        self._requests = Counter[tuple[str, str]]()
        self.lost = 0
        """Lines that the disk refused."""

    def collect(self) -> Iterator[Metric]:
        """How many requests were answered how, for Prometheus."""
        answered = CounterMetricFamily("gpuprep_requests", "Requests.", labels=["verb", "status"])
        for (verb, status), count in sorted(self._requests.items()):
            answered.add_metric([verb, status], count)
        yield answered
        yield CounterMetricFamily(
            "gpuprep_audit_lines_lost", "Lines of the audit log that the disk refused.", self.lost
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        method, began = scope["method"], time.monotonic()
        method = method if method in VERBS else "?"
        line: dict[str, Any] = {"status": 0}

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                line["status"] = message["status"]
                if method not in _ASKING:
                    line["made"] = _location(message["headers"])
            await send(message)

        try:
            await self._app(scope, receive, sent)
        finally:
            seconds = round(time.monotonic() - began, 3)
            self._requests[method, str(line["status"])] += 1
            if not scope["path"].startswith(_QUIET):
                told = {"method": method, "path": _told(scope), **line, "seconds": seconds}
                self._note(scope, told)

    def _note(self, scope: Scope, line: dict[str, Any]) -> None:
        who = scope.get("gpuprep.principal", "")
        if scope["path"].startswith(_CHUNKS):
            reader = who, line["path"], line["status"] < 400
            if time.monotonic() - self._readers.get(reader, -_AGAIN_SECONDS) < _AGAIN_SECONDS:
                return
            if len(self._readers) >= _MOST_READERS:
                self._readers.clear()
            self._readers[reader] = time.monotonic()
        origin = scope.get("gpuprep.client") or (scope.get("client") or ("",))[0]
        refused = scope.get("gpuprep.refused", "")
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        self._write({"time": stamp, "who": who, "from": origin, **line, "refused": refused})

    def _write(self, line: dict[str, Any]) -> None:
        kept = {key: value for key, value in line.items() if value != ""}
        text = (json.dumps(kept) + "\n").encode()
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
            descriptor = os.open(self._path, flags, 0o600)
            with os.fdopen(descriptor, "ab", buffering=0) as file:
                file.write(text)
            self._written += len(text)
            if self._written > _MOST_BYTES:
                self._path.replace(f"{self._path}.1")
                self._written = 0
        except OSError as error:
            self.lost += 1
            if self.lost == 1:
                print(f"gpuprep: {self._path}: {error.strerror}", file=sys.stderr, flush=True)


def _told(scope: Scope) -> str:
    """The path that was asked for, with names of cohorts and jobs, and without anything of a case."""
    path: str = scope["path"]
    if path.startswith(_CHUNKS):
        _, version, view, name, *_ = f"{path}//".split("/", 4)
        return f"/{version}/{view}/{_plain(name)}"
    template: str = getattr(scope.get("route"), "path", "")
    given = scope.get("path_params", {})
    for name in _TOLD & given.keys():
        template = template.replace(f"{{{name}}}", _plain(str(given[name])))
    return template


def _plain(name: str) -> str:
    """A name that may be one; what else a client wrote there is its own affair."""
    return name if len(name) <= _LONGEST_NAME and _is_name(name) else "?"


@lru_cache(1024)
def _is_name(text: str) -> bool:
    return re.fullmatch(NAME, text) is not None


def _location(headers: Any) -> str:
    """The job or cohort that an answer says it made."""
    for name, value in headers:
        if name.lower() == b"location" and value.startswith(b"/v1/"):
            return str(value.decode("latin-1"))[:300]
    return ""
