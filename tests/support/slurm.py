"""A SLURM of one's own on loopback, as Debian packs it: munged, slurmctld and slurmd in one folder.

Nothing of it lies outside the folder, and its ports are free ones, so that it disturbs no other SLURM. It
runs as the user of the test. Its node claims CPUs that this machine may not have.
"""

import getpass
import os
import platform
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.runs import wait_until

_PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel", "scontrol")
_PATH = f"{os.environ['PATH']}:/usr/sbin:/sbin"
CPUS = 2

_CONF = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmdPort={daemon}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=bf_interval=1,sched_interval=2,sched_min_interval=0,batch_sched_delay=0
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
Epilog={folder}/epilog
KillWait=2
CompleteWait=0
MessageTimeout=5
ReturnToService=2
SlurmdParameters=config_overrides
NodeName=node NodeAddr=127.0.0.1 NodeHostname={host} CPUs={cpus} RealMemory=65536 State=UNKNOWN
PartitionName=work Nodes=node Default=YES State=UP PriorityTier=1 PreemptMode=REQUEUE
PartitionName=cheap Nodes=node State=UP PriorityTier=1 PreemptMode=CANCEL
PartitionName=urgent Nodes=node State=UP PriorityTier=9 PreemptMode=OFF
PartitionName=closed Nodes=node State=DOWN PriorityTier=1
"""


def missing() -> list[str]:
    """Programs of SLURM and MUNGE that this machine lacks."""
    return [name for name in _PROGRAMS if shutil.which(name, path=_PATH) is None]


class RealSlurm:
    """Its daemons, and what a test asks and tells them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        for name in ("state", "spool"):
            (folder / name).mkdir()
        (folder / "munge.key").write_bytes(os.urandom(128))
        (folder / "munge.key").chmod(0o600)
        controller, daemon = _free_ports(2)
        conf = _CONF.format(
            host=platform.node().split(".")[0],
            user=getpass.getuser(),
            folder=folder,
            controller=controller,
            daemon=daemon,
            cpus=CPUS,
        )
        (folder / "slurm.conf").write_text(conf)
        self.epilog("exit 0")
        self.environment = {"SLURM_CONF": str(folder / "slurm.conf"), "PATH": _PATH}

    def epilog(self, script: str) -> None:
        """What the node does after each job, before that is no longer completing."""
        partial = self.folder / "epilog.partial"
        partial.write_text(f"#!/bin/sh\n{script}\n")
        partial.chmod(0o755)
        partial.rename(self.folder / "epilog")

    def start(self, name: str, *options: str) -> None:
        program = shutil.which(name, path=_PATH)
        with (self.folder / f"{name}.out").open("ab") as out:
            self._running[name] = subprocess.Popen(
                [program, *options],
                env={**os.environ, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )

    def start_all(self) -> None:
        folder = self.folder
        files = (f"--{kind}-file={folder}/munge.{kind}" for kind in ("key", "pid", "log", "seed"))
        self.start("munged", "--foreground", "--force", f"--socket={folder}/munge.socket", *files)
        wait_until((folder / "munge.socket").exists, "munged listens", 20)
        self.start("slurmd", "-D", "-N", "node")
        self.start_controller()

    def start_controller(self) -> None:
        self.start("slurmctld", "-D")
        wait_until(lambda: self._nodes() & {"idle", "mixed", "allocated"}, "a node is up", 60)

    def _nodes(self) -> set[str]:
        return set(self.ask("sinfo", "-h", "-o", "%T", check=False).split())

    def stop(self, name: str) -> None:
        """End a daemon of ours."""
        process = self._running.pop(name)
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def ask(self, *command: str, check: bool = True) -> str:
        """What a command of SLURM prints."""
        done = subprocess.run(
            command,
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert not check or done.returncode == 0, done.stderr
        return done.stdout

    def jobs(self, *states: str) -> dict[str, str]:
        """The jobs in squeue and their states: those that wait, run or complete, or those in ``states``."""
        chosen = [f"--states={','.join(states)}"] if states else []
        lines = self.ask("squeue", "-h", "-o", "%A %T", *chosen, check=False).splitlines()
        return dict(line.split() for line in lines)

    def clear(self) -> None:
        """No job is left."""
        self.epilog("exit 0")
        if "slurmctld" not in self._running:
            self.start_controller()
        if left := self.jobs():
            self.ask("scancel", *left, check=False)
        wait_until(lambda: not self.jobs(), "no job is left", 60)

    def stop_all(self) -> None:
        for name in ("slurmd", "slurmctld", "munged"):
            if name in self._running:
                self.stop(name)


def _free_ports(number: int) -> list[int]:
    lines = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [line.getsockname()[1] for line in lines]
    for line in lines:
        line.close()
    return ports


@contextmanager
def real_slurm(folder: Path) -> Iterator[RealSlurm]:
    """A SLURM that is up."""
    slurm = RealSlurm(folder)
    try:
        slurm.start_all()
        yield slurm
        slurm.clear()
    finally:
        slurm.stop_all()
