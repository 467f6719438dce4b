"""Tasks go to any worker; one that was not examined gives them back, so that no task names thousands."""

import time
from pathlib import Path

import pytest
from support.clusters import loopback_cluster, make_keys
from support.cohorts import write_pair

from gpuprep.config.cluster import ClusterSpec
from gpuprep.config.model import Config
from gpuprep.executors import admission, roster
from gpuprep.executors.admission import Terms
from gpuprep.executors.clusters.existing import ExistingScheduler
from gpuprep.executors.dask import DaskExecutor
from gpuprep.ledger.claim import claim
from gpuprep.preprocess.task import CaseTask
from gpuprep.values.case import Case, Source


@pytest.fixture
def executor(tmp_path, monkeypatch):
    monkeypatch.setattr(roster, "_EVERY_SECONDS", 0.1)
    tls = make_keys(tmp_path / "keys")
    with loopback_cluster(tls, workers=2) as cluster:
        spec = ClusterSpec(kind="existing", address=cluster.scheduler_address, tls=tls)
        (tmp_path / "out").mkdir()
        terms = Terms(str(tmp_path / "out"), (), "numpy", 2**20)
        executor = DaskExecutor(ExistingScheduler(spec, 300.0), terms=terms)
        yield executor
        executor.close()


@pytest.fixture
def task(tmp_path) -> CaseTask:
    config = Config()
    claim(tmp_path / "out", config, overwrite=False)
    write_pair(tmp_path, 0)
    case = Case("a", (Source(str(tmp_path / "volume-0.nii.gz")),))
    return CaseTask(case, str(tmp_path / "out"), config.digest)


def drain(executor: DaskExecutor) -> list[object]:
    outcomes: list[object] = []
    deadline = time.monotonic() + 60
    while executor.inflight and time.monotonic() < deadline:
        outcomes += executor.wait(0.2)
    return outcomes


def test_a_worker_that_was_not_examined_gives_its_task_back(executor, task):
    admission._admitted_to.clear()  # as if its process were another one under the same address
    executor.submit(task)
    (outcome,) = drain(executor)
    assert outcome.done
    assert executor._roster.run in admission._admitted_to, "it was examined after that"
    assert (Path(task.output) / "cases/a.zarr/record.json").exists()


def test_tasks_name_workers_only_where_some_are_refused(executor):
    assert executor._roster.restriction is None
    executor._roster._refused["tls://elsewhere:1"] = "has another version"
    assert sorted(executor._roster.restriction) == sorted(executor._roster.admitted)
