"""The work behind pictures is bounded, a slow source holds nothing else up, and the end waits for nothing."""

import asyncio
import os
import signal
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from support.cohorts import run
from support.oriented import affine_of, save_phantom
from support.runs import wait_until

from gpuprep.config.model import Config
from gpuprep.service.door.verbs import IS_HEAD
from gpuprep.service.problems import Problem
from gpuprep.service.sights.answers import volume_answer
from gpuprep.service.sights.sights import Sights
from gpuprep.service.sights.sources import Sources
from gpuprep.store.reader import open_cohort
from gpuprep.values.errors import CorruptStoreError, ReaderCrash, StoreError
from gpuprep.viewing.sight import StoredSight
from gpuprep.viewing.source_volume import read_source


@pytest.fixture
def record(tmp_path: Path) -> dict:
    (tmp_path / "in").mkdir()
    save_phantom(tmp_path / "in", "a", affine_of("LPS"))
    run(tmp_path / "in", tmp_path / "out", {"store": {"fsync": "never"}})
    return open_cohort(tmp_path / "out")["a"].record


def test_no_more_is_done_at_once_than_there_are_threads():
    sights, at_work, most = Sights(threads=3), [], []
    barrier = threading.Barrier(3, timeout=20)

    def work(number: int) -> None:
        at_work.append(number)
        most.append(len(at_work))
        if number < 3:
            barrier.wait()
        at_work.remove(number)

    async def all_of_them() -> None:
        await asyncio.gather(*(sights.work(partial(work, number)) for number in range(12)))

    asyncio.run(all_of_them())
    sights.close()
    assert max(most) == 3
    assert len(most) == 12


def test_a_slow_source_holds_up_other_sources_alone():
    sights, go_on = Sights(threads=1), threading.Event()

    class Slow:
        def prepare(self, side: str) -> None:
            assert go_on.wait(20)

    async def ask() -> int:
        slow = [asyncio.create_task(sights.prepare(Slow(), "before")) for _ in range(5)]
        told = await asyncio.wait_for(sights.work(lambda: 7), 15)
        assert not any(task.done() for task in slow)
        go_on.set()
        await asyncio.gather(*slow)
        return told

    assert asyncio.run(ask()) == 7
    sights.close()


class Pieces:
    """A volume of pieces that are read one by one."""

    size = 3

    def __init__(self, *pieces: bytes | Exception) -> None:
        self._pieces = pieces

    def pieces(self) -> Iterator[bytes]:
        for piece in self._pieces:
            if isinstance(piece, Exception):
                raise piece
            yield piece


def asked(**scope: object) -> Request:
    return Request({"type": "http", "method": "GET", "headers": [], **scope})


def test_so_many_volumes_are_under_way_and_no_more():
    sights = Sights(threads=1)

    async def volume(*pieces: bytes | Exception, **scope: object) -> Response:
        return await volume_answer(asked(**scope), sights, Pieces(*pieces), '"tag"', "a.nii")

    async def sent(answer: Response, fault: Exception | None = None) -> None:
        async def send(message: object) -> None:
            if fault is not None:
                raise fault

        await answer({"type": "http", "asgi": {"spec_version": "2.4"}}, asyncio.Event().wait, send)

    async def talk() -> None:
        for _ in range(9):  # none of these is one
            await volume(b"a", **{IS_HEAD: True})
            with pytest.raises(Problem):
                await volume(b"a", StoreError("x"))
        under_way = [await volume(b"a", b"b", b"c") for _ in range(8)]
        for _ in range(2):
            with pytest.raises(Problem) as raised:
                await volume(b"a")
            assert (raised.value.status, raised.value.headers) == (503, {"Retry-After": "2"})
        await sent(under_way.pop())
        under_way.append(await volume(b"a", b"b", b"c"))
        with pytest.raises(ClientDisconnect):
            await sent(under_way.pop(), OSError("its client is gone"))
        under_way.append(await volume(b"a", b"b", StoreError("x")))
        with pytest.raises(Problem):
            await sent(under_way.pop())
        under_way.append(await volume(b"a"))
        with pytest.raises(Problem):
            await volume(b"a")

    asyncio.run(talk())
    sights.close()


@pytest.mark.parametrize(
    ("error", "status"),
    [(CorruptStoreError("x"), 500), (StoreError("x"), 503), (OSError(5, "x"), 503)],
)
def test_faults_of_disks_are_no_mistakes_of_who_asks(error: Exception, status: int):
    sights = Sights()

    def fail() -> None:
        raise error

    with pytest.raises(Problem) as raised:
        asyncio.run(sights.work(fail))
    sights.close()
    assert raised.value.status == status


def test_a_source_is_read_once_and_forgotten_when_others_need_the_room(record: dict):
    sources, reads = Sources(most_bytes=12_000), []  # two of them have 2 × 7,854

    def read(name: str, *, started) -> object:
        reads.append(name)
        return read_source(record, Config(), started=started)

    for name in ("a", "a", "b", "b", "a"):
        assert sources.get(name, partial(read, name)).channels[0].shape == (11, 17, 14)
    assert reads == ["a", "b", "a"]


def test_two_who_ask_for_a_source_at_once_have_it_read_once(record: dict):
    sources, reads, both = Sources(), [], threading.Barrier(2, timeout=20)

    def read(*, started) -> object:
        reads.append(1)
        return read_source(record, Config(), started=started)

    def ask() -> None:
        both.wait()
        sources.get("a", read)

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert reads == [1]


def test_the_end_of_a_service_ends_a_reader_that_hangs(record: dict):
    sources, begun, errors = Sources(), threading.Event(), []

    def read(*, started) -> object:
        def hang(sandbox) -> None:
            sandbox.get_ready()
            os.kill(sandbox.pid, signal.SIGSTOP)  # as one whose file system does not answer
            started(sandbox)
            begun.set()

        return read_source(record, Config(), started=hang)

    def ask() -> None:
        try:
            sources.get("a", read)
        except ReaderCrash as error:
            errors.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    assert begun.wait(60)
    sources.close()
    wait_until(lambda: not thread.is_alive(), "the end of the reader")
    assert len(errors) == 1


def test_the_label_and_the_image_of_a_source_are_one_reading(record: dict, tmp_path: Path):
    sources, reads = Sources(), []

    def read(*, started) -> object:
        reads.append(1)
        return read_source(record, Config(), started=started)

    case = open_cohort(tmp_path / "out")["a"]
    sight = StoredSight(case, lambda: sources.get("a", read))
    for what in ({}, {"label": "segmentation"}, {"level": 0}):
        assert len(b"".join(sight.volume("before", **what).pieces())) > 352
    assert reads == [1]
