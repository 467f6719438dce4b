"""What a command and all processes that it starts take: time, memory, and bytes read of chosen files.

Linux only, and no rights beyond those of the user. CPU time and written bytes are those that the kernel
counted for processes that ended; those whose parent went before them come to this process, which waits for
them. Memory is a sample of proportional set sizes (PSS): pages that processes share count once.
"""

from __future__ import annotations

import ctypes
import os
import re
import resource
import shutil
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from inotify import Opens

_SAMPLE = 0.1  # seconds
_ORPHANS = 20.0  # seconds
_BLOCK = 512  # bytes of ru_oublock
_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER
_READ = re.compile(r"\b(?:p?readv?2?|pread64)\(\d+<(.*?)>, .* = (\d+)$")
_MAPPED = re.compile(r"\bmmap\(\S+, (\d+), .*, \d+<(.*?)>, ")
_CALLS = "read,pread64,readv,preadv,preadv2,mmap"


@dataclass(frozen=True)
class Taken:
    """What a process tree took."""

    code: int
    """The command's exit status."""
    wall: float
    cpu: float
    """Seconds, user and system, of all processes."""
    peak_bytes: int
    """Most PSS of all processes together."""
    disk_bytes: int
    """Written to disks, as far as the kernel accounts for it; 0 on a file system in memory."""
    output: str
    """The end of what it said."""


def measure(command: Sequence[str], environment: dict[str, str], cores: Iterable[int]) -> Taken:
    """Run a command on some cores, in a session of its own, and wait for all of it."""
    library, others = ctypes.CDLL(None), set(descendants(os.getpid()))
    library.prctl(_SUBREAPER, 1, 0, 0, 0)
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    with started(command, environment, cores) as process:
        with Sampler(process.pid) as sampler:
            told, _ = process.communicate()
        wall = time.monotonic() - start
    wait_for(set(descendants(os.getpid())) - others)  # orphans, which were handed to this process
    library.prctl(_SUBREAPER, 0, 0, 0, 0)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    written = (after.ru_oublock - before.ru_oublock) * _BLOCK
    return Taken(process.returncode, wall, cpu, sampler.peak, written, told[-4000:])


def wait_for(orphans: set[int]) -> None:
    """Wait for processes that outlive their command; those that stay are killed."""
    deadline = time.monotonic() + _ORPHANS
    while orphans and time.monotonic() < deadline:
        for pid in list(orphans):
            with suppress(ChildProcessError):
                if not os.waitpid(pid, os.WNOHANG)[0]:
                    continue
            orphans.remove(pid)
        time.sleep(0.02)
    for pid in orphans:
        with suppress(OSError):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def started(
    command: Sequence[str], environment: dict[str, str], cores: Iterable[int]
) -> subprocess.Popen[str]:
    listed = ",".join(map(str, cores))
    return subprocess.Popen(
        ["taskset", "-c", listed, *command],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        errors="replace",
        start_new_session=True,
    )


class Sampler(threading.Thread):
    """Looks at a process and its descendants every tenth of a second; ``peak`` is the most they took."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._pid, self._over = pid, threading.Event()
        self.peak = 0

    def run(self) -> None:
        while True:
            self.peak = max(self.peak, sum(map(pss, [self._pid, *descendants(self._pid)])))
            if self._over.wait(_SAMPLE):
                return

    def __enter__(self) -> Sampler:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self.join()


def descendants(pid: int) -> list[int]:
    """All processes below one, wherever sessions begin and end."""
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with suppress(OSError):
                line = (folder / "stat").read_text(errors="replace")
                parent = int(line.rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(folder.name))
    found, waiting = [], [pid]
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += below
    return found


def pss(pid: int) -> int:
    """Proportional set size of a process in bytes; 0 for one that is gone."""
    with suppress(OSError, IndexError, ValueError):
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        return int(text.partition("\nPss:")[2].split()[0]) * 1024
    return 0


@dataclass(frozen=True)
class Reads:
    """How often files were read, and how often each was opened.

    ``read`` has the bytes that every thread took of every file, where these were seen.
    """

    files: Sequence[Path]
    opens: Mapping[Path, int]
    read: Sequence[Mapping[Path, int]] | None

    @property
    def times(self) -> float | None:
        """Bytes read over bytes there are, all files together, looks at headers included."""
        if self.read is None:
            return None
        there = sum(file.stat().st_size for file in self.files)
        return sum(sum(thread.values()) for thread in self.read) / there

    def whole(self, least: int) -> list[int]:
        """How often each file of at least so many bytes was read from end to end."""
        sizes = {file: file.stat().st_size for file in self.files}
        return [
            sum(thread.get(file, 0) // size for thread in self.read or ())
            for file, size in sizes.items()
            if size >= least and self.read is not None
        ]


def count_reads(
    command: Sequence[str],
    environment: dict[str, str],
    cores: Iterable[int],
    files: Sequence[Path],
    traces: Path,
) -> Reads:
    """Run a command and count how often it reads files: by strace where that is there, else by inotify.

    ``traces`` is a folder that is not there, for what strace writes meanwhile.

    Raises:
        RuntimeError: the command failed.
    """
    strace = shutil.which("strace")
    asked = [strace, "-ff", "-qq", "-y", "-s", "0", "--seccomp-bpf", "-e", f"trace={_CALLS}"]
    asked += ["-o", str(traces / "of")]  # a file for each thread: calls are not interrupted there
    traces.mkdir()
    with (
        Opens(files) as opens,
        started([*(asked if strace else ()), *command], environment, cores) as run,
    ):
        told, _ = run.communicate()
    if run.returncode:
        raise RuntimeError(f"{command[0]} failed while its reads were counted:\n{told[-2000:]}")
    known = {str(file.resolve()): file for file in files}
    read = [bytes_read(trace, known) for trace in traces.iterdir()]
    shutil.rmtree(traces)
    return Reads(files, opens.counts(), read if strace else None)


def bytes_read(trace: Path, files: Mapping[str, Path]) -> Counter[Path]:
    """Bytes that calls in a trace of strace took from each file; a mapped part counts as read."""
    found: Counter[Path] = Counter()
    with trace.open(errors="replace") as lines:
        for line in lines:
            if match := _READ.search(line):
                path, count = match[1], int(match[2])
            elif match := _MAPPED.search(line):
                path, count = match[2], int(match[1])
            else:
                continue
            if path in files:
                found[files[path]] += count
    return found
