"""Slots under volumes that kill, hang and crowd them: each costs itself only, and leaves nothing."""

import asyncio
import os
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support.cohorts import CONFIG, write_pair
from support.runs import wait_until
from support.warm_slots import Serving, serving

from gpuprep.config.file import parse_config
from gpuprep.service.problems import Problem
from gpuprep.service.volumes.answers import Wanted
from gpuprep.service.volumes.orders import Order
from gpuprep.service.volumes.slots import Slots, WarmProfile
from gpuprep.values.errors import BackendError

HARM = (
    "in_reader@crash=kill,before_read@die=kill,before_read@hang=stop,before_read@full=raise-ENOSPC"
)
"""What volumes of these names do."""
SECONDS = 3.0


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_pair(folder, 1)
    good = folder / "volume-1.nii.gz"
    for name in ("crash", "die", "hang", "full"):
        (folder / f"{name}.nii.gz").hardlink_to(good)
    return folder


@pytest.fixture(scope="module")
def service(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    scratch = tmp_path_factory.mktemp("service") / "scratch"
    (scratch / "visit-left-by-a-crash").mkdir(parents=True)
    profile = WarmProfile(parse_config(CONFIG), slots=1, queue=1, seconds=SECONDS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GPUPREP_FAILPOINTS", HARM)
        with serving({"ct": profile}, scratch, data) as running:
            yield running


@pytest.fixture(autouse=True)
def _leaves_nothing_and_goes_on(service: Serving) -> Iterator[None]:
    service.settle()
    yield
    service.settle()
    assert service.name("volume-1.nii.gz").status_code == 200


def children(pid: int) -> set[int]:
    """Processes whose parent is ``pid``."""
    return set(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))


def test_scratch_is_private_and_empty_from_the_start(service) -> None:
    assert service.scratch.stat().st_mode & 0o777 == 0o700
    assert not list(service.scratch.glob("visit-*"))
    for path in service.scratch.iterdir():
        assert path.stat().st_mode & 0o777 == 0o700


def test_a_volume_that_kills_the_reader_costs_itself(service) -> None:
    before = service.pids()
    answer = service.name("crash.nii.gz")
    assert (answer.status_code, answer.json()["code"]) == (422, "CRASH"), answer.text
    assert "died of SIGKILL" in answer.json()["detail"]
    assert service.pids() == before
    wait_until(lambda: children(before[0]), "there is another reader before anyone needs it")


def test_a_volume_that_kills_the_slot_costs_itself(service) -> None:
    before = service.pids()
    answer = service.name("die.nii.gz")
    assert (answer.status_code, answer.json()["code"]) == (500, "WORKER_DIED"), answer.text
    assert "die.nii.gz died of SIGKILL" in answer.json()["detail"]
    service.settle()
    assert service.pids() != before


def test_a_volume_that_hangs_is_ended_with_its_reader(service) -> None:
    (before,) = service.pids()
    readers = children(before)
    start = time.monotonic()
    answer = service.name("hang.nii.gz")
    assert (answer.status_code, answer.json()["code"]) == (422, "DEADLINE"), answer.text
    assert f"{SECONDS:g} s" in answer.json()["detail"]
    assert time.monotonic() - start >= SECONDS
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in readers), "readers leave")


def test_a_full_scratch_disk_is_the_services_trouble(service) -> None:
    answer = service.name("full.nii.gz")
    assert (answer.status_code, answer.json()["code"]) == (503, "STOPPED"), answer.text
    assert answer.headers["Retry-After"]


def test_the_line_is_bounded_and_who_finds_it_full_is_told_at_once(service) -> None:
    line = service.slots.lines["ct"]
    with ThreadPoolExecutor(2) as threads:
        working = threads.submit(service.name, "hang.nii.gz")
        wait_until(lambda: line.visits == 1 and line.idle.empty(), "the slot is taken")
        waiting = threads.submit(service.name, "volume-1.nii.gz")
        wait_until(lambda: line.visits == 2, "the line is full")
        answer = service.client.post("/v1/process?name=a.nii", content=bytes(1 << 22))
        assert (answer.status_code, answer.json()["code"]) == (503, "E_QUEUE_FULL"), answer.text
        assert int(answer.headers["Retry-After"]) >= 1
        assert not working.done()
        assert not waiting.done()
        assert working.result().json()["code"] == "DEADLINE"
        assert waiting.result().status_code == 200


