"""A run over hosts of its own network: TLS, a worker that is cut off and comes back, strangers, listeners."""

import subprocess
import sys
from pathlib import Path

import pytest
from support.cohorts import contents, write_pair
from support.hosts import Hosts, hosts
from support.runs import wait_until

from gpuprep.executors.clusters.certificates import make_certificates

pytestmark = pytest.mark.slow

GPUPREP = (sys.executable, "-m", "gpuprep.cli.app")
CASES = 10
LIST_HOSTS = """
import sys
from distributed import Client
from gpuprep.config.file import load_config
from gpuprep.executors.clusters.cluster import tls_security
cluster = load_config(sys.argv[1]).cluster
client = Client(cluster.address, security=tls_security(cluster.tls), timeout=10)
print(*sorted(w["host"] for w in client.scheduler_info(n_workers=-1)["workers"].values()))
"""


def write_config(folder: Path, keys: Path, *, address: str) -> Path:
    tls = ", ".join(f"{name}: {keys / f'{name}.pem'}" for name in ("ca", "cert", "key"))
    file = folder / f"{keys.name}.yaml"
    file.write_text(
        "image: {resample: {spacing: [0.5, 0.5, 0.6]}}\n"
        f"cluster: {{kind: existing, address: '{address}', tls: {{{tls}}}, patience: 60}}\n"
        "run: {silence: 5}\n"
    )
    return file


class Site:
    """A scheduler and two workers, each on a host of its own, and a host to run from."""

    def __init__(self, network: Hosts, folder: Path) -> None:
        self.network = network
        self.source = folder / "in"
        self.source.mkdir()
        for number in range(CASES):
            write_pair(self.source, number)
        make_certificates(folder / "keys")
        self.address = f"tls://{network.addresses['boss']}:8786"
        self.config = write_config(folder, folder / "keys", address=self.address)
        self.log = (folder / "log").open("wb")
        self.daemons = {
            name: network.start(
                name,
                *(*GPUPREP, "scheduler" if name == "boss" else "worker", "-c", str(self.config)),
                log=self.log,
            )
            for name in ("boss", "one", "two")
        }

    def workers(self) -> set[str]:
        """Hosts of the workers that the scheduler knows."""
        script = (sys.executable, "-c", LIST_HOSTS, str(self.config))
        known = self.network.run("user", *script).stdout.split()
        names = {address: name for name, address in self.network.addresses.items()}
        return {names[address] for address in known}

    def command(self, output: Path) -> list[str]:
        return [
            *GPUPREP,
            "run",
            str(self.source),
            str(output),
            "-c",
            str(self.config),
            "--no-progress",
        ]

    def stop(self, name: str) -> None:
        daemon = self.daemons.pop(name)
        daemon.terminate()
        assert daemon.wait(60) == 0


@pytest.fixture
def site(tmp_path):
    with hosts("boss", "one", "two", "user") as network:
        site = Site(network, tmp_path)
        try:
            wait_until(lambda: site.workers() == {"one", "two"}, "both workers joined")
            yield site
        finally:
            for name in list(site.daemons):
                site.daemons[name].terminate()
            for daemon in site.daemons.values():
                daemon.wait(60)
            site.log.close()


def finished(output: Path) -> int:
    return len(list(output.glob("cases/*.zarr/record.json")))


def test_a_worker_that_is_cut_off_costs_nothing_and_comes_back(site, tmp_path):
    plain = tmp_path / "plain"
    options = ("--scheduler", "serial", "--set", "image.resample.spacing=[0.5,0.5,0.6]")
    clean = subprocess.run(
        [*GPUPREP, "run", str(site.source), str(plain), *options], capture_output=True, text=True
    )
    assert clean.returncode == 0, clean.stderr

    output = tmp_path / "out"
    with (tmp_path / "run.log").open("wb") as log:
        run = site.network.start("user", *site.command(output), log=log)
        wait_until(lambda: finished(output) >= 2, "two cases were done")
        site.network.cut("one")
        assert run.wait(180) == 0, (tmp_path / "run.log").read_text()
    assert contents(output) == contents(plain)
    wait_until(lambda: site.workers() == {"two"}, "the scheduler gave up the lost worker")

    site.network.join("one")
    wait_until(lambda: site.workers() == {"one", "two"}, "the lost worker joined again")
    site.stop("two")
    again = tmp_path / "again"
    done = site.network.run("user", *site.command(again), timeout=180)
    assert done.returncode == 0, done.stdout + done.stderr
    assert contents(again) == contents(plain)


def test_strangers_are_turned_away(site, tmp_path):
    keys = tmp_path / "others"
    make_certificates(keys)
    command = site.command(tmp_path / "out")
    command[command.index("-c") + 1] = str(write_config(tmp_path, keys, address=site.address))
    refused = site.network.run("user", *command)
    assert refused.returncode == 2, refused.stdout
    assert "no Dask scheduler lets us in" in refused.stderr

    plain = site.address.replace("tls", "tcp")
    open_text = [*site.command(tmp_path / "out"), "--scheduler", plain]
    refused = site.network.run("user", *open_text)
    assert refused.returncode == 2
    assert "plain text beyond this host" in refused.stderr
    refused = site.network.run("user", *open_text, "--set", "cluster.insecure=true")
    assert refused.returncode == 2
    assert "no Dask scheduler lets us in" in refused.stderr
    assert finished(tmp_path / "out") == 0


def test_local_mode_listens_on_loopback_only(tmp_path):
    source = tmp_path / "in"
    source.mkdir()
    for number in range(CASES):
        write_pair(source, number)
    options = ("--scheduler", "local", "--workers", "2", "--no-progress")
    with hosts("alone") as network, (tmp_path / "log").open("wb") as log:
        run = network.start(
            "alone", *GPUPREP, "run", str(source), str(tmp_path / "out"), *options, log=log
        )
        listeners: set[str] = set()

        def look() -> bool:
            """Nobody else is on this host."""
            lines = network.run("alone", "ss", "-ltnpH").stdout.splitlines()
            listeners.update(line.split()[3].rpartition(":")[0] for line in lines)
            return run.poll() is not None

        wait_until(look, "the run is over")
        assert run.returncode == 0, (tmp_path / "log").read_text()
    assert listeners == {"127.0.0.1"}
