"""gpuprep: a case as a worker does it, file to committed Zarr. ``options`` is the config.

The file is read in the measured process, so that its memory counts; a run reads in a child process.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from gpuprep.config.file import parse_config
from gpuprep.io.reader import read
from gpuprep.io.rules import ReadRules
from gpuprep.ledger.claim import claim
from gpuprep.preprocess.pipeline import run_case
from gpuprep.preprocess.task import CaseTask
from gpuprep.store.stored_case import open_case
from gpuprep.values.case import Case, LabelSource, Source
from paths import Stages, Task, Work


def prepare(task: Task) -> Work:
    config = parse_config(task.options)
    rules = ReadRules.of(config)
    claim(Path(task.folder), config, overwrite=False)
    label = (LabelSource((Source(task.label),)),) if task.label else ()
    case = Case("case", (Source(task.image),), label)
    plan = CaseTask(case, task.folder, config.digest, threads=task.threads)

    def work() -> Stages:
        with threadpool_limits(1):
            return run_case(plan, config, lambda source: read(source, rules))["timings"]

    return work


def stored(task: Task) -> tuple[np.ndarray, np.ndarray]:
    case = open_case(Path(task.folder) / "cases" / "case.zarr")
    return np.asarray(case.image), np.asarray(case.labels["segmentation"])
