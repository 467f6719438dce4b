"""Runs of the command on a real SLURM, whose workers failpoints hold in the middle of a case."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any

from support.runs import wait_until
from support.slurm import RealSlurm

_END_SECONDS = 150.0


class SlurmRun:
    """A run that is under way, or was."""

    def __init__(
        self,
        slurm: RealSlurm,
        source: Path,
        output: Path,
        *options: str,
        failpoints: str = "",
        cluster: dict[str, Any] | None = None,
        **asked: Any,
    ) -> None:
        """``asked`` goes to ``cluster.slurm``."""
        self._slurm, self._output = slurm, output
        self._printed = output.with_name(f"{output.name}.printed")
        counts = output.with_name(f"{output.name}-passages")
        counts.mkdir(exist_ok=True)
        block = {"kind": "slurm", "workers": 2, "memory": "1GiB", **(cluster or {})}
        asked = {"interface": "lo", "walltime": "01:00:00", **asked}
        config = output.with_name(f"{output.name}.yaml")
        resample = {"resample": {"spacing": [0.5, 0.5, 0.6]}}
        config.write_text(json.dumps({"image": resample, "cluster": {**block, "slurm": asked}}))
        armed = {"GPUPREP_FAILPOINTS": failpoints, "GPUPREP_FAILPOINTS_COUNTS": str(counts)}
        line = ("-m", "gpuprep.cli.app", "run", str(source), str(output), "-c", str(config))
        with self._printed.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, *line, "--no-progress", *options],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env={**os.environ, **slurm.environment, **armed},
                start_new_session=True,
            )

    @property
    def printed(self) -> str:
        return self._printed.read_text()

    @property
    def done(self) -> int:
        """Cases that are stored."""
        return len([*self._output.glob("cases/*.zarr/record.json")])

    def wait_for(self, words: str) -> None:
        """Until it has printed something."""
        self.wait_until(lambda: words in self.printed, f"it says {words!r}")

    def wait_until(self, true: Any, what: str) -> None:
        def look() -> bool:
            return bool(true()) or self.process.poll() is not None

        wait_until(look, f"{what}\n{self.printed}")
        assert true(), f"it ended before {what}\n{self.printed}"

    def held_worker(self, others: Collection[int] = ()) -> int:
        """The process of a worker that a failpoint has stopped, none of ``others``."""
        found: list[int] = []

        def look() -> bool:
            stopped = _stopped_workers(str(self._output))
            found.extend(pid for pid in stopped if pid not in others)
            return bool(found)

        self.wait_until(look, "a worker is stopped")
        return found[0]

    def job_of(self, worker: int) -> str:
        """The number of the job whose worker that is."""
        return _environment(worker)["SLURM_JOB_ID"]

    def status(self) -> str:
        """What ``gpuprep status`` says."""
        line = [sys.executable, "-m", "gpuprep.cli.app", "status", str(self._output)]
        said = subprocess.run(line, capture_output=True, text=True, check=False, timeout=60)
        return " ".join(said.stdout.split())

    def interrupt(self) -> None:
        """What Ctrl-C does."""
        self.process.send_signal(signal.SIGINT)

    def end(self, code: int) -> str:
        """What it printed, once it has ended as expected; nothing of it is in the queue then."""
        try:
            self.process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"it does not end: {self.status()}\n{self.printed}") from None
        assert self.process.returncode == code, self.printed
        wait_until(lambda: not self._slurm.jobs(), "no job is left", 30)
        assert "Traceback" not in self.printed
        assert "distributed" not in self.printed, "a line of Dask's own"
        return self.printed

    def report(self) -> dict[str, Any]:
        return dict(json.loads((self._output / "report.json").read_text()))

    def events(self, name: str) -> list[dict[str, Any]]:
        """Events of a name in its log."""
        lines = "".join(path.read_text() for path in self._output.glob("logs/run-*.jsonl"))
        return [event for event in map(json.loads, lines.splitlines()) if event["event"] == name]


def _stopped_workers(output: str) -> list[int]:
    """Processes of a run's jobs that are stopped."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
            counts = _environment(int(entry.name)).get("GPUPREP_FAILPOINTS_COUNTS", "")
        except OSError:
            continue
        if state == "T" and counts.startswith(output):
            found.append(int(entry.name))
    return found


def _environment(pid: int) -> dict[str, str]:
    pairs = Path(f"/proc/{pid}/environ").read_text().split("\0")
    return dict(pair.split("=", 1) for pair in pairs if "=" in pair)
