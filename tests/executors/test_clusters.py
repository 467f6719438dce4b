"""Clusters beyond this machine, each kind as far as one machine can show it."""

import shutil
import subprocess
from pathlib import Path

import pytest
from support.clusters import make_keys

from gpuprep.config.cluster import ClusterSpec, Slurm, Tls
from gpuprep.config.file import choose_scheduler, load_config
from gpuprep.executors.clusters.certificates import make_certificates
from gpuprep.values.errors import ConfigError, UsageError
from gpuprep.values.units import parse_bytes

CONFIGS = Path(__file__).parents[2] / "configs"


@pytest.fixture(scope="module")
def tls(tmp_path_factory) -> Tls:
    return make_keys(tmp_path_factory.mktemp("tls") / "keys")


@pytest.mark.parametrize(
    ("text", "size"),
    [("16GiB", 2**34), ("500MB", 5 * 10**8), ("1.5 TiB", 3 * 2**39), (1000, 1000), ("64k", 64000)],
)
def test_memory_is_read_as_written(text, size):
    assert parse_bytes(text) == size


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("kind: existing", "address belong together"),
        ("address: 'tls://h:1'", "address belong together"),
        ("kind: existing, address: 'tls://h:8786'", "needs the files"),
        ("kind: existing, address: 'tcp://10.0.0.1:8786'", "plain text beyond this host"),
        ("kind: existing, address: 'http://h:1'", "address must be"),
        ("kind: slurm", "block slurm: belong together"),
        ("slurm: {}", "block slurm: belong together"),
        ("kind: slurm, slurm: {walltime: '8h'}", "hours:minutes:seconds"),
        ("kind: slurm, slurm: {walltime: '00:00:00'}", "hours:minutes:seconds"),
        ('kind: slurm, slurm: {queue: "a\\nrm -rf"}', "line breaks"),
        ("kind: ssh, ssh: {hosts: []}", "at least 1"),
        ("memory: 0GiB", "above 0"),
        ("memory: lots", "above 0"),
        ("workes: 2", "did you mean 'workers'"),
    ],
)
def test_a_cluster_that_cannot_be_is_refused(tmp_path, text, reason):
    file = tmp_path / "c.yaml"
    file.write_text(f"cluster: {{{text}}}")
    with pytest.raises(ConfigError, match=reason):
        load_config(file)


def test_walltime_counts_days():
    assert Slurm(walltime="2-01:00:30").seconds == 49 * 3600 + 30


@pytest.mark.parametrize("kind", ["local", "existing", "ssh", "slurm", "kubernetes"])
def test_there_is_a_config_for_every_kind(kind):
    config = load_config(CONFIGS / f"cluster_{kind}.yaml")
    assert config.cluster.kind == kind
    assert config.digest == load_config(None).digest, "where cases are made decides nothing"


def test_the_scheduler_option_goes_before_the_config(tls):
    slurm = ClusterSpec(kind="slurm", slurm=Slurm(), tls=tls, memory="8GiB")
    chosen = choose_scheduler(slurm, "tls://boss:8786")
    assert (chosen.kind, chosen.address, chosen.bytes) == ("existing", "tls://boss:8786", 2**33)
    assert chosen.tls == tls
    assert choose_scheduler(slurm, None) is slurm
    assert choose_scheduler(slurm, "local").kind == "local"
    for wrong, reason in (("nonsense", "not known"), ("tcp://10.0.0.1:1", "plain text")):
        with pytest.raises(UsageError, match=reason):
            choose_scheduler(slurm, wrong)


def test_certificates_are_private_and_never_replaced(tmp_path):
    paths = make_certificates(tmp_path / "keys")
    assert [path.stat().st_mode & 0o777 for path in paths] == [0o600] * 3
    assert (tmp_path / "keys").stat().st_mode & 0o777 == 0o700
    with pytest.raises(UsageError, match="there already"):
        make_certificates(tmp_path / "keys")


def test_openssl_agrees_that_the_authority_signed_the_certificate(tmp_path):
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    ca, cert, _ = make_certificates(tmp_path / "keys")
    command = ["openssl", "verify", "-x509_strict", "-CAfile", str(ca), str(cert)]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
