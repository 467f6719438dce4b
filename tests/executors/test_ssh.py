"""SSH clusters, over an SSH server on loopback that executes on this machine."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from support.runs import wait_until

import gpuprep
from gpuprep.config.cluster import ClusterSpec, Ssh
from gpuprep.config.model import Run
from gpuprep.executors.clusters.ssh import SshHosts, connect_options
from gpuprep.values.errors import UsageError
from gpuprep.values.events import CaseTaken

pytest.importorskip("asyncssh", reason="pip install 'gpuprep[ssh]'")


@pytest.fixture
def server(tmp_path):
    """The folder of a server that lets in the key ``user``."""
    folder = tmp_path / "ssh"
    folder.mkdir()
    script = Path(__file__).parents[1] / "support" / "ssh_server.py"
    process = subprocess.Popen([sys.executable, str(script), str(folder)])
    wait_until(
        lambda: (folder / "port").exists() or process.poll() is not None, "the server listens"
    )
    assert process.poll() is None
    (folder / "pid").write_text(str(process.pid))
    yield folder
    process.terminate()
    process.wait(30)


@pytest.fixture
def spec(server) -> ClusterSpec:
    ssh = Ssh(
        hosts=("127.0.0.1", "127.0.0.1"),
        port=int((server / "port").read_text()),
        key=str(server / "user"),
        known_hosts=str(server / "known_hosts"),
    )
    return ClusterSpec(kind="ssh", memory="1GiB", ssh=ssh)


def test_a_run_on_hosts(server, spec, cohort_folder, tmp_path):
    report = gpuprep.run(cohort_folder, tmp_path / "out", config=gpuprep.Config(cluster=spec))
    assert report.exit_code == 0
    assert report.finished.done == 4
    commands = (server / "commands").read_text().splitlines()
    started = [command for command in commands if "dask_spec" in command]
    assert len(started) == 3, "a scheduler and two workers"
    assert not (tmp_path / "out/.cluster").exists(), "keys outlive the run"


@pytest.fixture
def held(tmp_path, monkeypatch) -> Path:
    """Whoever first has the case volume-2 sleeps in the middle of it, and this file is there then."""
    monkeypatch.setenv("GPUPREP_FAILPOINTS", "after_shards@volume-2=sleep-600:1")
    monkeypatch.setenv("GPUPREP_FAILPOINTS_COUNTS", str(tmp_path))
    return tmp_path / "after_shards@volume-2"


@pytest.mark.slow
def test_a_link_that_breaks_is_counted_against_no_case(
    held, server, spec, cohort_folder, tmp_path, monkeypatch
):
    monkeypatch.setattr(SshHosts, "patience", 20.0)  # a busy machine is slow to tell
    one = spec.ssh.model_copy(update={"hosts": ("127.0.0.1",)})
    config = gpuprep.Config(
        cluster=spec.model_copy(update={"ssh": one}), run=Run(crashes=1, tries=1)
    )
    events: list[object] = []

    def cut():
        wait_until(held.exists, "a worker has the case")
        os.kill(int((server / "pid").read_text()), signal.SIGUSR1)

    cutter = threading.Thread(target=cut)
    cutter.start()
    report = gpuprep.run(cohort_folder, tmp_path / "out", config=config, listeners=[events.append])
    cutter.join()
    assert report.exit_code == 0
    assert report.finished.done == 4
    taken = [event for event in events if isinstance(event, CaseTaken)]
    assert all("SSH link" in event.reason for event in taken)
    assert "volume-2" in {event.case_id for event in taken}


def test_a_host_that_is_not_known_is_refused(server, spec, tmp_path):
    (server / "known_hosts").write_text("")
    with pytest.raises(UsageError, match="did not start"):
        SshHosts(spec, 300.0, scratch=tmp_path / "scratch").open()
    assert not (tmp_path / "scratch").exists()


def test_what_is_not_given_is_left_to_ssh():
    given = connect_options(Ssh(hosts=("a",)))
    assert given.keys() == {"port", "keepalive_interval", "keepalive_count_max"}
    assert given["port"] == 22


def test_workers_of_one_host_take_turns_over_its_devices(spec, tmp_path):
    cluster = SshHosts(spec, 300.0, scratch=tmp_path / "scratch")
    client = cluster.open()
    try:
        client.wait_for_workers(2, timeout=60)
        seen = client.run(os.getenv, "CUDA_VISIBLE_DEVICES")
    finally:
        cluster.close(kill=True)
    assert sorted(seen.values()) == ["0", "1"]
