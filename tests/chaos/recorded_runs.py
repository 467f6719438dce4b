"""Runs whose every step on the disk is recorded: ``python -m chaos.recorded_runs WORK``.

Below WORK each scenario gets ``<name>.before`` (what was there), ``<name>`` (what is there after it) and
``<name>.log``. A report of a case as done is a mark in the log.
"""

from __future__ import annotations

import ctypes
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from support.reading import reading_here

import gpuprep
from gpuprep.config.file import parse_config
from gpuprep.ledger.prune import prune
from gpuprep.values.events import CaseDone, Event, Listener

_STORE = {"chunk": 16}
PLAIN: dict[str, Any] = {"store": _STORE}
OTHER: dict[str, Any] = {"store": _STORE, "image": {"intensity": [{"clip": {"low": 0, "high": 9}}]}}
COHORT: dict[str, Any] = {"store": _STORE, "image": {"intensity": [{"zscore": {"over": "cohort"}}]}}
SEVERAL: dict[str, Any] = {
    "store": _STORE,
    "outputs": {"fine": {}, "coarse": {"resample": {"spacing": [2, 2, 2]}}},
}
FAILING: dict[str, Any] = {"store": _STORE, "image": {"intensity": [{"multiply": {"by": 1e6}}]}}
CARELESS: dict[str, Any] = {"store": {**_STORE, "fsync": "never"}}


@dataclass(frozen=True)
class Scenario:
    """A command on an output, the output it begins with (that of another scenario), and the input."""

    name: str
    config: dict[str, Any]
    before: str = ""
    source: str = "all"
    overwrite: bool = False
    prunes: bool = False
    ends: int = 0
    """How it exits."""

    def carry_out(self, inputs: Path, output: Path, listener: Listener | None = None) -> int:
        """The command; returns how it exits. The input is always of one name, whatever is in it."""
        here = inputs / "here"
        here.unlink(missing_ok=True)
        here.symlink_to(inputs / self.source)
        if self.prunes:
            if (output / "gpuprep.json").exists():
                for case in prune(output).cases:
                    if listener:
                        listener(CaseDone(case))
            if listener:
                return 0
        report = gpuprep.run(
            here,
            output,
            config=parse_config(self.config),
            scheduler="serial",
            overwrite=self.overwrite,
            listeners=[listener] if listener else [],
        )
        return report.exit_code


SCENARIOS = (
    Scenario("fresh", PLAIN),
    Scenario("some", PLAIN, source="some"),
    Scenario("resumed", PLAIN, before="some"),
    Scenario("same", PLAIN, before="fresh", overwrite=True),
    Scenario("other", OTHER, before="fresh", overwrite=True),
    Scenario("measured", COHORT),
    Scenario("measured-some", COHORT, source="some"),
    Scenario("grown", COHORT, before="measured-some"),
    Scenario("left", PLAIN, before="fresh", source="some"),
    Scenario("pruned", PLAIN, before="left", source="some", prunes=True),
    Scenario("several", SEVERAL, source="some"),
    Scenario("failed", FAILING, ends=1),
    Scenario("freed", COHORT, before="failed"),
    Scenario("careless", CARELESS),
)


def write_inputs(folder: Path, count: int = 3) -> None:
    """Small volumes with label maps, and the first two of them."""
    for number in range(count):
        for name in ("all", "some")[: 1 + (number < 2)]:
            (folder / name).mkdir(parents=True, exist_ok=True)
            random = np.random.default_rng(number)
            image = random.integers(-50, 99, (9, 10, 11 + number)).astype(np.int16)
            for kind, voxels in (
                ("volume", image),
                ("segmentation", (image > 40).astype(np.uint8)),
            ):
                file = folder / name / f"{kind}-{number}.nii.gz"
                nibabel.save(nibabel.Nifti1Image(voxels, np.diag([1.0, 1, 2, 1])), file)


def main(work: Path) -> None:
    recorder = ctypes.CDLL(None)
    write_inputs(work / "inputs")
    for scenario in SCENARIOS:
        world, before = work / scenario.name, work / f"{scenario.name}.before"
        before.mkdir()
        if scenario.before:
            shutil.copytree(work / scenario.before, before, dirs_exist_ok=True)
        shutil.copytree(before, world)
        log = work / f"{scenario.name}.log"
        recorder.recorder_begin(str(world).encode(), str(log).encode())
        try:
            ended = scenario.carry_out(work / "inputs", world / "out", _marks(recorder))
        finally:
            recorder.recorder_begin(None, None)
        if ended != scenario.ends:
            raise SystemExit(f"{scenario.name} ended with {ended}")


def _marks(recorder: Any) -> Callable[[Event], None]:
    def mark(event: Event) -> None:
        if isinstance(event, CaseDone) and not event.skipped:
            recorder.recorder_mark(event.case_id.encode())

    return mark


if __name__ == "__main__":
    with reading_here():
        main(Path(sys.argv[1]))
