"""What SLURM is told and asked: sbatch, squeue, sacct and scancel, and what their answers mean."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Collection
from dataclasses import dataclass

_SECONDS = 60.0
_COLUMNS = {"JobID": 24, "State": 24, "RestartCnt": 12, "Reason": 120}
_WAITING = ("PENDING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "SPECIAL_EXIT")
_WORKING = ("CONFIGURING", "RUNNING", "RESIZING", "SIGNALING", "STAGE_OUT", "STOPPED", "SUSPENDED")
_TAKEN = ("BOOT_FAIL", "CANCELLED", "DEADLINE", "NODE_FAIL", "PREEMPTED", "REVOKED", "TIMEOUT")
_UNTOLD = ("", "None", "N/A")


class SlurmRefusal(Exception):
    """SLURM did not do what it was asked; the text is its own."""


@dataclass(frozen=True, slots=True)
class Job:
    """A job as SLURM tells of it; a ``state`` that it does not tell is empty."""

    number: str
    state: str
    restarts: int = 0
    reason: str = ""
    """Why it waits, as ``Resources``; empty where SLURM has not said yet."""

    @property
    def waits(self) -> bool:
        return self.state in _WAITING

    @property
    def lives(self) -> bool:
        """Whether it runs or will. One that is completing does not, until it waits again."""
        return self.waits or self.state in _WORKING

    @property
    def ends(self) -> bool:
        """Whether it is on its way out, so that it is not known yet what ended it."""
        return self.state == "COMPLETING"

    def taken_from(self, restarts: int) -> str:
        """What SLURM did to a worker that the job had after so many restarts; empty where it did nothing."""
        if self.state in (*_TAKEN, "STOPPED", "SUSPENDED"):
            return self.state
        return "REQUEUED" if self.waits or self.restarts > restarts else ""


def submit(script: str) -> str:
    """Hand in a job script; the number of the job.

    Raises:
        SlurmRefusal: it was not taken, or SLURM did not say whether it was.
    """
    answer = _ask("sbatch", script=script)
    number = re.search(r"\d+", answer)
    if number is None:
        raise SlurmRefusal(f"sbatch said {answer.strip()!r}, and no number of a job")
    return number.group()


def jobs_named(name: str) -> dict[str, Job]:
    """This user's jobs of a name by their numbers, those that ended a few minutes ago too.

    Raises:
        SlurmRefusal: SLURM does not answer.
    """
    columns = ",".join(f"{column}:{width}" for column, width in _COLUMNS.items())
    asked = ("--me", f"--name={name}", "--states=all", "--noheader", f"--Format={columns}")
    jobs = (_job(line) for line in _ask("squeue", *asked).splitlines() if line.strip())
    return {job.number: job for job in jobs}


def _job(line: str) -> Job:
    texts = []
    for width in _COLUMNS.values():
        texts.append(line[:width].strip())
        line = line[width:]
    number, state, restarts, reason = texts
    return Job(
        number,
        state,
        int(restarts) if restarts.isdigit() else 0,
        "" if reason in _UNTOLD else reason,
    )


def past_state(number: str) -> str:
    """How a job ended that squeue has forgotten; empty where SLURM keeps no accounts."""
    try:
        answer = _ask("sacct", "--noheader", "--parsable2", "-X", "-j", number, "--format=State")
    except SlurmRefusal:
        return ""
    return (answer.split() or [""])[0]  # "CANCELLED by 1000"


def cancel(numbers: Collection[str]) -> None:
    """Take jobs back; those that have ended are none of its business.

    Raises:
        SlurmRefusal: SLURM does not answer, or one of them had ended.
    """
    if numbers:
        _ask("scancel", *numbers)


def _ask(*command: str, script: str | None = None) -> str:
    """What a command prints; Ctrl-C at the terminal does not reach it."""
    try:
        answer = subprocess.run(
            command,
            input=script,
            stdin=subprocess.DEVNULL if script is None else None,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=_SECONDS,
            start_new_session=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise SlurmRefusal(str(error)) from None
    if answer.returncode:
        said = " ".join((answer.stderr or answer.stdout).split())
        raise SlurmRefusal(said or f"{command[0]} ended with exit code {answer.returncode}")
    return answer.stdout
