"""The step that gives a data set its ``dataset_fingerprint.json``: made, kept, or shown to have moved."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gpuprep.config.scratch import DecodedScratch
from gpuprep.nnunet.cases import Problem, training_names
from gpuprep.nnunet.counting import Counted, Sampling, count_cases, rule_before
from gpuprep.nnunet.dataset import Dataset, Fingerprint, parse_dataset, read_json
from gpuprep.nnunet.drift import Moved, moved, moved_plan
from gpuprep.nnunet.folders import DATASET, FINGERPRINT, Preprocessed
from gpuprep.nnunet.integrity import absent_labels, check_cases, check_dataset
from gpuprep.nnunet.planners import PLANNERS, Planner
from gpuprep.values.errors import ConfigError
from gpuprep.values.events import Listener


@dataclass(frozen=True)
class FingerprintStep:
    """What came of it.

    Attributes:
        file: ``dataset_fingerprint.json``.
        fingerprint: What it holds.
        kept: It was there and stays.
        cases: How many are in it.
        problems: What is wrong with cases, or with the data set where that was asked for.
        notes: What else to know.
        drift: Of a kept one, what counting gives now instead.
        plan_drift: What each planner would make of that.
    """

    file: Path
    fingerprint: Fingerprint
    kept: bool
    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()
    drift: tuple[Moved, ...] = ()
    plan_drift: Mapping[str, tuple[Moved, ...]] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return {
            "dataset": self.file.parent.name,
            "fingerprint": str(self.file),
            "kept": self.kept,
            "cases": len(self.fingerprint.shapes),
            "problems": [problem.to_json() for problem in self.problems],
            "notes": list(self.notes),
            "drift": [row.to_json() for row in self.drift],
            "plan_drift": {
                name: [row.to_json() for row in rows] for name, rows in self.plan_drift.items()
            },
        }


def fingerprint_dataset(
    folder: Preprocessed,
    *,
    statistics: Sampling = "exact",
    clean: bool = False,
    verify: bool = False,
    workers: int | None = None,
    scheduler: str | None = None,
    settings: Mapping[str, Any] | None = None,
    listeners: Sequence[Listener] = (),
    command: str = "",
    scratch: DecodedScratch | None = None,
) -> FingerprintStep:
    """Make the fingerprint of a data set; one that is there stays, and what moved since is said.

    Args:
        folder: Of the data set, preprocessed; it must know the folder of the raw ones.
        statistics: ``exact``, or ``nnunet``, which draws what nnU-Net draws.
        clean: Put a new one in the place of one that is there. Cases that were counted and did not
            change are not read again, unless ``statistics`` or nnU-Net's draws of them are others.
        verify: Check what nnU-Net's ``--verify_dataset_integrity`` checks, from the same read.
        workers: Processes; by default one per core.
        scheduler: As for ``gpuprep run``.
        settings: More of the config, such as ``run`` and ``cluster``, that decides nothing about the counts.
        listeners: Are told every event of the run.
        command: What starts this again.
        scratch: Where decoded cases are left for the run that prepares them.

    Raises:
        ConfigError: the raw data set or its ``dataset.json`` is absent or wrong.
        UsageError: no case could be counted.
        RunStopped: it was interrupted; the same call goes on.
    """
    raw, dataset = _raw(folder)
    cases = len(training_names(raw, dataset))
    file = folder.path / FINGERPRINT
    old = folder.fingerprint if file.is_file() and not clean else None
    before = rule_before(folder.path)
    if old and not before and not verify and len(old.shapes) == cases:
        return FingerprintStep(file, old, kept=True)
    draws, notes = None, []
    if old:  # what is compared with it must be counted as it was
        asked, statistics = statistics, before.sampling if before else "nnunet"
        draws = before.draws if before else None
        if before and asked != statistics:
            notes.append(f"its statistics are {statistics}; --clean makes {asked} ones")
    counted = count_cases(
        raw,
        folder.path,
        dataset,
        sampling=statistics,
        draws=draws,
        workers=workers,
        scheduler=scheduler,
        settings=settings,
        listeners=listeners,
        command=command,
        scratch=scratch,
    )
    problems = [*counted.problems]
    if verify:
        problems += [*check_dataset(dataset, cases), *check_cases(counted.records)]
        notes += _unseen(dataset, counted)
    if old is None:
        folder.save_fingerprint(counted.fingerprint)
        return FingerprintStep(
            file, counted.fingerprint, kept=False, problems=tuple(problems), notes=tuple(notes)
        )
    new = counted.fingerprint
    return FingerprintStep(
        file,
        old,
        kept=True,
        problems=tuple(problems),
        notes=tuple(notes),
        drift=tuple(moved(old, new, dataset)),
        plan_drift={
            planner.name: tuple(moved_plan(old, new, dataset, planner))
            for planner in _planners(folder)
        },
    )


def _raw(folder: Preprocessed) -> tuple[Path, Dataset]:
    name = folder.path.name
    if folder.raw is None or not (folder.raw / name / DATASET).is_file():
        raise ConfigError(
            f"{name}: its raw data are not there (nnUNet_raw is {folder.raw or 'not set'})",
            advice="export nnUNet_raw=FOLDER, the one that holds them",
        )
    raw = folder.raw / name
    return raw, parse_dataset(read_json(raw / DATASET), name)


def _unseen(dataset: Dataset, counted: Counted) -> Iterator[str]:
    absent = absent_labels(dataset, counted.records)
    if absent:
        text = ", ".join(map(str, absent))
        yield f"no case has the label values {text}, which dataset.json names"


def _planners(folder: Preprocessed) -> list[Planner]:
    """Those of the plans that are there; the default one where there are none."""
    used = set()
    for file in folder.path.glob("*.json"):
        with suppress(ConfigError):  # one that is none of nnU-Net's
            document = read_json(file)
            if isinstance(document, dict):
                used.add(document.get("experiment_planner_used"))
    return [each for name, each in PLANNERS.items() if name in used] or [
        PLANNERS["ExperimentPlanner"]
    ]
