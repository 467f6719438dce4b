"""The file of a job's events as a feed: torn lines cost only themselves, and ids stay good for ever."""

import asyncio
import json
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from gpuprep.ledger.log import RunLog
from gpuprep.service.jobs.events import END, Feeds
from gpuprep.service.jobs.folder import JobFolder
from gpuprep.service.jobs.job import tell
from gpuprep.values.events import CaseDone, CaseFailed, CaseStarted, RunStarted


def told(path: Path, start: int | str = 0, *, brief: bool = False) -> list[tuple[int, dict]]:
    """All events behind a place, with their ids."""

    async def read() -> list[bytes]:
        lines = Feeds().stream(path, start, done=lambda: True, brief=brief)
        return [event async for event in lines]

    found = []
    for event in asyncio.run(read())[1:]:
        number, _, data = event.decode().strip().split("\n")
        found.append((int(number[4:]), json.loads(data[6:])))
    return found


def test_a_torn_line_costs_no_other(tmp_path) -> None:
    path = tmp_path / "events.jsonl"
    tell(path, "first")
    with path.open("ab") as file:
        file.write(b'{"time": "2026-11-26T12:00:00Z", "eve')  # killed over it
    tell(path, "second")
    tell(path, "third")
    assert [event["event"] for _, event in told(path)] == ["first", "second", "third"]


@given(st.lists(st.one_of(st.text(max_size=20), st.binary(max_size=9)), max_size=20))
def test_whoever_comes_back_misses_nothing(tmp_path_factory, written) -> None:
    """Events (text) between fragments (bytes): from any id on, exactly those behind it are told."""
    path = tmp_path_factory.mktemp("events") / "events.jsonl"
    for entry in written:
        if isinstance(entry, str):
            tell(path, "case.done", case=entry)
        else:
            with path.open("ab") as file:
                file.write(entry.replace(b"\n", b" "))
    events = told(path)
    assert [event["case"] for _, event in events] == [e for e in written if isinstance(e, str)]
    for k, (number, _) in enumerate(events):
        assert told(path, number) == events[k + 1 :]


def test_a_long_line_is_told_whole(tmp_path) -> None:
    path = tmp_path / "events.jsonl"
    tell(path, "long", text="x" * 700_000)
    tell(path, "short")
    assert [event["event"] for _, event in told(path)] == ["long", "short"]


def test_an_event_that_is_the_last_one_is_not_told_again(tmp_path) -> None:
    folder = JobFolder(tmp_path)
    for event in ("job.queued", "job.starting", "job.starting", "job.queued"):
        folder.tell(event)
    names = [event["event"] for _, event in told(tmp_path / "events.jsonl")]
    assert names == ["job.queued", "job.starting", "job.queued"]


def test_in_brief_only_the_latest_routine_is_told(tmp_path) -> None:
    path = tmp_path / "events.jsonl"
    log = RunLog(tmp_path, file=path)
    log(RunStarted(4000, 1, "numpy"))
    for number in range(4000):
        log(CaseStarted(f"c{number}"))
        failed = CaseFailed(f"c{number}", "input", "E_UNREADABLE", '"event": "case.done"')
        log(failed if number == 7 else CaseDone(f"c{number}"))
    tell(path, "job.succeeded")
    whole, brief = told(path), told(path, brief=True)
    assert len(brief) < len(whole) / 4
    assert brief == [event for event in whole if event in brief]  # in order, with the ids of all
    early = [event["event"] for _, event in brief[:2]]
    assert early == ["run.started", "case.failed"]
    assert brief[-100:] == whole[-100:]


def test_from_the_end_on_nothing_of_what_was_is_told(tmp_path) -> None:
    path = tmp_path / "events.jsonl"
    tell(path, "before")
    assert told(path, END) == []

    async def read() -> bytes:
        return await anext(Feeds().stream(path, END))

    first = asyncio.run(read()).decode().split()
    assert first == ["retry:", "2000", "id:", str(path.stat().st_size)]  # where to go on


def test_an_id_behind_the_end_begins_anew(tmp_path) -> None:
    tell(tmp_path / "events.jsonl", "only")
    assert len(told(tmp_path / "events.jsonl", 10_000)) == 1
