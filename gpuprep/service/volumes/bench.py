"""Preparing one volume after another in a slot's own process, with the engine as a run has it.

Nothing is kept: a case is stored in the slot's folder as a run would store it, read for its answer, and
removed.
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from gpuprep.cohort.agreement import agree
from gpuprep.cohort.discover import Found, discover
from gpuprep.cohort.layouts.manifest import SUFFIXES as MANIFESTS
from gpuprep.executors.base import Outcome
from gpuprep.executors.task import Workplace, perform
from gpuprep.export.files import write_voxels
from gpuprep.ledger.claim import claim
from gpuprep.planning.agreement import named
from gpuprep.preprocess.failure import explain
from gpuprep.preprocess.task import CaseTask
from gpuprep.running.workforce import muster
from gpuprep.service.volumes.answers import Wanted, write_answer
from gpuprep.service.volumes.orders import Order, Refused, Reply, Terms
from gpuprep.service.volumes.unpack import unpack
from gpuprep.store.layout import case_folder
from gpuprep.store.record import read_record, write_record
from gpuprep.values.case import Case
from gpuprep.values.errors import UsageError
from gpuprep.values.events import CaseFailed
from gpuprep.values.geometry import Geometry

_PASSING = ("infrastructure", "transient")
_TROUBLE = ("store", "device", "corrupt", "backend")
_PLACE = re.compile(r"(?<![^\s'\"(\[])/[^\s'\",;)\]]+")
"""A path of this machine in a message: what is left of them is no affair of the client's."""
_SIDE = 32  # voxels of the volume that warms a slot up


class Bench:
    """What a slot keeps between volumes: config, output folder, reader child and the way to a device."""

    def __init__(self, terms: Terms) -> None:
        """Raises UsageError where the config, the backend or the folder cannot be used."""
        store = terms.config.store.model_copy(update={"fsync": "never"})  # nothing is kept
        self._config = terms.config.model_copy(update={"store": store})
        self._output = Path(terms.folder) / "output"
        claim(self._output, self._config, overwrite=False)
        force = muster(
            self._config, scheduler="serial", workers=None, backend=terms.backend, cases=1
        )
        self._task = replace(
            force.task(Case("none", ()), self._output, self._config.digest),
            threads=terms.threads,
            memory=terms.memory,
        )
        self._workplace = Workplace(self._task)

    def warm_up(self, folder: Path) -> Reply:
        """Do a small volume of noise, so that the first client does not wait for libraries to load."""
        folder.mkdir(mode=0o700)
        file = folder / "volume.nii"
        voxels = np.random.default_rng(0).integers(0, 1000, (_SIDE,) * 3).astype(np.int16)
        write_voxels(voxels, Geometry(voxels.shape), file)
        reply = self.do(Order(str(file), file.name, str(folder), Wanted(), str(folder)))
        shutil.rmtree(folder, ignore_errors=True)
        return reply

    def do(self, order: Order) -> Reply:
        """Prepare one volume; whatever goes wrong with it is part of the reply."""
        watch = _Watch()
        task = self._task
        try:
            with watch("find"):
                found = self._find(order)
                case = _only(found)
                task = replace(
                    task,
                    case=case,
                    root=order.root,
                    input=order.shown,
                    agreement=agree((case,), None, self._config.label.classes),
                )
            outcome = perform(task, self._workplace, _no_deadline)
            if outcome.done is None:
                return _failed(outcome, order)
            watch.seconds += outcome.stage_seconds
            with watch("answer"):
                stored = case_folder(self._output, case.id)
                _hide_places(stored, order)
                file, media_type = write_answer(stored, order.wanted, Path(order.folder))
        except Exception as error:
            return _refused(explain(task, error), order)
        finally:
            self._clear(task.case.id)
        return Reply(
            str(file),
            media_type,
            case.id,
            tuple(watch.seconds),
            outcome.done.findings,
            len(found.unmatched),
        )

    def _find(self, order: Order) -> Found:
        source = Path(order.source)
        if order.unpack:
            target = source.with_suffix("")
            most_bytes, most_files = order.unpack
            unpack(source, target, most_bytes=most_bytes, most_files=most_files)
            source = target
        elif source.is_file() and source.suffix.lower() in MANIFESTS:
            raise UsageError(
                f"{source.name} is a manifest, whose files may lie anywhere",
                advice="name the volume itself, or submit a job",
            )
        rules = self._config.input
        found = discover(
            source,
            layout=rules.layout,
            series=rules.series,
            several_volumes=rules.several_volumes,
            structures=rules.structure_rules,
        )
        return replace(found, cases=named(found.cases, self._config))

    def _clear(self, case_id: str) -> None:
        shutil.rmtree(case_folder(self._output, case_id), ignore_errors=True)

    def get_ready(self) -> None:
        """Between two volumes: a reader child that died or was worn is replaced."""
        self._workplace.get_ready()


class _Watch:
    def __init__(self) -> None:
        self.seconds: list[tuple[str, float]] = []

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds.append((stage, time.perf_counter() - start))


@contextmanager
def _no_deadline(task: CaseTask, seconds: float) -> Iterator[None]:
    """The service ends a slot that takes too long."""
    yield


def _only(found: Found) -> Case:
    if len(found.cases) != 1:
        ids = ", ".join(case.id for case in found.cases[:5])
        raise UsageError(
            f"{len(found.cases)} cases are in it ({ids or 'none'}), and one is prepared at a time",
            advice="name the file or the series of one case",
        )
    return found.cases[0]


def _failed(outcome: Outcome, order: Order) -> Reply:
    if outcome.failed is not None:
        return _refused(outcome.failed, order)
    return Reply(refused=Refused(503, "STOPPED", _PLACE.sub("…", _shown(outcome.stop, order))))


def _refused(failed: CaseFailed, order: Order) -> Reply:
    if failed.kind == "bug":
        detail = "gpuprep failed at this volume; the service's log says more"
        return Reply(refused=Refused(500, failed.code, detail), trace=failed.details)
    passing = failed.retry in _PASSING or failed.kind in _TROUBLE
    told = (failed.message, failed.advice, failed.path)
    detail, advice, path = (_PLACE.sub("…", _shown(text, order)) for text in told)
    if path:
        detail = f"{path}: {detail}"
    return Reply(refused=Refused(503 if passing else 422, failed.code, detail, advice))


def _hide_places(stored: Path, order: Order) -> None:
    """Let the record speak of files as the client does: where they lay here is no affair of its."""
    write_record(stored, _shown(read_record(stored), order), durable=False)


def _shown(told: Any, order: Order) -> Any:
    """The same, with the client's names in place of this machine's."""
    if isinstance(told, str):
        for place, name in _names(order):
            told = told.replace(place, name)
        return told
    if isinstance(told, dict):
        return {key: _shown(value, order) for key, value in told.items()}
    return [_shown(value, order) for value in told] if isinstance(told, Sequence) else told


def _names(order: Order) -> tuple[tuple[str, str], ...]:
    source, shown = Path(order.source), Path(order.shown)
    folder, beside = source.parent, shown.parent
    whole = (
        () if order.unpack is None else ((str(source.with_suffix("")), str(shown.with_suffix(""))),)
    )
    if folder == folder.parent:
        return ((str(source), str(shown)),)
    return (
        (str(source), str(shown)),
        *whole,
        (f"{folder}/", "" if beside == Path() else f"{beside}/"),
        (str(folder), str(beside)),
    )
