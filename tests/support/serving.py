"""A service at work, as ``gpuprep serve`` starts it, on a free port of loopback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import yaml

from gpuprep.service.door.tokens import Principal, Tokens
from gpuprep.service.jobs.folder import JobFolder
from gpuprep.service.jobs.job import ENDED
from gpuprep.values.errors import UsageError
from support.runs import wait_until

COMMAND = (sys.executable, "-m", "gpuprep.cli.app")
SERIAL = {"executor": "serial"}


@dataclass
class Served:
    """A service's process, and how to ask it."""

    folder: Path
    process: subprocess.Popen[str]
    url: str
    link: str
    tokens: dict[str, str] = field(default_factory=dict)

    def ask(self, scope: str = "submit", **options: Any) -> httpx.Client:
        """A client with a token of a scope."""
        if scope not in self.tokens:
            tokens, name = Tokens(self.folder), f"a-{scope}"
            with suppress(UsageError):  # that of an earlier life
                tokens.revoke(name)
            self.tokens[scope] = tokens.add(Principal(name, scope))  # type: ignore[arg-type]
        headers = {"Authorization": f"Bearer {self.tokens[scope]}"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=60, **options)

    def submit(self, **body: Any) -> dict[str, Any]:
        """A job that was accepted."""
        with self.ask() as client:
            answer = client.post("/v1/jobs", json={"root": "data", **SERIAL, **body})
        assert answer.status_code == 201, answer.text
        return answer.json()

    def job(self, job_id: str) -> dict[str, Any]:
        with self.ask() as client:
            return client.get(f"/v1/jobs/{job_id}").json()

    def ended(self, job_id: str) -> dict[str, Any]:
        """The job once it is over."""
        wait_until(lambda: self.job(job_id)["state"] in ENDED, f"the end of job {job_id}")
        return self.job(job_id)

    def kill(self) -> None:
        """End the service as a power cut would; its jobs' processes live on."""
        self.process.kill()
        self.process.wait()

    def wait_for_child(self, job_id: str, state: str = "T") -> int:
        """The process of a job, once it is in a state of /proc; by default stopped by a failpoint."""
        wait_until(lambda: self._child_is(job_id, state), f"the process of {job_id} is in {state}")
        pid = JobFolder(self.folder / "jobs" / job_id).child()["pid"]
        return int(pid)

    def _child_is(self, job_id: str, state: str) -> bool:
        child = JobFolder(self.folder / "jobs" / job_id).child()
        return child is not None and state_of(child["pid"]) == state

    def settled(self, job_id: str) -> dict[str, Any]:
        """The job once it is over; no cohort ever had two processes at work on it meanwhile."""
        most = 0

        def over() -> bool:
            nonlocal most
            most = max(most, len(children_at_work(self.folder)))
            return bool(self.job(job_id)["state"] in ENDED)

        wait_until(over, f"the end of job {job_id}")
        assert most <= 1
        return self.job(job_id)

    def stop(self) -> str:
        """End the service by SIGTERM; what it printed after its first lines."""
        self.process.terminate()
        return self.process.communicate(timeout=20)[0]


@contextmanager
def serving(
    folder: Path,
    sources: Path,
    settings: Mapping[str, Any] | None = None,
    *,
    port: int = 0,
    **environment: str,
) -> Iterator[Served]:
    """A service in ``folder`` whose root ``data`` is ``sources``."""
    folder.mkdir(exist_ok=True)
    tree = {"roots": {"data": str(sources)}, **(settings or {})}
    (folder / "service.yaml").write_text(yaml.safe_dump(tree))
    process = subprocess.Popen(
        [*COMMAND, "serve", "--folder", str(folder), "--port", str(port)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, **environment},
    )
    assert process.stdout is not None
    url, link = process.stdout.readline().strip(), process.stdout.readline().strip()
    try:
        assert "://127.0.0.1:" in url, url + link + process.stdout.read()
        served = Served(folder, process, url, link.rpartition(" ")[2])
        wait_until(lambda: _lives(url), "the service")
        yield served
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        process.stdout.close()


def state_of(pid: int) -> str:
    """The state of a process, as /proc has it; Z where it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


def children_at_work(folder: Path) -> list[int]:
    """The processes that are at work on jobs of a service: those that were told to go."""
    found = []
    for child in (folder / "jobs").glob("*/child.json"):
        with suppress(OSError, ValueError):
            pid = int(json.loads(child.read_bytes())["pid"])
            line = Path(f"/proc/{pid}/cmdline").read_bytes()
            if str(child.parent).encode() in line and state_of(pid) != "Z":
                found.append(pid)
    return found


def _lives(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health/live", verify=False).status_code == 200
    except httpx.TransportError:
        return False
