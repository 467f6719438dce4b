"""Some tasks that one worker does one after another, and what it tells of each."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from distributed import get_worker

from gpuprep.executors.admission import is_admitted
from gpuprep.executors.base import Outcome, pack

_TOLD_EVERY = 0.1  # seconds; what came to an end sooner is told together


def perform_and_tell(
    perform: Callable[[dict[str, Any]], Outcome],
    batch: Sequence[dict[str, Any]],
    topic: str,
    run: str,
) -> None:
    """On a worker: do tasks given as JSON, and tell the topic's listener how each ended, by its place in the
    batch, under the batch's key. A worker that ``run`` has not admitted does nothing, and tells that.

    The last outcome goes to the scheduler on the connection on which the worker says, next, that the batch is
    finished; the scheduler passes both on in that order. So whoever hears the end of a batch has all its
    outcomes, also where the worker's host is cut off a moment later.
    """
    worker = get_worker()
    key = worker.get_current_task()
    if run and not is_admitted(run):
        worker.log_event(topic, {"key": key, "stranger": worker.address})
        return
    told: list[tuple[int, str]] = []
    since = time.monotonic()
    for place, fields in enumerate(batch):
        told.append((place, pack(perform(fields))))
        if place == len(batch) - 1 or time.monotonic() - since > _TOLD_EVERY:
            worker.log_event(topic, {"key": key, "outcomes": told})
            told, since = [], time.monotonic()
