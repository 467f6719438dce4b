"""The memory of a host in equal shares, taken and given back by the worker processes that divide it.

Whoever locks a share's file has it. The system takes back the locks of a process that dies.
"""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

_POLL_SECONDS = 0.02
_shared = {"folder": ""}


class Shares:
    """``number`` shares of one memory; all that divide it name the same ``folder`` of their host."""

    def __init__(self, folder: Path | str, number: int) -> None:
        self._folder = Path(folder)
        self.number = number

    @contextmanager
    def taken(self, wanted: int) -> Iterator[None]:
        """Hold so many shares inside the block; they are waited for.

        One waits at a time, and everybody else behind it. So small cases do not pass a large one for ever,
        and no two hold a part each of what both need.

        Raises:
            ValueError: there are not so many.
        """
        if wanted > self.number:
            raise ValueError(f"{wanted} of {self.number} shares of memory were asked for")
        with ExitStack() as held:
            with self._open("turn") as turn:
                fcntl.flock(turn, fcntl.LOCK_EX)
                self._gather(wanted, held)
            yield

    def _gather(self, wanted: int, held: ExitStack) -> None:
        """Take shares as they come free; ``held`` gives them back."""
        others = [f"share-{index}" for index in range(self.number)]
        while wanted:
            for name in list(others):
                if wanted and self._try(name, held):
                    others.remove(name)
                    wanted -= 1
            if wanted:
                time.sleep(_POLL_SECONDS)

    def _try(self, name: str, held: ExitStack) -> bool:
        with ExitStack() as attempt:
            share = attempt.enter_context(self._open(name))
            try:
                fcntl.flock(share, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            held.push(attempt.pop_all())
            return True

    def _open(self, name: str) -> IO[bytes]:
        return (self._folder / name).open("ab")


def divide_memory_in(folder: str) -> None:
    """The processes that name the same folder divide one memory; without it, nobody else takes of it."""
    _shared["folder"] = folder


def shared_folder() -> str:
    """Where this process divides its memory with others; empty where it does not."""
    return _shared["folder"]
