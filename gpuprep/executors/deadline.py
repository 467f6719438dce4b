"""What ends a case that takes longer than ``run.deadline``: the death of its worker, or an error here."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import NoReturn

from gpuprep.preprocess.task import CaseTask
from gpuprep.store.files import append_line
from gpuprep.store.layout import ATTEMPTS_FILE
from gpuprep.values.errors import Overdue


@contextmanager
def killed_when_overdue(task: CaseTask, seconds: float) -> Iterator[None]:
    """Kills this process when the block takes longer: nothing less ends a thread that hangs."""
    timer = threading.Timer(seconds, _die, [task])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _die(task: CaseTask) -> NoReturn:
    with suppress(Exception):  # the reason is worth having, the end is worth more
        line = {"task": task.kind, "case": task.case.id, "class": "deadline"}
        append_line(Path(task.output) / ATTEMPTS_FILE, line)
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("unreachable")


@contextmanager
def raised_when_overdue(task: CaseTask, seconds: float) -> Iterator[None]:
    """Raises Overdue in the block when it takes longer, as soon as Python runs again in it.

    Native code is not interrupted. Python handles signals in the main thread only; in another one there is
    no deadline.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    inside = True

    def give_up(number: int, frame: FrameType | None) -> None:
        if inside:
            raise Overdue(f"the case was not done within {seconds:g} s (run.deadline)")

    before = signal.signal(signal.SIGUSR1, give_up)
    timer = threading.Timer(seconds, signal.pthread_kill, [threading.get_ident(), signal.SIGUSR1])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        inside = False
        timer.cancel()
        timer.join()  # the signal must not meet the action before
        signal.signal(signal.SIGUSR1, before)