def gone_client(service: Serving, path: str) -> socket.socket:
    """A client that asked, and may be closed."""
    line = socket.create_connection(("127.0.0.1", service.port))
    body = f'{{"root": "data", "path": "{path}"}}'
    head = "POST /v1/process HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    line.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
    return line


def test_a_client_that_leaves_the_line_gives_its_place_back(service) -> None:
    line = service.slots.lines["ct"]
    with gone_client(service, "hang.nii.gz"):
        wait_until(lambda: line.visits == 1 and line.idle.empty(), "the slot is taken")
        waiting = gone_client(service, "volume-1.nii.gz")
        wait_until(lambda: line.visits == 2, "another one waits")
        began = time.monotonic()
        waiting.close()
        wait_until(lambda: line.visits == 1, "its place is free")
        assert time.monotonic() - began < SECONDS


def test_a_client_that_leaves_its_volume_leaves_nothing(service) -> None:
    line = service.slots.lines["ct"]
    with gone_client(service, "hang.nii.gz"):
        wait_until(lambda: line.visits == 1 and line.idle.empty(), "the slot is taken")
    with socket.create_connection(("127.0.0.1", service.port)) as half:
        head = "POST /v1/process?name=a.nii HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\nhalf"
        half.sendall(head.encode())
        wait_until(lambda: list(service.scratch.glob("visit-*/in/a.nii")), "half of it is here")


def test_many_at_once_are_all_answered(service, data) -> None:
    def one(number: int) -> int:
        return service.name("volume-1.nii.gz").status_code

    with ThreadPoolExecutor(8) as threads:
        codes = list(threads.map(one, range(16)))
    assert set(codes) <= {200, 503}
    assert codes.count(200) >= 2


def test_slots_end_with_the_service_and_leave_nothing(data, tmp_path) -> None:
    profile = WarmProfile(parse_config(CONFIG), seconds=60)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GPUPREP_FAILPOINTS", HARM)
        with serving({"ct": profile}, tmp_path / "scratch", data) as running:
            (pid,) = running.pids()
            processes = {pid, *children(pid)}
            with gone_client(running, "hang.nii.gz"):
                wait_until(lambda: running.slots.state()["ct"]["busy"], "the slot is taken")
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in processes), "all are gone")
    assert not (tmp_path / "scratch").exists()


def test_a_service_that_ends_tells_who_waits(data, tmp_path) -> None:
    profile = WarmProfile(parse_config(CONFIG), seconds=600)

    async def end(slots: Slots) -> None:
        await slots.start()
        visits = [slots.visit("ct") for _ in range(2)]
        file = data / "hang.nii.gz"
        orders = [
            Order(str(file), file.name, str(visit.folder), Wanted(), str(data)) for visit in visits
        ]
        asking = [
            asyncio.ensure_future(slots.prepare(visit, order))
            for visit, order in zip(visits, orders, strict=True)
        ]
        while not slots.state()["ct"]["busy"]:
            await asyncio.wait(asking, timeout=0.05)
        await slots.close()
        replies = await asyncio.gather(*asking)
        assert [reply.refused.status for reply in replies] == [503, 503]
        with pytest.raises(Problem, match="ends"):
            slots.visit("ct")

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GPUPREP_FAILPOINTS", HARM)
        asyncio.run(end(Slots({"ct": profile}, tmp_path / "scratch", backend="numpy")))
    assert not (tmp_path / "scratch").exists()


def test_a_slot_that_cannot_start_says_so(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("GPUPREP_FAILPOINTS", "before_read@volume=kill")
    slots = Slots({"ct": WarmProfile(parse_config(CONFIG))}, tmp_path / "s", backend="numpy")
    with pytest.raises(BackendError, match="died of SIGKILL before it was ready"):
        asyncio.run(slots.start())
    assert not os.path.lexists(tmp_path / "s")
