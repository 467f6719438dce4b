"""The folders of all jobs, compared with the list of jobs when the service starts."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from gpuprep.service.jobs.folder import JobFolder
from gpuprep.service.jobs.job import ENDED, ID, Job, State
from gpuprep.values.errors import CorruptStoreError

_log = logging.getLogger("gpuprep.service")


@dataclass(frozen=True, slots=True)
class Known:
    """A job as the list has it."""

    seq: int
    state: State
    end_stamp: int


class Folders:
    """What lies in the folder of jobs; ``listed`` is asked for a job as the list has it."""

    def __init__(self, jobs: Path, listed: Callable[[str], Job]) -> None:
        self._jobs = jobs
        self._listed = listed
        self.damaged: list[str] = []
        """Of which nobody can tell any more what job they were."""
        self.found = 0
        """Jobs that the list does not have, or has otherwise."""

    def changed(self, known: Mapping[str, Known]) -> list[Job]:
        """The jobs of which the folders say something else than the list, in their order.

        A power cut, or somebody who takes the list's journal away, takes the last changes with it. The end of
        a job tells by its time whether the list has heard of it, so that most folders are not read.
        """
        changed = []
        for job_id in self._ids():
            row = known.get(job_id)
            folder = JobFolder(self._jobs / job_id)
            if row is not None and row.state in ENDED and row.end_stamp == folder.end_stamp() != 0:
                continue
            job = self._read(folder, row)
            if job is not None and (row is None or self._differs(job, row)):
                changed.append(job)
        self.found = len(changed)
        return sorted(changed, key=lambda job: (job.seq, job.created))

    def _ids(self) -> Iterator[str]:
        with os.scandir(self._jobs) as entries:
            names = [entry.name for entry in entries]
        return (name for name in names if re.fullmatch(ID, name))

    def _read(self, folder: JobFolder, row: Known | None) -> Job | None:
        if row is None and folder.is_torn:  # never accepted
            folder.remove()
            return None
        try:
            job = folder.read()
            return replace(job, seq=row.seq) if row is not None else job
        except CorruptStoreError as error:
            if row is None:
                self.damaged.append(folder.path.name)
                _log.error("job %s is lost, for its folder is damaged: %s", folder.path.name, error)
                return None
            job = self._listed(folder.path.name)
            _log.warning("job %s: %s; it is written anew from the list", job.id, error)
            with suppress(OSError):
                folder.keep(job if job.is_over else replace(job, state="queued"))
                return folder.read()
            return job

    def _differs(self, job: Job, row: Known) -> bool:
        """Whether the list is behind the folder; jobs that it has as open are looked at one by one later."""
        if row.state in ENDED:
            return True
        return job.state not in ENDED and job.priority != self._listed(job.id).priority
