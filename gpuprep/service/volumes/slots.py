"""Warm slots: for every profile some processes that prepare single volumes, and a short line before them.

A visit is counted from its first byte to the last of its answer; when a profile has as many visits as it
has slots and places in its line, the next one is refused at once. Nothing of a visit is kept.
"""

from __future__ import annotations

import asyncio
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import cycle, repeat
from pathlib import Path

from gpuprep.config.model import Config
from gpuprep.device.cuda import SHARERS
from gpuprep.host.backend import Name, choose_backend
from gpuprep.host.resources import available_cores, available_memory
from gpuprep.preprocess.reference import with_reference
from gpuprep.service.problems import Problem
from gpuprep.service.volumes.orders import Order, Refused, Reply, Terms
from gpuprep.service.volumes.slot import Slot
from gpuprep.values.errors import ConfigError, GpuprepError

_ENDS = Refused(503, "STOPPED", "the service ends")


@dataclass(frozen=True)
class WarmProfile:
    """A config for single volumes, and the slots that are kept warm for it."""

    config: Config
    slots: int = 1
    queue: int = 8
    """Volumes that may wait, beside those that are worked on; more are refused at once."""
    seconds: float = 60.0
    """For one volume, from when a slot takes it."""


def check_profile(name: str, config: Config) -> None:
    """Raises ConfigError for a config that no single volume can be prepared by."""
    problem = ""
    if config.needs_cohort:
        problem = "takes statistics over a cohort (over: cohort, nyul), which one volume has not"
        advice = (
            "write the cohort's mean and std into it, or landmarks of nyul, "
            "or use over: image or over: foreground"
        )
    elif any(part.store.nnunet for part in config.parts().values()):
        problem = "stores nnU-Net's files (store.nnunet), which no answer is made of"
        advice = "leave store.nnunet out"
    elif config.label.only:
        problem, advice = "prepares labels only (label.only)", "leave label.only out"
    elif config.label.required or config.image.crop.to == "label":
        problem = "needs a label (label.required, image.crop.to: label), and one volume brings none"
        advice = "leave these out"
    elif config.input.layout == "manifest":
        problem, advice = "reads manifests only (input.layout)", "use input.layout: auto"
    if problem:
        raise ConfigError(f"profile {name} {problem}", advice=advice)


