"""Workers and schedulers killed under a job: the service's job ends with the bytes of an undisturbed run."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from support.cohorts import CONFIG, contents
from support.runs import wait_until
from support.serving import serving, state_of

from gpuprep.config.file import parse_config
from gpuprep.executors.clusters.certificates import make_certificates
from gpuprep.executors.clusters.cluster import tls_security
from gpuprep.executors.clusters.existing import knock

pytestmark = pytest.mark.slow

BODY = {"root": "data", "config": CONFIG, "output": "made"}


def test_a_worker_is_killed_under_a_job(three, undisturbed, tmp_path) -> None:
    (tmp_path / "counts").mkdir()
    environment = {
        "GPUPREP_FAILPOINTS": "after_record=stop:1",
        "GPUPREP_FAILPOINTS_COUNTS": str(tmp_path / "counts"),
    }
    with serving(tmp_path / "folder", three, **environment) as served:
        job = served.submit(**BODY, executor="local", workers=2)
        leader: list[int] = []
        wait_until(lambda: stopped(served.folder, job["id"], leader), "a worker has stopped")
        os.kill(leader[0], signal.SIGKILL)
        ended = served.settled(job["id"])
        assert (ended["state"], ended["restarts"]) == ("succeeded", 0)
    assert contents(tmp_path / "folder/cohorts/made") == undisturbed


def stopped(folder: Path, job_id: str, found: list[int]) -> bool:
    """Whether a failpoint has stopped a worker of a job; it is put into ``found``."""
    for pid in (int(child.name) for child in Path("/proc").glob("[0-9]*")):
        with suppress(OSError):
            if state_of(pid) == "T" and os.getsid(pid) in leaders(folder, job_id):
                found.append(pid)
    return bool(found)


def leaders(folder: Path, job_id: str) -> set[int]:
    mine = str(folder / "jobs" / job_id).encode()
    found = set()
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if mine in (entry / "cmdline").read_bytes():
                found.add(int(entry.name))
    return found


@pytest.fixture
def cluster(tmp_path) -> dict[str, object]:
    """How a service is told of a cluster on a free port of this host."""
    make_certificates(tmp_path / "keys")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    tls = {name: str(tmp_path / "keys" / f"{name}.pem") for name in ("ca", "cert", "key")}
    address = f"tls://127.0.0.1:{port}"
    return {"kind": "existing", "address": address, "tls": tls, "workers": 2, "patience": 90}


@pytest.fixture
def daemons(cluster, tmp_path) -> Iterator[dict[str, subprocess.Popen[bytes]]]:
    """A scheduler and a worker at work, by their names."""
    import yaml

    (tmp_path / "c.yaml").write_text(yaml.safe_dump({"cluster": cluster}))
    found = {word: start(word, tmp_path) for word in ("scheduler", "worker")}
    wait_until(lambda: answers(cluster), "the scheduler answers")
    yield found
    for daemon in found.values():
        daemon.terminate()
    for daemon in found.values():
        daemon.wait(60)


def start(word: str, folder: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "gpuprep.cli.app", word, "-c", str(folder / "c.yaml")]
    with (folder / f"{word}.log").open("ab") as log:
        environment = {**os.environ, "GPUPREP_FAILPOINTS": "after_record=sleep-3"}
        return subprocess.Popen(command, stdout=log, stderr=log, env=environment)


def answers(cluster: dict[str, object]) -> bool:
    spec = parse_config({"cluster": cluster}, "the cluster").cluster
    with suppress(OSError):
        knock(spec.address, tls_security(spec.tls))
        return True
    return False


@pytest.mark.parametrize("service_too", [False, True])
def test_the_scheduler_is_killed_under_a_job(
    service_too, cluster, daemons, three, undisturbed, tmp_path
) -> None:
    profile = {"config": {**CONFIG, "run": {"silence": 10}}}
    settings = {"clusters": {"moon": cluster}, "profiles": {"brief": profile}}
    cases = tmp_path / "folder/cohorts/made/cases"
    with serving(tmp_path / "folder", three, settings) as served:
        job = served.submit(**{**BODY, "config": "brief"}, executor="moon")
        wait_until(lambda: list(cases.glob("*.zarr/record.json")), "a case is done")
        children = Path(
            f"/proc/{daemons['scheduler'].pid}/task/{daemons['scheduler'].pid}/children"
        )
        for child in children.read_text().split() or [str(daemons["scheduler"].pid)]:
            os.kill(int(child), signal.SIGKILL)
        daemons["scheduler"].wait(60)
        daemons["scheduler"] = start("scheduler", tmp_path)
        if service_too:
            served.kill()
        else:
            check(served.settled(job["id"]))
    if service_too:
        with serving(tmp_path / "folder", three, settings) as served:
            check(served.settled(job["id"]))
    assert contents(cases.parent) == undisturbed


def check(job: dict) -> None:
    assert (job["state"], job["restarts"]) == ("succeeded", 0), job
