"""Following what happens to a job, over broken links and restarts of the service."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator
from typing import Any

from gpuprep.client.answers import Job, JobEvent, value_of
from gpuprep.client.connection import Connection, Patience, Request
from gpuprep.values.errors import ServiceError

_SILENT_SECONDS = 45.0  # the service gives a sign of life every 15


def ask_job(connection: Connection, job_id: str) -> Job:
    """How a job stands."""
    return value_of(Job, connection.json(Request("GET", f"/v1/jobs/{job_id}")))


def follow(
    connection: Connection, job_id: str, start: int = 0, until: float | None = None
) -> Iterator[JobEvent]:
    """What happens to a job, from the first event or the one behind ``start``, until it is over.

    Args:
        until: The time, by ``time.monotonic``, at which to give up.

    Raises:
        TimeoutError: it is not over by then.
        ServiceError: the service refuses, or is gone for longer than patience lasts.
    """
    patience = Patience(connection.patience)
    place = start
    while True:
        try:
            # Asked before, so that a stream that ends has told everything of a job that was over.
            was_over = ask_job(connection, job_id).is_over
            for event in _stream(connection, job_id, place, patience, until):
                patience.refresh()
                place = event.place
                yield event
        except ServiceError as error:
            _check(job_id, until)
            if not error.may_pass:
                raise
            patience.bears(error)
        else:
            if was_over:
                return
            _check(job_id, until)
            patience.bears(ServiceError(f"{connection.url} ends its streams at once"))


def _stream(
    connection: Connection, job_id: str, place: int, patience: Patience, until: float | None
) -> Iterator[JobEvent]:
    """The events of one stream, as far as it goes."""
    left = _SILENT_SECONDS if until is None else max(0.01, until - time.monotonic())
    options: dict[str, Any] = {
        "headers": {"Last-Event-ID": str(place), "Accept": "text/event-stream"},
        "timeout": min(left, _SILENT_SECONDS),
    }
    path = f"/v1/jobs/{job_id}/events"
    with connection.stream(Request("GET", path, options=options)) as answer:
        patience.extend()
        yield from parse_events(_checked(job_id, lines_of(answer.iter_bytes()), until))


def _checked(job_id: str, lines: Iterable[str], until: float | None) -> Iterator[str]:
    for line in lines:
        _check(job_id, until)
        yield line


def _check(job_id: str, until: float | None) -> None:
    if until is not None and time.monotonic() >= until:
        raise TimeoutError(f"job {job_id} is not over yet")


def lines_of(blocks: Iterable[bytes]) -> Iterator[str]:
    """The lines in a stream of bytes; only a line feed ends one, whatever a case's name holds."""
    rest = b""
    for block in blocks:
        *whole, rest = (rest + block).split(b"\n")
        for line in whole:
            yield line.removesuffix(b"\r").decode("utf-8", "replace")


def parse_events(lines: Iterable[str]) -> Iterator[JobEvent]:
    """The events in a stream of lines; one that is cut off is left out, and so are signs of life."""
    name, place, data = "", 0, ""
    for line in lines:
        if line:
            key, _, given = line.partition(": ")
            if key == "event":
                name = given
            elif key == "id" and given.isdecimal():
                place = int(given)
            elif key == "data":
                data += given
            continue
        if name and data:
            yield _event(name, place, data)
        name, data = "", ""


def _event(name: str, place: int, data: str) -> JobEvent:
    try:
        tree = dict(json.loads(data))
    except (ValueError, TypeError):
        tree = {}
    tree.pop("event", None)
    return JobEvent(name, str(tree.pop("time", "")), place, tree)
