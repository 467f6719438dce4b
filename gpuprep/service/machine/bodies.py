"""What the service tells of its machine."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class _Answer(BaseModel):
    model_config = ConfigDict(use_attribute_docstrings=True)


class Share(_Answer):
    """How much of something jobs at work have."""

    taken: float
    capacity: float


class Memory(_Answer):
    """Bytes of memory that this machine, or the container of the service, has."""

    total: int
    used: int


class Disk(_Answer):
    """Bytes of the disk on which cohorts are made."""

    total: int
    free: int


class GpuView(_Answer):
    """One NVIDIA GPU; null is what its driver does not tell."""

    index: int
    name: str
    memory_total: int | None
    memory_used: int | None
    busy: float | None
    """Share of the last moment in which a kernel ran, 0 to 1."""


class SlotView(_Answer):
    """The warm slots of one profile."""

    profile: str
    slots: int
    busy: int
    waiting: int
    """Volumes that wait for a slot."""


class AtWork(_Answer):
    """A job at work. Whose it is and what it makes is told to its owner and to admins."""

    job: str | None
    cohort: str | None
    owner: str | None
    workers: int
    seconds: float
    """Since it began."""
    stages: dict[str, float]
    """Seconds of work by stage so far, over all its workers."""


class GpuHistory(_Answer):
    """One GPU over time."""

    index: int
    busy: list[float | None]
    memory: list[int | None]
    """Bytes that are used."""


class History(_Answer):
    """The last hour; each list has one entry for each of ``time``."""

    every: float
    """Seconds from one sample to the next."""
    time: list[float]
    """Seconds since the epoch."""
    busy: list[float | None]
    """Share of all cores that was at work, 0 to 1."""
    memory: list[int]
    """Bytes that are used."""
    disk: list[int | None]
    """Bytes that are free."""
    workers: list[int]
    """Worker processes of all jobs at work."""
    waiting: list[int]
    """Jobs that wait for their turn."""
    stages: dict[str, list[float]]
    """Workers at each stage: seconds of its work for each second that went by; told as cases end."""
    gpus: list[GpuHistory]


class MachineView(_Answer):
    """What the machine of a service does. Sizes are bytes, times seconds."""

    time: float
    """When this was told, in seconds since the epoch."""
    since: float
    """When the service began."""
    cores: int
    """That the service may use."""
    busy: float | None
    """Share of all cores that was at work of late, 0 to 1."""
    load: float | None
    """Processes that run or wait to, over the last minute."""
    memory: Memory
    disk: Disk | None
    """Null where cohorts lie on no disk of this machine, or it does not answer."""
    gpus: list[GpuView]
    workers: Share
    """Worker processes."""
    planned: Share
    """Bytes of memory, as the plans of jobs project them."""
    devices: Share
    """CUDA devices that jobs share out."""
    jobs_waiting: int
    jobs_working: int
    jobs_capacity: int
    longest_wait: float
    """Seconds that the job has waited that has waited longest."""
    slots: list[SlotView]
    at_work: list[AtWork]
    stages: dict[str, float]
    """Seconds of work by stage since the service began, over all jobs."""
    history: History
