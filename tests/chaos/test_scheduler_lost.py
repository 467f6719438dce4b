"""The scheduler of an existing cluster is killed in the middle of a run, and started again."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.cohorts import contents, write_pair

from gpuprep.config.file import load_config
from gpuprep.executors.clusters.certificates import make_certificates
from gpuprep.executors.clusters.cluster import tls_security
from gpuprep.executors.clusters.existing import knock

pytestmark = pytest.mark.slow

GPUPREP = (sys.executable, "-m", "gpuprep.cli.app")
CASES = 10


@pytest.fixture
def config(tmp_path) -> Path:
    make_certificates(tmp_path / "keys")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    tls = ", ".join(f"{name}: {tmp_path / 'keys' / name}.pem" for name in ("ca", "cert", "key"))
    file = tmp_path / "c.yaml"
    file.write_text(
        "image: {resample: {spacing: [0.5, 0.5, 0.6]}}\n"
        f"cluster: {{kind: existing, address: 'tls://127.0.0.1:{port}', tls: {{{tls}}}, workers: 2,"
        " patience: 90}\n"
        "run: {silence: 10}\n"
    )
    return file


def test_a_run_outlives_its_scheduler(config, tmp_path):
    source, output, plain = (tmp_path / name for name in ("in", "out", "plain"))
    source.mkdir()
    for number in range(CASES):
        write_pair(source, number)
    log = (tmp_path / "log").open("wb")

    def start(*words: str) -> subprocess.Popen[bytes]:
        command = [*GPUPREP, *words, "-c", str(config)]
        return subprocess.Popen(command, stdout=log, stderr=log)

    daemons = [start("scheduler"), start("worker")]
    try:
        wait_for_scheduler(config)
        run = start("run", str(source), str(output), "--no-progress")
        while len(list(output.glob("cases/*.zarr/record.json"))) < 2:
            assert run.poll() is None
            time.sleep(0.05)
        (scheduler,) = children(daemons[0].pid)
        os.kill(scheduler, signal.SIGKILL)
        assert daemons.pop(0).wait(30) != 0
        daemons.append(start("scheduler"))
        assert run.wait(200) == 0, (tmp_path / "log").read_text()
    finally:
        for daemon in daemons:
            daemon.terminate()
        for daemon in daemons:
            daemon.wait(60)
        log.close()
    serial = [*GPUPREP, "run", str(source), str(plain), "-c", str(config), "--scheduler", "serial"]
    assert subprocess.run(serial, capture_output=True, check=False).returncode == 0
    assert contents(output) == contents(plain)


def test_nothing_outlives_a_killed_scheduler_or_worker(config, tmp_path):
    with (tmp_path / "log").open("wb") as log:
        daemons = [
            subprocess.Popen([*GPUPREP, word, "-c", str(config)], stdout=log, stderr=log)
            for word in ("scheduler", "worker")
        ]
        deadline = time.monotonic() + 90
        while len(family := descendants(daemons[1].pid)) < 2:  # the nanny and its worker
            assert time.monotonic() < deadline, (tmp_path / "log").read_text()
            time.sleep(0.2)
        family += descendants(daemons[0].pid)
        for daemon in daemons:
            daemon.kill()
            daemon.wait()
    deadline = time.monotonic() + 60
    while left := [pid for pid in family if Path(f"/proc/{pid}/cmdline").exists()]:
        assert time.monotonic() < deadline, left
        time.sleep(0.2)


def wait_for_scheduler(config: Path) -> None:
    cluster = load_config(config).cluster
    deadline = time.monotonic() + 60
    while True:
        try:
            return knock(cluster.address, tls_security(cluster.tls))
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.2)


def children(pid: int) -> list[int]:
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in found]


def descendants(pid: int) -> list[int]:
    own = children(pid)
    return own + [each for child in own for each in descendants(child)]