def _environments(devices: Sequence[str], slots: int) -> Iterator[dict[str, str]]:
    """For each slot the device that it sees, and how many share it; nothing where there is none."""
    if not devices:
        return repeat({})
    sharers = str(-(-slots // len(devices)))
    return cycle({"CUDA_VISIBLE_DEVICES": device, SHARERS: sharers} for device in devices)


class Line:
    """The slots of one profile, and how many visits it has."""

    def __init__(self, profile: WarmProfile, slots: list[Slot]) -> None:
        self.profile = profile
        self.slots = slots
        self.idle: asyncio.Queue[Slot] = asyncio.Queue()
        self.visits = 0
        self.average = 0.0
        """Seconds that a volume took of late."""

    @property
    def is_full(self) -> bool:
        return self.visits >= self.profile.slots + self.profile.queue

    @property
    def wait(self) -> int:
        """Whole seconds after which there may be room again."""
        return max(1, round(self.average * self.visits / self.profile.slots))

    def state(self) -> dict[str, int]:
        busy = self.profile.slots - self.idle.qsize()
        return {"slots": self.profile.slots, "busy": busy, "waiting": max(0, self.visits - busy)}

    def took(self, seconds: float) -> None:
        self.average = seconds if not self.average else 0.8 * self.average + 0.2 * seconds


class Visit:
    """One request's place in a line, with a private folder; gone when everyone who holds it let go."""

    def __init__(self, line: Line, folder: Path, remove: Callable[[Visit], None]) -> None:
        self.line = line
        self.folder = folder
        self._remove = remove
        self._holders = 1
        folder.mkdir(mode=0o700)
        line.visits += 1

    def hold(self) -> None:
        self._holders += 1

    def release(self) -> None:
        self._holders -= 1
        if not self._holders:
            self._remove(self)


class Slots:
    """All lines of a service.

    Use it in one event loop: ``start``, then ``visit`` and ``prepare`` for each request, then ``close``.
    """

    def __init__(
        self, profiles: Mapping[str, WarmProfile], folder: Path, *, backend: Name = "auto"
    ) -> None:
        """Describe the slots; nothing is started.

        Args:
            profiles: By name; those without slots are not served.
            folder: For scratch, and for nothing else: it is emptied.
            backend: What every slot computes with; ``auto``: CUDA where there is a device.

        Raises:
            ConfigError: no single volume can be prepared by a profile, or its reference cannot be read.
            BackendError: the backend cannot be used here.
        """
        profiles = {name: each for name, each in profiles.items() if each.slots}
        for name, each in profiles.items():
            check_profile(name, each.config)
        self._folder = folder
        self._closing = False
        total = sum(each.slots for each in profiles.values())
        chosen = choose_backend(backend if total else "numpy")
        environments = _environments(chosen.devices, total)
        terms = partial(
            Terms,
            backend=backend if chosen.name == "cupy" else "numpy",
            threads=max(1, available_cores() // max(1, total)),
            memory=available_memory() // max(1, total),
        )
        self.lines: dict[str, Line] = {}
        for name, each in profiles.items():
            config = with_reference(each.config)
            folders = [str(folder / f"slot-{name}-{number}") for number in range(each.slots)]
            slots = [Slot(terms(config, path), next(environments)) for path in folders]
            self.lines[name] = Line(each, slots)
        self._returning: set[asyncio.Task[None]] = set()
        self._threads = ThreadPoolExecutor(total + 2, thread_name_prefix="gpuprep-slots")

    async def start(self) -> None:
        """Empty the folder, and have every slot warm.

        Raises:
            GpuprepError: a slot cannot be had.
        """
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True, mode=0o700)
        loop = asyncio.get_running_loop()
        slots = [(line, slot) for line in self.lines.values() for slot in line.slots]
        starts = [loop.run_in_executor(self._threads, slot.start) for _, slot in slots]
        done = await asyncio.gather(*starts, return_exceptions=True)
        for error in done:
            if isinstance(error, BaseException):
                await self.close()
                raise error
        for line, slot in slots:
            line.idle.put_nowait(slot)

    async def close(self) -> None:
        """End all slots, also those at work, and leave nothing; who waits is told at once."""
        self._closing = True
        slots = [slot for line in self.lines.values() for slot in line.slots]
        loop = asyncio.get_running_loop()
        await asyncio.gather(*(loop.run_in_executor(None, slot.close) for slot in slots))
        await asyncio.gather(*self._returning)
        self._threads.shutdown(wait=False, cancel_futures=True)
        shutil.rmtree(self._folder, ignore_errors=True)

    def state(self) -> dict[str, dict[str, int]]:
        """For each profile its ``slots``, how many are ``busy``, and how many other volumes are ``waiting``,
        those on their way in or out among them."""
        return {name: line.state() for name, line in self.lines.items()}

    def visit(self, profile: str) -> Visit:
        """A place for one request.

        Raises:
            Problem: 422 for an unknown profile, 503 where all places are taken.
        """
        if self._closing:
            raise Problem(503, _ENDS.detail, code=_ENDS.code)
        line = self.lines.get(profile)
        if line is None:
            known = ", ".join(self.lines) or "none"
            raise Problem(
                422,
                f"there is no profile {profile!r} for single volumes",
                code="E_PROFILE",
                advice=f"choose one by ?profile=NAME: {known}",
            )
        if line.is_full:
            raise Problem(
                503,
                f"{line.visits} volumes are in the line of profile {profile}, and no more may wait",
                code="E_QUEUE_FULL",
                advice="try again after the time in Retry-After",
                headers={"Retry-After": str(line.wait)},
            )
        return Visit(line, self._folder / f"visit-{uuid.uuid4().hex}", self._leave)

    async def prepare(self, visit: Visit, order: Order) -> Reply:
        """Have a volume prepared once it is its turn; cancelled while it waits, it leaves the line.

        One that a slot has begun is done all the same, and its place is taken until then.
        """
        line, loop = visit.line, asyncio.get_running_loop()
        slot = await line.idle.get()
        if self._closing:
            line.idle.put_nowait(slot)  # for the next who waits
            return Reply(refused=_ENDS)
        visit.hold()
        began = loop.time()
        work = loop.run_in_executor(self._threads, slot.ask, order, line.profile.seconds)

        def ended(work: asyncio.Future[Reply]) -> None:
            line.took(loop.time() - began)
            visit.release()
            returning = loop.create_task(self._return(line, slot))
            self._returning.add(returning)
            returning.add_done_callback(self._returning.discard)

        work.add_done_callback(ended)
        reply = await asyncio.shield(work)
        return Reply(refused=_ENDS) if self._closing and reply.refused else reply

    async def _return(self, line: Line, slot: Slot) -> None:
        """Put a slot back in its line, with a new process where its own is gone."""
        if slot.pid is None:
            loop = asyncio.get_running_loop()
            with suppress(
                GpuprepError, RuntimeError, OSError
            ):  # the next order tries again, and tells
                await loop.run_in_executor(self._threads, slot.start)
        line.idle.put_nowait(slot)

    def _leave(self, visit: Visit) -> None:
        visit.line.visits -= 1
        with suppress(RuntimeError):  # closed, and the folder is gone as a whole
            self._threads.submit(shutil.rmtree, visit.folder, ignore_errors=True)
