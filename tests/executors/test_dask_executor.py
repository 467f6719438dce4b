"""The Dask executor: who may talk to it, and what becomes of a case whose worker is killed."""

import os
import socket
import time
from pathlib import Path

import pytest
from support.cohorts import write_pair

from gpuprep.config.file import parse_config
from gpuprep.config.model import Config
from gpuprep.executors.clusters.local import LocalProcesses
from gpuprep.executors.dask import DaskExecutor
from gpuprep.ledger.claim import claim
from gpuprep.preprocess.task import CaseTask
from gpuprep.values.case import Case, LabelSource, Source


@pytest.fixture
def executor():
    executor = DaskExecutor(LocalProcesses(300.0, 2))
    yield executor
    executor.close()


@pytest.fixture
def plans(tmp_path) -> list[CaseTask]:
    config: Config = parse_config({"image": {"resample": {"spacing": [0.4, 0.4, 0.5]}}})
    claim(tmp_path / "out", config, overwrite=False)
    made = []
    for number in range(6):
        write_pair(tmp_path, number)
        case = Case(
            f"case-{number}",
            (Source(str(tmp_path / f"volume-{number}.nii.gz")),),
            (LabelSource((Source(str(tmp_path / f"segmentation-{number}.nii.gz")),)),),
        )
        made.append(CaseTask(case, str(tmp_path / "out"), config.digest))
    return made


def workers(executor: DaskExecutor) -> list[int]:
    return list(executor._client.run(os.getpid).values())


def listening(pids: list[int]) -> set[str]:
    """Addresses on which any of the processes listens, from the kernel's tables."""
    inodes = set()
    for pid in pids:
        for link in Path(f"/proc/{pid}/fd").iterdir():
            try:
                target = str(link.readlink())
            except OSError:
                continue
            if target.startswith("socket:["):
                inodes.add(target[8:-1])
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in inodes:
                found.add(fields[1].partition(":")[0])
    return found


def drain(executor: DaskExecutor, seconds: float = 90) -> list:
    outcomes, deadline = [], time.monotonic() + seconds
    while executor.inflight and time.monotonic() < deadline:
        outcomes += executor.wait(0.2)
    return outcomes


def test_it_listens_on_loopback_only(executor):
    little_endian_loopback = socket.inet_aton("127.0.0.1")[::-1].hex().upper()
    assert listening([os.getpid(), *workers(executor)]) == {little_endian_loopback}


def test_a_client_without_the_certificate_is_turned_away(executor):
    from distributed import Client, Security

    address = executor._client.scheduler.address
    assert address.startswith("tls://127.0.0.1:")
    stranger = Security.temporary()
    with pytest.raises(OSError, match=r"(?i)timed out|certificate|ssl"):
        Client(address, security=stranger, timeout="2s", set_as_default=False)


def test_outcomes_come_back_once_each(executor, plans):
    for plan in plans:
        executor.submit(plan)
    outcomes = drain(executor)
    assert sorted(outcome.done.case_id for outcome in outcomes) == [f"case-{n}" for n in range(6)]
    assert executor.wait(0.05) == []


def test_a_batch_comes_back_case_by_case(executor, plans):
    executor.submit(*plans)
    assert executor.inflight == len(plans)
    outcomes = drain(executor)
    assert sorted(outcome.done.case_id for outcome in outcomes) == [f"case-{n}" for n in range(6)]
    assert all(outcome.seconds > 0 for outcome in outcomes)
    assert len({outcome.done.stages[0].process for outcome in outcomes}) == 1, "of one worker"


def test_of_a_batch_whose_worker_died_every_case_comes_back_once(plans, monkeypatch):
    monkeypatch.setenv("GPUPREP_FAILPOINTS", "before_read@case-3=kill")
    executor = DaskExecutor(LocalProcesses(300.0, 1))
    try:
        executor.submit(*plans)
        outcomes = drain(executor)
    finally:
        executor.close()
    assert sorted(outcome.task.case.id for outcome in outcomes) == [f"case-{n}" for n in range(6)]
    lost = [outcome for outcome in outcomes if outcome.failed]
    assert {"case-3", "case-4", "case-5"} <= {outcome.task.case.id for outcome in lost}
    assert {outcome.failed.code for outcome in lost} == {"WORKER_DIED"}
    assert {outcome.beside for outcome in lost} == {len(lost) - 1}
