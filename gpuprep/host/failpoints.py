"""Places where a test can stop a process, kill it or let the system refuse: only tests set them.

``GPUPREP_FAILPOINTS`` holds ``STEP[@PART]=ACTION[:PASSAGE]``, several with commas between them::

    GPUPREP_FAILPOINTS="after_record=stop:3"        # SIGSTOP at the third passage
    GPUPREP_FAILPOINTS="before_read@liver_7=kill"   # SIGKILL where the subject's name has "liver_7"

Actions are ``stop``, ``hold`` (stop, and go no further when something lets it continue), ``kill``,
``raise-EIO`` (any name of ``errno``) and ``sleep-SECONDS``; without a passage each one acts. A process counts
its own passages, or, where ``GPUPREP_FAILPOINTS_COUNTS`` names a folder, all processes count together there.
The steps of a case, in their order, with its id as the subject::

    before_read  in_header  in_reader (both with the file's path, in the reader's process)  after_stage
    mid_shard (the file's path)  after_output (of several: ID/NAME)  after_shards  after_record  after_fsync
    after_rename

and of the coordinator::

    after_claim  after_statistics  before_manifest  after_manifest  before_close

and of nnU-Net's folders, the first two with a case's id::

    mid_link (after each of its links)  mid_ground_truth  after_links  after_ground_truth

and of a service, with a job's id, in the order of its life::

    after_folder  after_insert  before_child  after_child  child_named (in the service)
    job_begun  job_done (in the job's process, with its folder)
    after_cancel  mid_resume  after_save (in the service, the last with the job's state, too)

and of pruning, with a case's id: ``mid_prune`` (copied on an object store, not deleted yet), ``after_prune``.
"""

from __future__ import annotations

import errno
import os
import signal
import time
from collections import Counter
from pathlib import Path

_HELD_SECONDS = 600.0

_passages: Counter[str] = Counter()


def failpoint(step: str, subject: str) -> None:
    """Pass a step; nothing happens unless a test armed it."""
    for armed, action in _armed:
        name, _, part = armed.partition("@")
        if name == step and part in subject:
            what, _, passage = action.partition(":")
            if not passage or _count(armed) == int(passage):
                _act(what)


def _count(armed: str) -> int:
    folder = os.environ.get("GPUPREP_FAILPOINTS_COUNTS")
    if not folder:
        _passages[armed] += 1
        return _passages[armed]
    with Path(folder, armed).open("ab", buffering=0) as file:
        file.write(b".")
        return file.tell()


def _act(what: str) -> None:
    verb, _, value = what.partition("-")
    if verb == "raise":
        number = int(getattr(errno, value))
        raise OSError(number, os.strerror(number), "failpoint")
    if verb == "sleep":
        time.sleep(float(value))
    else:
        os.kill(os.getpid(), signal.SIGKILL if verb == "kill" else signal.SIGSTOP)
    if verb == "hold":
        time.sleep(_HELD_SECONDS)


def _arm(text: str) -> tuple[tuple[str, str], ...]:
    pairs = (entry.partition("=") for entry in text.split(",") if entry)
    return tuple((step, action) for step, _, action in pairs)


_armed = _arm(os.environ.get("GPUPREP_FAILPOINTS", ""))
