"""Clients that ask much of a service at once, with plain sockets so that they cost little themselves."""

from __future__ import annotations

import asyncio
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import numpy as np

_RANGE = 12_288
_EVENTS = 100


@dataclass
class Door:
    """A service's address, a token, and its process."""

    url: str
    token: str
    pid: int

    def __post_init__(self) -> None:
        headers = {"Authorization": f"Bearer {self.token}"}
        self._client = httpx.Client(base_url=self.url, headers=headers, timeout=600)

    def wait(self) -> None:
        """Until it answers."""
        for _ in range(600):
            try:
                self._client.get("/health/live")
            except httpx.TransportError:
                time.sleep(0.05)
            else:
                return
        raise SystemExit("the service does not answer")

    def get(self, path: str) -> Any:
        return self._client.get(path).raise_for_status().json()

    def text(self, path: str) -> str:
        return self._client.get(path).raise_for_status().text

    def cpu_seconds(self) -> float:
        """What the service's process has had of processors, without its jobs."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def post(self, path: str, body: Any, *, raw: bool = False) -> Any:
        answer = self._client.post(path, json=body)
        if answer.is_error:
            raise SystemExit(f"{path}: {answer.text}")
        return answer.content if raw else answer.json()

    def timed(self, path: str, body: Any = None) -> float:
        """Seconds of one request."""
        began = time.perf_counter()
        if body is None:
            self._client.get(path).raise_for_status()
        else:
            self._client.post(path, json=body).raise_for_status()
        return time.perf_counter() - began

    def ended(self, job_id: str) -> None:
        """Until the job is over: its events end then."""
        with self._client.stream("GET", f"/v1/jobs/{job_id}/events") as answer:
            for _ in answer.iter_bytes():
                pass

    async def crowd(self, path: str, body: Any, number: int) -> list[float]:
        """Seconds until each of those was refused that were, of so many requests at once."""
        text = json.dumps(body)
        lines = ("Content-Type: application/json", f"Content-Length: {len(text)}")
        request = self.request(path, *lines, verb="POST") + text.encode()
        opened = [await self.connect() for _ in range(number)]

        async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> float | None:
            began = time.perf_counter()
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            seconds = time.perf_counter() - began
            writer.close()
            return seconds if b" 503 " in head.partition(b"\r\n")[0] else None

        found = await asyncio.gather(*(one(*each) for each in opened))
        return [seconds for seconds in found if seconds is not None]

    def peak_bytes(self) -> int:
        """Resident memory of the service's process at its peak."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024

    def request(self, path: str, *lines: str, verb: str = "GET") -> bytes:
        """A request as it goes over the wire."""
        host = urlsplit(self.url).netloc
        head = (
            f"{verb} {path} HTTP/1.1",
            f"Host: {host}",
            f"Authorization: Bearer {self.token}",
            *lines,
        )
        return "\r\n".join([*head, "", ""]).encode()

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        parts = urlsplit(self.url)
        return await asyncio.open_connection(parts.hostname, parts.port)


def quantiles(seconds: list[float]) -> dict[str, float]:
    """The middle and the slowest hundredth, in milliseconds."""
    middle, slow = np.quantile(seconds, [0.5, 0.99]) * 1000
    return {"p50": round(float(middle), 2), "p99": round(float(slow), 2)}


async def ranges(
    door: Door, path: str, *, connections: int, seconds: float, pause: float = 0.0
) -> float:
    """Ranges a second that a service answers over kept connections."""
    answered = 0
    until = time.perf_counter() + seconds

    async def one(seed: int) -> None:
        nonlocal answered
        random = np.random.default_rng(seed)
        reader, writer = await door.connect()
        while time.perf_counter() < until:
            start = int(random.integers(0, 4096))
            writer.write(door.request(path, f"Range: bytes={start}-{start + _RANGE - 1}"))
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 206"):
                raise SystemExit(head.decode())
            length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
            await reader.readexactly(length)
            answered += 1
            if pause:
                await asyncio.sleep(pause)
        writer.close()

    began = time.perf_counter()
    await asyncio.gather(*(one(seed) for seed in range(connections)))
    return answered / (time.perf_counter() - began)


async def follow(door: Door, jobs: Path, subscribers: int) -> tuple[list[float], int]:
    """How late each follower of a job hears of each event, and how many events did not come."""
    waits = door.post("/v1/jobs", {"root": "small", "output": "followed", "executor": "serial"})
    door.ended(waits["id"])
    job = door.post("/v1/jobs", {"root": "large", "output": "watched", "executor": "serial"})
    path = jobs / job["id"] / "events.jsonl"
    late: list[float] = []
    ready = asyncio.Semaphore(0)

    async def one() -> int:
        reader, writer = await door.connect()
        writer.write(door.request(f"/v1/jobs/{job['id']}/events"))
        await reader.readuntil(b"\r\n\r\n")
        ready.release()
        heard = 0
        while heard < _EVENTS:
            line = await reader.readline()
            if line.startswith(b"data: ") and b'"benchmark"' in line:
                late.append(time.time() - json.loads(line[6:])["sent"])
                heard += 1
        writer.close()
        return heard

    async def send() -> None:
        for _ in range(subscribers):
            await ready.acquire()
        for _ in range(_EVENTS):
            with path.open("ab", buffering=0) as file:
                line = {"event": "benchmark", "sent": time.time()}
                file.write((json.dumps(line) + "\n").encode())
            await asyncio.sleep(0.05)

    told = await asyncio.gather(send(), *(asyncio.wait_for(one(), 120) for _ in range(subscribers)))
    door.post(f"/v1/jobs/{job['id']}/cancel", {})
    return late, subscribers * _EVENTS - sum(told[1:])
