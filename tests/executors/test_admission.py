"""Workers of an existing scheduler: who is admitted, who is refused and why, who comes and goes."""

import json
import socket
import ssl
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from distributed.core import Status
from support.clusters import loopback_cluster, make_keys
from support.runs import wait_until

import gpuprep
from gpuprep.config.cluster import ClusterSpec, Tls
from gpuprep.executors import admission, roster
from gpuprep.executors.admission import Terms
from gpuprep.executors.clusters.certificates import make_certificates
from gpuprep.executors.clusters.cluster import tls_security
from gpuprep.executors.clusters.daemons import serve_scheduler, serve_workers
from gpuprep.executors.clusters.existing import ExistingScheduler
from gpuprep.executors.roster import Roster
from gpuprep.values.errors import UsageError
from gpuprep.values.events import CaseStarted, Notice, RunStarted, Waiting


@pytest.fixture(scope="module")
def tls(tmp_path_factory) -> Tls:
    return make_keys(tmp_path_factory.mktemp("tls") / "keys")


@pytest.fixture(scope="module")
def scheduler(tls):
    """A Dask cluster that somebody else keeps, with two workers in this process."""
    with loopback_cluster(tls, workers=2) as cluster:
        yield cluster


@pytest.fixture
def spec(scheduler, tls) -> ClusterSpec:
    return ClusterSpec(kind="existing", address=scheduler.scheduler_address, tls=tls)


@pytest.fixture
def terms(tmp_path) -> Terms:
    scan = tmp_path / "scan.nii"
    scan.touch()
    output = tmp_path / "out"
    output.mkdir()
    return Terms(str(output), (str(scan),), "numpy", 2**28)


@contextmanager
def joined(spec: ClusterSpec):
    cluster = ExistingScheduler(spec, 300.0)
    client = cluster.open()
    try:
        yield client
    finally:
        cluster.close(kill=True)


def test_fit_workers_are_admitted_with_all_their_slots(spec, terms):
    with joined(spec) as client:
        found = Roster(client, terms, lambda event: None)
        tokens = list(Path(terms.output).iterdir())
        found.close()
    assert sum(found.admitted.values()) == 4
    assert len(tokens) == 1
    assert not list(Path(terms.output).iterdir())


@pytest.mark.parametrize("name", ["gpuprep", "Python", "numpy", "distributed"])
@pytest.mark.parametrize(("who", "asked"), [("the scheduler", 1), ("worker tls://127", 4)])
def test_another_version_is_named_with_its_host(spec, terms, monkeypatch, name, who, asked):
    versions = admission.versions()
    answers = iter(
        [versions] * asked
    )  # scheduler and workers live in this process, and answer first
    monkeypatch.setattr(admission, "versions", lambda: next(answers, {**versions, name: "0.0"}))
    with joined(spec) as client, pytest.raises(UsageError) as caught:
        Roster(client, terms, lambda event: None)
    assert str(caught.value).startswith(who)
    host = socket.gethostname()
    told = f"on host {host} has {name} {versions[name]}, this run on host {host} has 0.0"
    assert told in str(caught.value)


def test_a_host_without_gpuprep_is_refused():
    error = ModuleNotFoundError("No module named 'gpuprep'")
    assert admission.objections("the scheduler", error) == [f"the scheduler: {error}"]


def test_a_worker_without_the_input_is_refused(spec, terms):
    with joined(spec) as client, pytest.raises(UsageError, match="does not see input /nowhere"):
        Roster(client, replace(terms, inputs=("/nowhere",)), lambda event: None)


def test_a_worker_on_another_file_system_is_refused(spec, terms, monkeypatch):
    examine = roster.examine

    def elsewhere(asked):
        Path(asked["file"]).write_text("what another disk holds there")
        return examine(asked)

    monkeypatch.setattr(roster, "examine", elsewhere)
    with joined(spec) as client, pytest.raises(UsageError, match="sees another file"):
        Roster(client, terms, lambda event: None)


def test_settings_that_matter_are_told(spec, terms):
    told = []
    with joined(spec) as client:
        Roster(client, replace(terms, memory=2**30), told.append).close()
    messages = [event.message for event in told if isinstance(event, Notice)]
    assert len(messages) == 3
    assert "take down 4 workers before it says so" in messages[0]
    assert "0.5 GiB for each of its 2 slots" in messages[1]


def test_workers_that_come_and_go_are_counted(scheduler, spec, terms, monkeypatch):
    monkeypatch.setattr(roster, "_EVERY_SECONDS", 0.0)
    with joined(spec) as client:
        found = Roster(client, terms, lambda event: None)
        assert sum(found.admitted.values()) == 4
        try:
            for number in (3, 1, 2):
                scheduler.scale(number)
                deadline = time.monotonic() + 30
                while sum(found.admitted.values()) != 2 * number and time.monotonic() < deadline:
                    found.refresh()
                assert sum(found.admitted.values()) == 2 * number
        finally:
            scheduler.scale(2)
            scheduler.sync(scheduler._correct_state)
            found.close()


def test_a_run_on_an_existing_scheduler_by_its_file(spec, cohort_folder, tmp_path):
    file = tmp_path / "scheduler.json"
    file.write_text(json.dumps({"address": spec.address}))
    config = gpuprep.Config(cluster=spec.model_copy(update={"address": "tls://unused:1"}))
    report = gpuprep.run(cohort_folder, tmp_path / "out", config=config, scheduler=str(file))
    assert report.exit_code == 0
    assert report.finished.done == 4
    assert "cluster" not in json.loads((tmp_path / "out/gpuprep.json").read_text())["config"]


