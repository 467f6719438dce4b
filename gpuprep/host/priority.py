"""Which of the machine's threads give way to which."""

from __future__ import annotations

import os
from contextlib import suppress


def interrupt_nothing() -> None:
    """Have this thread, and those that it starts from now on, wait where others work until these pause.

    It gets as much of a processor as before (``SCHED_BATCH``), some milliseconds later, and does then at
    once what has come together meanwhile. ``take_turns`` takes that back.
    """
    _follow("SCHED_BATCH")


def take_turns() -> None:
    """Have this thread work as any other does, whatever it was started by; for the start of a process."""
    _follow("SCHED_OTHER")


def _follow(policy: str) -> None:
    with suppress(OSError, AttributeError):  # no Linux, or a sandbox that forbids it: as it is
        os.sched_setscheduler(0, getattr(os, policy), os.sched_param(0))
