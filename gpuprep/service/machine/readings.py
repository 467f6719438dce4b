"""What the machine tells of itself: processors and memory at once, disk and GPUs when they answer."""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from gpuprep.host.gpus import Gpu, read_gpus

_STAT = Path("/proc/stat")
_SILENT_SECONDS = 30.0
"""After so long without an answer a disk is said not to answer."""


class Processors:
    """How busy the processors were between two looks."""

    def __init__(self, file: Path = _STAT) -> None:
        self._file = file
        self._last = self._read()

    def busy(self) -> float | None:
        """Share of the time since the last look, 0 to 1; None where the system does not tell."""
        now, last = self._read(), self._last
        self._last = now
        if now is None or last is None or now[1] <= last[1]:
            return None
        idle, whole = now[0] - last[0], now[1] - last[1]
        return min(1.0, max(0.0, 1 - idle / whole))

    def _read(self) -> tuple[int, int] | None:
        """Ticks without work, and all ticks, since the machine began."""
        try:
            with self._file.open("rb") as file:
                ticks = [int(each) for each in file.readline().split()[1:9]]
            return ticks[3] + ticks[4], sum(ticks)
        except (OSError, ValueError, IndexError):
            return None


class Slow:
    """Disk and GPUs, looked at in a thread of their own: what does not answer holds nothing up."""

    def __init__(
        self, folder: Path | None, gpus: Callable[[], tuple[Gpu, ...]] = read_gpus
    ) -> None:
        """
        Args:
            folder: On the disk that is asked for its room; None where cohorts lie on no disk.
        """
        self._folder = folder
        self._ask_gpus = gpus
        self._thread = ThreadPoolExecutor(1, "machine")
        self._looking: asyncio.Future[None] | None = None
        self._since = time.monotonic()
        self._disk: tuple[int, int] | None = None
        self.gpus: tuple[Gpu, ...] = ()

    @property
    def disk(self) -> tuple[int, int] | None:
        """Bytes in all and free; None where nothing tells."""
        return self._disk if time.monotonic() - self._since < _SILENT_SECONDS else None

    def look(self) -> None:
        """Begin to look, unless the look before goes on yet."""
        if self._looking is None or self._looking.done():
            loop = asyncio.get_running_loop()
            self._looking = loop.run_in_executor(self._thread, self._look)

    async def looked(self) -> None:
        """The look that was begun is over."""
        if self._looking is not None:
            await self._looking

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _look(self) -> None:
        self.gpus = self._ask_gpus()
        try:
            usage = shutil.disk_usage(_there(self._folder)) if self._folder else None
        except OSError:
            usage = None
        self._disk = (usage.total, usage.free) if usage else None
        self._since = time.monotonic()


def _there(folder: Path) -> Path:
    """A folder, or the nearest around it that is there: the first cohort makes it."""
    return next((each for each in (folder, *folder.parents) if each.exists()), folder)


def load() -> float | None:
    """Processes that run or wait to, over the last minute; None where the system does not tell."""
    try:
        return os.getloadavg()[0]
    except OSError:
        return None
