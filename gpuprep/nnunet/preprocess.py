"""The whole step of nnU-Net's preprocessing: one run for all configurations, then nnU-Net's own tree."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpuprep.config.scratch import DecodedScratch
from gpuprep.host.backend import Name
from gpuprep.host.failpoints import failpoint
from gpuprep.ledger.report import RunReport
from gpuprep.nnunet.cases import Problem, raw_cases
from gpuprep.nnunet.counting import scheduler_for
from gpuprep.nnunet.dataset import read_json
from gpuprep.nnunet.earlier import is_of_another
from gpuprep.nnunet.filled import FilledFolders
from gpuprep.nnunet.folders import RAW, SPLITS, Preprocessed
from gpuprep.nnunet.folds import FOLDS, doubts_about, split_folds
from gpuprep.nnunet.ground_truth import keep_ground_truth
from gpuprep.nnunet.plans import Plans, identifiers_of, read_plans
from gpuprep.nnunet.prepare import choose_arrays, config_of
from gpuprep.nnunet.project import Projection, check_folder, clear, cohort_folder
from gpuprep.nnunet.scratch import to_take_from
from gpuprep.running.coordinator import run
from gpuprep.values.errors import ConfigError, UsageError
from gpuprep.values.events import Listener, Notice

CONFIGURATIONS = ("2d", "3d_fullres", "3d_lowres")
"""What nnU-Net prepares where nothing is asked for."""
_LABEL_END = "_seg"


@dataclass(frozen=True)
class Means:
    """How a run is carried out, as ``gpuprep run`` has it."""

    backend: Name = "auto"
    workers: int | None = None
    scheduler: str | None = None
    overwrite: bool = False
    settings: Mapping[str, Any] | None = None
    """More of the config that does not decide the voxels."""
    command: str = ""
    scratch: DecodedScratch | None = None
    """Where a run before this one left decoded cases."""

    @property
    def place(self) -> str | None:
        """The scheduler."""
        return scheduler_for(self.workers, self.scheduler)


@dataclass(frozen=True)
class Prepared:
    """What became of a data set.

    Attributes:
        report: Of the run.
        folders: Of each configuration, by its name.
        cohort: Where the run lies, for ``gpuprep status``.
        cases: How many are there to train on.
        problems: Of cases that lack a file, and were not tried.
    """

    report: RunReport
    folders: Mapping[str, Path]
    cohort: Path
    cases: int
    problems: tuple[Problem, ...]

    @property
    def exit_code(self) -> int:
        """That of the run, or 1 where a case lacks a file."""
        return self.report.exit_code or int(bool(self.problems))


def preprocess(
    folder: Preprocessed,
    plans_name: str,
    wanted: Sequence[str] = CONFIGURATIONS,
    means: Means | None = None,
    listeners: Sequence[Listener] = (),
) -> Prepared:
    """Prepare configurations of a data set for nnU-Net's training, below its preprocessed folder.

    Cases that are there and current stay. One that fails is told in the report, and the others can be
    trained on. Configurations that were prepared before under the same plans are kept up with the others.

    Args:
        folder: The data set; ``raw`` must be known.
        plans_name: Of the plans in the folder.
        wanted: Configurations; those that the plans lack are left out.
        means: How it is done.
        listeners: Are told what happens, and notes about nnU-Net's files as ``Notice``.

    Raises:
        UsageError: a folder or the raw data is not as nnU-Net has it.
        ConfigError: plans or ``dataset.json`` ask for what gpuprep does not have.
    """
    means = means or Means()
    raw = _raw_of(folder)
    folder.take_over()
    dataset, plans = folder.dataset, read_plans(folder.path, plans_name)
    chosen = choose_arrays(plans, (*wanted, *_kept_up(folder.path, plans)))
    config = config_of(plans, dataset, chosen.arrays, means.settings)
    config = to_take_from(config, means.scratch)
    cases = raw_cases(raw, dataset)
    ids = _checked(raw, tuple(cases.complete.values()))
    cohort = cohort_folder(folder.path, plans.name)
    identifiers = {each.name: each.identifier for each in chosen.arrays}

    def tell(text: str) -> None:
        for listener in listeners:
            listener(Notice(text))

    projection = Projection(folder.path, plans.name, config.digest, identifiers, tell)
    projection.check()
    if strange := [name for name in chosen.skipped if name not in CONFIGURATIONS]:
        tell(f"{plans.path.name} has no {', '.join(strange)}: left out")
    report = run(
        raw,
        cohort,
        config=config,
        backend=means.backend,
        workers=means.workers,
        scheduler=means.place,
        overwrite=means.overwrite or is_of_another(cohort, config, dataset),
        only=ids if cases.others else (),
        listeners=[*listeners, projection],
        command=means.command,
    )
    ended = report.exit_code in (0, 1)
    projection.complete(ids, ended=ended)
    failpoint("after_links", str(folder.path))
    done = {name: file for name, file in cases.labels.items() if name in projection.done}
    keep_ground_truth(folder.path, done, dataset.ending, projection.aside)
    shutil.rmtree(projection.aside, ignore_errors=True)
    failpoint("after_ground_truth", str(folder.path))
    if ended:  # folds stay as they are written first
        for note in _splits(folder, done):
            tell(note)
    elif means.scratch is not None and Path(means.scratch.folder).is_dir():
        tell(f"decoded cases stay in {means.scratch.folder} for the same command; else delete it")
    for note in _stale(folder.path, plans):
        tell(note)
    if projection.copied:
        tell(
            f"{folder.path} lies on a disk without hard links: arrays are there twice, see {cohort}"
        )
    folders = {name: folder.path / each for name, each in identifiers.items()}
    return Prepared(report, folders, cohort, len(projection.done), cases.problems)


def _checked(raw: Path, ids: tuple[str, ...]) -> tuple[str, ...]:
    """Refuse ids that would mix up files, and a data set without any."""
    if not ids:
        raise UsageError(f"{raw} has no whole case to train on", advice="gpuprep plan tells why")
    for case_id in ids:
        if case_id.endswith(_LABEL_END):
            raise UsageError(
                f"case {case_id}: nnU-Net takes every array named …{_LABEL_END} for a label map",
                advice="give it another name",
            )
    return ids


def _raw_of(folder: Preprocessed) -> Path:
    if folder.raw is None:
        raise UsageError(
            f"{RAW} is not set", advice=f"export {RAW}=FOLDER, the same as for nnU-Net"
        )
    raw = folder.raw / folder.path.name
    if not raw.is_dir():
        raise UsageError(
            f"{folder.raw} has no {folder.path.name}", advice=f"check what {RAW} is set to"
        )
    return raw


def _kept_up(dataset: Path, plans: Plans) -> list[str]:
    """Configurations that were prepared before under these plans, and are still there."""
    filled = FilledFolders(dataset).read()
    return [
        each.configuration
        for name, each in filled.items()
        if each.plans == plans.name
        and each.configuration in plans.configurations
        and (dataset / name).is_dir()
    ]


def _splits(folder: Preprocessed, ids: Mapping[str, Path]) -> Iterator[str]:
    """Write the folds, unless there are some; what does not fit about these, in words."""
    file = folder.path / SPLITS
    if file.is_file():
        try:
            doubts = doubts_about(read_json(file), tuple(ids))
        except ConfigError:
            doubts = "is no JSON"
        if doubts:
            yield f"{file} {doubts}; delete it to have folds of the cases that are there"
    elif len(ids) < FOLDS:
        yield f"{len(ids)} cases are too few for {FOLDS} folds: nnUNetv2_train … all trains on all of them"
    else:
        folder.save_splits(split_folds(tuple(ids)))


def _stale(dataset: Path, plans: Plans) -> Iterator[str]:
    """Remove folders that an earlier state of the plans filled, and name those that nnU-Net did."""
    current, filled = identifiers_of(dataset), FilledFolders(dataset)
    for name, each in filled.read().items():
        if each.plans == plans.name and name not in current:
            clear(dataset / name)
            check_folder(dataset / name)
            if (dataset / name).is_dir():
                (dataset / name).rmdir()
            filled.note(name, None)
            yield f"{name} went: {plans.name} has no {each.configuration} any more"
    for path in sorted(dataset.glob(f"{plans.name}_*")):
        if path.is_dir() and path.name not in current:
            yield f"{path} is of no configuration of {plans.name} any more; nothing reads it"
