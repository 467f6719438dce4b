"""The scheduler of an existing cluster is killed in the middle of a run, and started again."""

import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from support.cohorts import contents, write_pair
from support.runs import wait_until

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
        wait_until(
            lambda: (
                len(list(output.glob("cases/*.zarr/record.json"))) >= 2 or run.poll() is not None
            ),
            "two cases were done",
        )
        assert run.poll() is None
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
        wait_until(lambda: len(descendants(daemons[1].pid)) >= 2, "a nanny has its worker")
        family = [pid for daemon in daemons for pid in descendants(daemon.pid)]
        for daemon in daemons:
            daemon.kill()
            daemon.wait()
    folders = [Path(f"/proc/{pid}") for pid in family]
    wait_until(lambda: not any(map(Path.exists, folders)), f"{family} are gone")


def wait_for_scheduler(config: Path) -> None:
    cluster = load_config(config).cluster

    def answers() -> bool:
        with suppress(OSError):
            knock(cluster.address, tls_security(cluster.tls))
            return True
        return False

    wait_until(answers, "the scheduler answers")


def children(pid: int) -> list[int]:
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in found]


def descendants(pid: int) -> list[int]:
    own = children(pid)
    return own + [each for child in own for each in descendants(child)]
