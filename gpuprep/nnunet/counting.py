"""The cases of a data set counted by an ordinary run, which can be taken up again, and put together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from gpuprep.config.model import Config
from gpuprep.config.outputs import FingerprintRule
from gpuprep.config.scratch import DecodedScratch
from gpuprep.ledger.output import read_json
from gpuprep.nnunet.cases import Problem, RawCases, raw_cases
from gpuprep.nnunet.dataset import Dataset, Fingerprint
from gpuprep.nnunet.earlier import is_of_another
from gpuprep.nnunet.mixture import CountedChannel, mixture_statistics, sample_statistics
from gpuprep.nnunet.scratch import to_keep_in
from gpuprep.running.coordinator import run
from gpuprep.store.layout import CONFIG_FILE, case_folder
from gpuprep.store.record import read_record
from gpuprep.store.verify import verify_case
from gpuprep.values.errors import RunStopped, StoreError, UsageError
from gpuprep.values.events import Listener

Sampling = Literal["exact", "nnunet"]

FOLDER = Path("gpuprep", "fingerprint")
_BUDGET = 10**8  # voxels that nnU-Net draws of each channel, of all cases together


@dataclass(frozen=True)
class Counted:
    """A fingerprint with what stands behind it.

    Attributes:
        fingerprint: Of the cases that could be counted.
        problems: Of the other cases.
        records: What was counted, by the name of the case, in order.
    """

    fingerprint: Fingerprint
    problems: tuple[Problem, ...]
    records: Mapping[str, Mapping[str, Any]]


def fingerprint_config(
    rule: FingerprintRule, orientation: str = "keep", settings: Mapping[str, Any] | None = None
) -> Config:
    """The config of the run that counts.

    Args:
        rule: How the foreground is counted.
        orientation: Of the arrays, as the data set's reader has it.
        settings: More of the config, such as ``input``, ``run`` and ``cluster``.
    """
    given = dict(settings or {})
    asked = given.pop("input", {})
    policy = {"W_FLAT": "fix", **asked.get("policy", {})}
    return Config.model_validate(
        {
            **given,
            "input": {"layout": "nnunet", "follow_symlinks": True, **asked, "policy": policy},
            "image": {"orientation": orientation, "crop": {"to": "nonzero"}},
            # as that of the arrays, which share decoded cases
            "label": {"required": True, "loss": 1.0},
            "fingerprint": rule,
        }
    )


def count_cases(
    raw: Path,
    preprocessed: Path,
    dataset: Dataset,
    *,
    sampling: Sampling = "exact",
    draws: int | None = None,
    workers: int | None = None,
    scheduler: str | None = None,
    settings: Mapping[str, Any] | None = None,
    listeners: Sequence[Listener] = (),
    command: str = "",
    scratch: DecodedScratch | None = None,
) -> Counted:
    """Count the cases of a raw data set that are not counted yet, and put all together.

    Args:
        raw: Its folder below ``nnUNet_raw``.
        preprocessed: Its folder below ``nnUNet_preprocessed``; the counts go to ``FOLDER`` in it.
        dataset: Its ``dataset.json``.
        sampling: How the foreground is counted.
        draws: For ``nnunet``, of each case; by default what nnU-Net draws with so many cases.
        workers: Processes; one is this one, where no ``scheduler`` is named.
        scheduler: As for ``gpuprep run``.
        settings: More of the config, such as ``run`` and ``cluster``, that decides nothing about the counts.
        listeners: Are told every event of the run.
        command: What starts this again, for ``gpuprep status``.
        scratch: Where decoded cases are left for the run that prepares them.

    Raises:
        UsageError: no case could be counted.
        RunStopped: the run was interrupted or stopped; the same call goes on.
    """
    cases, output = raw_cases(raw, dataset), preprocessed / FOLDER
    rule = FingerprintRule(sampling="exact", ignore=dataset.ignore)
    if sampling == "nnunet":
        rule = FingerprintRule(sampling="nnunet", draws=draws or _BUDGET // len(cases.ids))
    config = to_keep_in(fingerprint_config(rule, dataset.orientation, settings), scratch)
    complete, problems = cases.complete, list(cases.problems)
    if complete:
        report = run(
            raw,
            output,
            config=config,
            backend="numpy",
            workers=workers,
            scheduler=scheduler_for(workers, scheduler),
            overwrite=is_of_another(output, config, dataset),
            only=tuple(complete.values()) if cases.others else (),
            listeners=listeners,
            command=command,
        )
        if report.finished.stopped or report.interrupted:
            raise RunStopped(
                report.finished.stopped or "interrupted", advice="the same command goes on"
            )
        names = {own: name for name, own in complete.items()}
        problems += [
            Problem(names[failure.case_id], f"{failure.code}: {failure.message}")
            for failure in report.failures
        ]
    return _put_together(cases, output, dataset, sampling, problems)


def scheduler_for(workers: int | None, scheduler: str | None) -> str | None:
    """The one that is named; one process needs none, which starts sooner."""
    return scheduler or ("serial" if workers == 1 else None)


def rule_before(preprocessed: Path) -> FingerprintRule | None:
    """How the cases were counted before; None where they were not, or nothing tells it any more."""
    try:
        document = read_json(preprocessed / FOLDER / CONFIG_FILE)
        return FingerprintRule.model_validate(document["config"]["fingerprint"])
    except (StoreError, KeyError, TypeError, ValueError):
        return None


def _put_together(
    cases: RawCases,
    output: Path,
    dataset: Dataset,
    sampling: Sampling,
    problems: list[Problem],
) -> Counted:
    lacking = {problem.case for problem in problems}
    records: dict[str, dict[str, Any]] = {}
    for name, own in cases.ids.items():
        folder = case_folder(output, own)
        if name in lacking:
            continue
        damage = verify_case(folder, full=True)
        if damage:
            problems.append(Problem(name, str(damage[0])))
            continue
        records[name] = read_record(folder)
    if not records:
        first = f"; the first: {problems[0]}" if problems else ""
        raise UsageError(f"{dataset.name}: no case could be counted{first}")
    folders = {name: case_folder(output, cases.ids[name]) for name in records}
    return Counted(combine(dataset, records, folders, sampling), tuple(problems), records)


def combine(
    dataset: Dataset,
    records: Mapping[str, Mapping[str, Any]],
    folders: Mapping[str, Path],
    sampling: Sampling,
) -> Fingerprint:
    """One fingerprint of all cases, in the order of ``records``.

    Raises:
        UsageError: no case has any foreground.
    """
    grids = [_grids(record["geometry"]) for record in records.values()]
    shares = [float(np.prod(after) / np.prod(before)) for _, before, after in grids]
    intensities = {}
    for channel in range(len(dataset.channels)):
        counted = [
            CountedChannel.of_row(record["fingerprint"]["channels"][channel], folders[name])
            for name, record in records.items()
        ]
        full = [each for each in counted if each.count]
        if not full:
            raise UsageError(
                f"{dataset.name}: no case has any foreground in channel {dataset.channels[channel]}",
                advice="look at the label maps: a plan needs voxels with a label",
            )
        if sampling == "exact":
            intensities[str(channel)] = mixture_statistics(full)
        else:
            wide = len(full) < len(counted)  # an empty case turns nnU-Net's pool into float64
            intensities[str(channel)] = sample_statistics(full, wide=wide)
    return Fingerprint(
        tuple(spacing for spacing, _, _ in grids),
        tuple(after for _, _, after in grids),
        float(np.median(shares)),
        intensities,
    )


Edges = tuple[int, ...]


def _grids(geometry: Mapping[str, Any]) -> tuple[tuple[float, ...], Edges, Edges]:
    """Spacing, shape and shape after the crop of a record, all ``z, y, x``."""
    after = tuple(stop - start for start, stop in geometry["crop"])
    spacing = tuple(geometry["oriented"]["spacing"][::-1])
    return spacing, tuple(geometry["oriented"]["shape"]), after
