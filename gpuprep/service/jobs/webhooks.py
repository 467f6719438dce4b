"""The ends of jobs, told to the hosts that the operator lists.

What is still to be told lies as ``webhook.json`` in the job's folder from the job's submission on, so that
neither a crash nor a restart of the service loses it. A receiver hears of an end at least once; each try
carries the same ``webhook-id``. Requests are signed as Standard Webhooks has it: the signature is the
HMAC-SHA256 of ``id.timestamp.body``, so that an old one cannot be sent again later.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, ParamSpec, Protocol, TypeVar

import httpx
from prometheus_client.core import GaugeMetricFamily, Metric

from gpuprep.host.atomic import replaced
from gpuprep.service.jobs.folder import JOBS_FOLDER, JobFolder
from gpuprep.service.jobs.job import Job
from gpuprep.service.jobs.signing import load_key, signature
from gpuprep.service.jobs.targets import Target, find_target
from gpuprep.service.settings import Webhooks as Settings
from gpuprep.values.version import __version__

P = ParamSpec("P")
T = TypeVar("T")

WEBHOOK_FILE = "webhook.json"
_SECONDS = 10.0  # for one try
_FIRST_WAIT = 2.0
_LONGEST_WAIT = 3600.0
_AT_ONCE = 16
_GONE = 410
"""A receiver that answers so wants to hear no more."""


@dataclass(frozen=True, slots=True)
class Due:
    """What is to be told of a job, and how often that was tried; ``next`` is the time of the next try."""

    ended: float = 0.0
    tries: int = 0
    next: float = 0.0

    def write(self, folder: JobFolder) -> None:
        with replaced(folder.path / WEBHOOK_FILE, fsync=True) as partial:
            partial.write_text(json.dumps(asdict(self)), "utf-8")

    @classmethod
    def read(cls, folder: JobFolder) -> Due:
        """That of a job; a new one where the file cannot be understood."""
        try:
            tree = json.loads((folder.path / WEBHOOK_FILE).read_bytes())
            return cls(float(tree["ended"]), int(tree["tries"]), float(tree["next"]))
        except (OSError, ValueError, KeyError, TypeError):
            return cls()


class Known(Protocol):
    """The list of jobs, as far as webhooks care."""

    def find(self, job_id: str) -> Job | None: ...

    def waiting(self) -> Sequence[Job]: ...

    def working(self) -> Sequence[Job]: ...


class Webhooks:
    """Tells the ends of jobs. ``listen`` is told every change of a job's state."""

    def __init__(
        self,
        folder: Path,
        settings: Settings,
        known: Known,
        *,
        first_wait: float = _FIRST_WAIT,
    ) -> None:
        self._jobs = folder / JOBS_FOLDER
        self._settings = settings
        self._known = known
        self._first_wait = first_wait
        self._key = load_key(folder, settings.secret_file) if settings.hosts else b""
        self._telling: dict[str, asyncio.Task[None]] = {}
        self._noting: set[asyncio.Future[None]] = set()
        self._disk = ThreadPoolExecutor(1, "webhooks")
        self._places = asyncio.Semaphore(_AT_ONCE)

    def listen(self, job: Job) -> None:
        """Note that the end of a job will have to be told, or begin to tell it."""
        if not job.asked.webhook or (job.state != "queued" and not job.is_over):
            return
        noted = asyncio.ensure_future(self._note(job))
        self._noting.add(noted)
        noted.add_done_callback(self._noting.discard)

    async def _note(self, job: Job) -> None:
        due = Due(job.ended if job.is_over else 0.0)
        with suppress(OSError):  # a disk that refuses costs what a restart knows
            await self._on_disk(due.write, self._folder(job.id))
        if job.is_over:
            self._begin(job.id)

    async def _on_disk(self, work: Callable[P, T], *given: P.args, **named: P.kwargs) -> T:
        """Do something to files, one thing after another, while the loop goes on."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._disk, lambda: work(*given, **named))

    def numbers(self) -> Iterator[Metric]:
        """For Prometheus."""
        yield GaugeMetricFamily(
            "gpuprep_webhooks_waiting", "Ends of jobs to be told.", len(self._telling)
        )

    async def recover(self) -> None:
        """Go on with what an earlier life had still to tell."""
        for job in (
            *self._known.waiting(),
            *self._known.working(),
        ):  # it may have died before it noted
            if job.asked.webhook:
                await self._note(job)
        for job_id in await self._on_disk(_marked, self._jobs):
            found = self._known.find(job_id)
            if found is not None and found.is_over:
                self._begin(job_id)

    async def close(self) -> None:
        """Stop telling; what is left lies in the folders."""
        await asyncio.gather(*self._noting)
        for task in (tasks := list(self._telling.values())):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._disk.shutdown(wait=False)

    def _folder(self, job_id: str) -> JobFolder:
        return JobFolder(self._jobs / job_id)

    def _begin(self, job_id: str) -> None:
        if job_id not in self._telling:
            self._telling[job_id] = asyncio.create_task(self._tell(job_id))

    async def _tell(self, job_id: str) -> None:
        try:
            while await self._try(job_id):
                pass
        finally:
            del self._telling[job_id]

    async def _try(self, job_id: str) -> bool:
        """Wait for the time of the next try, and try; whether there is one more to come."""
        folder = self._folder(job_id)
        due = await self._on_disk(Due.read, folder)
        await asyncio.sleep(min(_LONGEST_WAIT, max(0.0, due.next - time.time())))
        job = self._known.find(job_id)
        if job is None or not job.is_over:  # it was resumed: its next end is told
            return False
        if due.ended != job.ended:
            due = Due(job.ended)
        async with self._places:
            told = await self._send(job)
        tries = due.tries + 1
        if told == "" or told == str(_GONE) or tries >= self._settings.tries:
            event = "webhook.told" if told == "" else "webhook.given_up"
            reason = {"reason": told} if told else {}
            await self._on_disk(folder.tell, event, tries=tries, **reason)
            with suppress(OSError):
                await self._on_disk((folder.path / WEBHOOK_FILE).unlink, missing_ok=True)
            again = self._known.find(job_id)  # another end may have come meanwhile
            return again is not None and again.is_over and again.ended != job.ended
        wait = min(_LONGEST_WAIT, self._first_wait * 4 ** (tries - 1))
        due = replace(due, tries=tries, next=time.time() + wait)
        with suppress(OSError):
            await self._on_disk(due.write, folder)
        return True

    async def _send(self, job: Job) -> str:
        """One try; empty where the receiver took it, else why not."""
        try:
            async with asyncio.timeout(_SECONDS):
                target = await find_target(job.asked.webhook, self._settings.hosts)
                return await self._post(target, job)
        except TimeoutError:
            return f"no answer within {_SECONDS:g} s"
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            return str(error) or type(error).__name__

    async def _post(self, target: Target, job: Job) -> str:
        body = json.dumps(told_of(job)).encode()
        identity, stamp = f"{job.id}-{job.ended:.6f}", str(int(time.time()))
        headers = {
            "Host": target.host_header,
            "Content-Type": "application/json",
            "User-Agent": f"gpuprep/{__version__}",
            "webhook-id": identity,
            "webhook-timestamp": stamp,
            "webhook-signature": signature(self._key, identity, stamp, body),
        }
        async with (
            httpx.AsyncClient(trust_env=False, follow_redirects=False, timeout=_SECONDS) as client,
            client.stream(
                "POST",
                target.url,
                content=body,
                headers=headers,
                extensions={"sni_hostname": target.host},
            ) as answer,
        ):
            return "" if answer.is_success else str(answer.status_code)


def told_of(job: Job) -> dict[str, Any]:
    """What a receiver is told of a job: no paths, no config and nothing of its cases."""
    fields = ("id", "owner", "state", "created", "started", "ended", "cases")
    return {
        "type": f"job.{job.state}",
        "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(job.ended)),
        "data": {
            **{name: getattr(job, name) for name in fields},
            "cohort": job.asked.output,
            "url": f"/v1/jobs/{job.id}",
        },
    }


def _marked(jobs: Path) -> Iterable[str]:
    """The jobs that have something to tell, now or at their end."""
    return [entry.parent.name for entry in jobs.glob(f"*/{WEBHOOK_FILE}")]