def test_a_run_goes_with_workers_that_leave_and_join(
    scheduler, spec, cohort_folder, tmp_path, monkeypatch
):
    """All leave before the first case and in the middle; others join once the run has seen that."""
    monkeypatch.setattr(roster, "_EVERY_SECONDS", 0.1)
    refresh, joining, started = Roster.refresh, [1, 2], set()

    def send_others(self) -> bool:
        looked = refresh(self)
        if looked and not self.admitted and len(joining) == (2 if len(started) < 3 else 1):
            scheduler.scale(joining.pop(0))
        return looked

    def take_away(event) -> None:
        if isinstance(event, CaseStarted) and event.case_id not in started:
            started.add(event.case_id)
        elif not isinstance(event, RunStarted):
            return
        if len(started) in (0, 3):
            scheduler.scale(0)
            wait_until(lambda: not scheduler.scheduler.workers, "all workers have left")

    monkeypatch.setattr(Roster, "refresh", send_others)
    config = gpuprep.Config(cluster=spec)
    report = gpuprep.run(cohort_folder, tmp_path / "out", config=config, listeners=[take_away])
    assert not joining
    assert report.finished.stopped == ""
    assert report.finished.done == 4


def test_a_run_without_any_worker_stops_and_says_so(
    scheduler, spec, cohort_folder, tmp_path, monkeypatch
):
    monkeypatch.setattr(roster, "_EVERY_SECONDS", 0.1)
    scheduler.scale(0)
    try:
        config = gpuprep.Config(cluster=spec.model_copy(update={"patience": 0.5}))
        report = gpuprep.run(cohort_folder, tmp_path / "out", config=config)
    finally:
        scheduler.scale(2)
    assert report.exit_code == 3
    assert "there has been no worker for" in report.finished.stopped
    assert report.finished.remaining == 4


def test_a_run_whose_workers_are_all_paused_says_so_and_stops(
    scheduler, spec, cohort_folder, tmp_path, monkeypatch
):
    """As Dask pauses a worker whose memory is nearly full."""
    monkeypatch.setattr(roster, "_EVERY_SECONDS", 0.1)
    known, told = scheduler.scheduler.workers, []
    wait_until(lambda: len(known) == 2, "both workers are back")
    workers = [worker for worker in scheduler.workers.values() if worker.address in known]
    for worker in workers:
        scheduler.sync(_set_status, worker, Status.paused)
    wait_until(lambda: {each.status for each in known.values()} == {Status.paused}, "it is known")
    try:
        config = gpuprep.Config(cluster=spec.model_copy(update={"patience": 0.5}))
        report = gpuprep.run(
            cohort_folder, tmp_path / "out", config=config, listeners=[told.append]
        )
    finally:
        for worker in workers:
            scheduler.sync(_set_status, worker, Status.running)
    waited = [event.what for event in told if isinstance(event, Waiting)]
    assert waited[0] == "workers: Dask has paused all of them, whose memory is nearly full"
    assert report.exit_code == 3
    assert "there has been no worker with memory to spare for" in report.finished.stopped
    assert report.finished.remaining == 4


async def _set_status(worker, status: Status) -> None:
    worker.status = status


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"address": "tcp://10.1.1.1:8786"}'])
def test_a_scheduler_file_that_is_none_is_refused(tmp_path, text):
    file = tmp_path / "scheduler.json"
    file.write_text(text)
    with pytest.raises(UsageError, match=r"no scheduler file|plain text"):
        ExistingScheduler(ClusterSpec(kind="existing", address=str(file)), 300.0).open()


def test_other_keys_are_turned_away(spec, tmp_path):
    ca, cert, key = make_certificates(tmp_path / "others")
    stranger = spec.model_copy(update={"tls": Tls(ca=str(ca), cert=str(cert), key=str(key))})
    with pytest.raises(UsageError, match=r"lets us in.*certificate"):
        ExistingScheduler(stranger, 300.0).open()


def test_a_client_without_a_certificate_is_turned_away(spec, tls):
    context = ssl.create_default_context(cafile=tls.ca)
    context.check_hostname = False
    place = spec.address.removeprefix("tls://").split(":")
    with (
        socket.create_connection((place[0], int(place[1])), timeout=10) as plain,
        context.wrap_socket(plain) as line,
        pytest.raises(ssl.SSLError, match="certificate required"),
    ):
        line.recv(1)


def test_something_else_that_listens_is_no_scheduler(monkeypatch):
    monkeypatch.setattr("gpuprep.executors.clusters.existing._ANSWER_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"tcp://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(UsageError, match=r"lets us in.*timed out"):
            ExistingScheduler(ClusterSpec(kind="existing", address=address), 300.0).open()


def test_a_missing_key_file_is_named(tls):
    with pytest.raises(UsageError, match=r"cluster.tls.key: there is no file /none"):
        tls_security(tls.model_copy(update={"key": "/none"}))


@pytest.mark.parametrize("serve", [serve_scheduler, serve_workers])
def test_daemons_refuse_what_is_open_to_all(serve, tmp_path):
    for spec in (ClusterSpec(), ClusterSpec(kind="existing", address=str(tmp_path / "s.json"))):
        with pytest.raises(UsageError, match=r"kind local|without keys"):
            serve(spec, 300.0)


def test_a_worker_that_finds_no_scheduler_gives_up(tls, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    keys = ", ".join(f"{name}: {path}" for name, path in tls)
    file = tmp_path / "c.yaml"
    file.write_text(
        f"cluster: {{kind: existing, address: 'tls://127.0.0.1:{port}', tls: {{{keys}}}, patience: 2}}"
    )
    command = [sys.executable, "-m", "gpuprep.cli.app", "worker", "-c", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 3, done.stderr
    assert "a worker gave up" in done.stderr
