"""What a job is begun with: paths, workers and devices, as its process is told them."""

from __future__ import annotations

from gpuprep.config.file import parse_config
from gpuprep.service.jobs.folder import JobFolder
from gpuprep.service.jobs.job import Job
from gpuprep.service.jobs.queue import Capacity
from gpuprep.service.places import Places
from gpuprep.service.problems import Problem
from gpuprep.service.settings import Settings


class Starting:
    """Makes jobs ready to begin, and knows which of them has which CUDA devices."""

    def __init__(self, settings: Settings, places: Places) -> None:
        self._settings = settings
        self._places = places
        self.capacity = Capacity.of(settings)
        self._devices: dict[str, tuple[int, ...]] = {}

    def write(self, job: Job, folder: JobFolder) -> str:
        """Write down what the process of a job is to do; returns the devices it has, with commas.

        Paths are looked up now, as roots may have changed.

        Raises:
            Problem: what it asks for is there no more.
            OSError: the disk refuses.
        """
        asked, before = job.asked, folder.start()
        clusters = self._settings.clusters
        if asked.executor not in ("local", "serial", *clusters):
            raise Problem(422, f"there is no executor {asked.executor!r} any more")
        cluster = (
            {"cluster": clusters[asked.executor].model_dump(mode="json")}
            if asked.executor in clusters
            else {}
        )
        config = {**self._places.confined(asked.config, asked.root), **cluster}
        present = self._places.digest(asked.output)
        is_ours = present == parse_config(config, "the config of the job").digest
        # Cases of another config go anyway, once the cohort is taken for this one. Those of the same
        # cannot be told from the new ones, so that each round makes all anew.
        same = before.get("same", is_ours)
        devices = self._take(job)
        folder.set_start(
            {
                "input": str(self._places.source(asked.root, asked.path)),
                "output": str(self._places.output(asked.output)),
                "config": config,
                "workers": None if asked.executor == "serial" else asked.workers,
                "scheduler": "serial" if asked.executor == "serial" else None,
                "only": list(asked.only),
                "limit": asked.limit,
                "overwrite": asked.overwrite and (same or not is_ours),
                "same": same,
                "devices": devices,
                "started": job.started,
                "restarts": job.restarts,
            }
        )
        return ",".join(map(str, devices))

    def found(self, job: Job, folder: JobFolder) -> None:
        """A job of an earlier life is at work: what it has, it keeps."""
        self._devices[job.id] = tuple(folder.start().get("devices", ()))

    @property
    def devices_taken(self) -> int:
        """How many of the service's devices jobs have."""
        return len({device for held in self._devices.values() for device in held})

    def free(self, job_id: str) -> None:
        """A job is at work no more."""
        self._devices.pop(job_id, None)

    def _take(self, job: Job) -> tuple[int, ...]:
        self._devices.pop(job.id, None)
        taken = {device for held in self._devices.values() for device in held}
        free = [device for device in self.capacity.devices if device not in taken]
        mine = tuple(free[: self.capacity.devices_for(job)])
        self._devices[job.id] = mine
        return mine
