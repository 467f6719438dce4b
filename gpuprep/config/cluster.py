"""The ``cluster`` block of a config: where cases are worked on. It decides nothing about the results."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from gpuprep.config.strict import Count, Positive, Strict
from gpuprep.values.units import parse_bytes


class Tls(Strict):
    """PEM files that all hosts of a cluster have; ``gpuprep certificates`` makes them."""

    ca: str
    cert: str
    key: str


class Ssh(Strict):
    """Hosts reached by SSH keys; the first runs the scheduler too. Python has the same path on all."""

    hosts: Annotated[tuple[str, ...], Field(min_length=1)]
    """One worker each; a host is named once for each of its CUDA devices, or as often as is wanted."""
    user: str = ""
    port: Annotated[int, Field(gt=0, lt=65536)] = 22
    key: str = ""
    """Private key file; by default those of the user's agent and ``~/.ssh``."""
    known_hosts: str = ""
    """File of host keys; by default ``~/.ssh/known_hosts``. An unknown host is refused."""
    python: str = ""
    """Interpreter on the hosts; by default the path of this one."""


class Slurm(Strict):
    """One worker per job."""

    walltime: str = "08:00:00"
    """``[days-]hours:minutes:seconds`` of a job; its worker leaves in time and another job takes over."""
    queue: str = ""
    account: str = ""
    interface: str = ""
    """Network interface over which jobs reach the scheduler on this host, such as ``ib0``."""
    directives: tuple[str, ...] = ()
    """More ``#SBATCH`` lines, such as ``--gres=gpu:1``."""
    prologue: tuple[str, ...] = ()
    """Shell lines before the worker starts, such as ``module load cuda``."""
    pending: Positive = 7 * 86400.0
    """Seconds for which all jobs may wait in the queue, with no worker up, before the run stops."""

    @field_validator("walltime")
    @classmethod
    def _known_form(cls, text: str) -> str:
        if not re.fullmatch(r"(\d+-)?\d{1,3}:\d\d:\d\d", text) or not _seconds(text):
            raise ValueError("must be hours:minutes:seconds or days-hours:minutes:seconds")
        return text

    @field_validator("queue", "account", "interface", "directives")
    @classmethod
    def _one_line(cls, given: str | tuple[str, ...]) -> str | tuple[str, ...]:
        """These are written into a job script, where a second line would be a command of its own."""
        if any(not text.isprintable() for text in ((given,) if isinstance(given, str) else given)):
            raise ValueError("must not hold line breaks or control characters")
        return given

    @property
    def seconds(self) -> int:
        """The walltime in seconds."""
        return _seconds(self.walltime)


class Kubernetes(Strict):
    """One worker per pod, through the operator of dask-kubernetes."""

    image: str
    """Holds gpuprep and the same versions as here."""
    namespace: str = "default"
    claim: str = ""
    """PersistentVolumeClaim that holds input and output, mounted at ``mount``."""
    mount: str = "/cohort"
    gpus: Annotated[int, Field(ge=0, le=1)] = 0
    """NVIDIA devices per pod: a process works on one."""


class ClusterSpec(Strict):
    """Where cases are worked on."""

    kind: Literal["local", "existing", "ssh", "slurm", "kubernetes"] = "local"
    address: str = ""
    """Of an existing scheduler: ``tls://host:port``, ``tcp://host:port`` or its scheduler file (.json)."""
    workers: Count | None = None
    """Worker processes to keep up; by default one per core (local) or host (ssh), or one."""
    slots: Count = 1
    """Cases a worker has in hand at one time."""
    threads: Count = 1
    """Cores of a worker, shared by its slots."""
    memory: Annotated[int, Field(gt=0)] | str = 4 * 2**30
    """Of a worker, shared by its slots; a number of bytes or such as ``16GiB``."""
    tls: Tls | None = None
    insecure: bool = False
    """Allow plain ``tcp://`` beyond this host; whoever reaches the scheduler can run code on its workers."""
    patience: Positive = 600.0
    """Seconds without any worker after which a run stops, and without scheduler after which a worker does."""
    ssh: Ssh | None = None
    slurm: Slurm | None = None
    kubernetes: Kubernetes | None = None

    @field_validator("memory")
    @classmethod
    def _as_bytes(cls, given: int | str) -> int:
        return parse_bytes(given)

    @model_validator(mode="after")
    def _consistent(self) -> ClusterSpec:
        for kind in ("ssh", "slurm", "kubernetes"):
            if (getattr(self, kind) is not None) != (self.kind == kind):
                raise ValueError(f"kind: {kind} and a block {kind}: belong together")
        if bool(self.address) != (self.kind == "existing"):
            raise ValueError("kind: existing and an address belong together")
        if self.address:
            check_address(self)
        return self

    @property
    def bytes(self) -> int:
        """Memory of a worker in bytes."""
        return int(self.memory)


def check_address(cluster: ClusterSpec) -> None:
    """Refuse an address that is none, that lacks its keys, or that is open to the network.

    Raises:
        ValueError: says which, and what to do.
    """
    if cluster.address.endswith(".json"):
        return
    parts = urlsplit(cluster.address)
    if parts.scheme not in ("tls", "tcp") or not parts.hostname or not parts.port:
        raise ValueError("address must be tls://host:port, tcp://host:port or a .json file")
    if parts.scheme == "tls" and cluster.tls is None:
        raise ValueError("tls:// needs the files cluster.tls.ca, cert and key")
    if parts.scheme == "tcp" and not (cluster.insecure or is_loopback(parts.hostname)):
        raise ValueError(
            f"{cluster.address} is plain text beyond this host: whoever reaches it runs code on every"
            " worker; use tls://, or cluster.insecure: true in a closed network"
        )


def is_loopback(host: str) -> bool:
    """Whether a host name means this host alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _seconds(walltime: str) -> int:
    days, _, rest = walltime.rpartition("-")
    hours, minutes, seconds = (int(part) for part in rest.split(":"))
    return ((int(days or 0) * 24 + hours) * 60 + minutes) * 60 + seconds
