"""What a worker on another host must share with a run, and what is found when it is asked."""

from __future__ import annotations

import platform
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dask
import distributed
import numpy

from gpuprep.host.backend import cupy_missing
from gpuprep.store.places import to_place
from gpuprep.values.errors import GpuprepError
from gpuprep.values.version import __version__

_admitted_to: set[str] = set()
_DEATHS = "distributed.scheduler.allowed-failures"


@dataclass(frozen=True, slots=True)
class Terms:
    """What a worker on another host must share with this run."""

    output: str
    """Its folder, or its URL."""
    inputs: tuple[str, ...]
    """Some files of the input."""
    backend: str
    memory: int
    """Bytes that each slot of a worker should have."""


def versions() -> dict[str, str]:
    """What decides whether two processes understand one another and give the same numbers."""
    return {
        "gpuprep": __version__,
        "Python": ".".join(platform.python_version_tuple()[:2]),
        "numpy": numpy.__version__,
        "distributed": distributed.__version__,
    }


def examine(terms: Mapping[str, Any]) -> dict[str, Any]:
    """Runs on a worker: its host and versions, and what it lacks of the terms, in words."""
    lacks = [f"does not see input {path}" for path in terms["inputs"] if not Path(path).exists()]
    try:
        if to_place(terms["file"]).read_bytes() != terms["token"].encode():
            lacks.append(f"sees another file at {terms['file']} than the run's host does")
    except OSError as error:
        lacks.append(f"does not see the output {terms['output']}: {error.strerror}")
    except GpuprepError as error:
        lacks.append(f"does not see the output {terms['output']}: {error}")
    if terms["backend"] == "cupy" and (missing := cupy_missing()):
        lacks.append(f"cannot use the cupy backend: {missing}")
    return {"host": socket.gethostname(), "versions": versions(), "lacks": lacks}


def admit(run: str) -> None:
    """Runs on a worker: it may do the tasks of a run from now on, until its process ends."""
    _admitted_to.add(run)


def is_admitted(run: str) -> bool:
    """Whether this process may do the tasks of a run."""
    return run in _admitted_to


def examine_scheduler() -> dict[str, Any]:
    """Runs on the scheduler: its host and versions, and how many deaths of workers it forgives a task."""
    return {
        "host": socket.gethostname(),
        "versions": versions(),
        "forgives": dask.config.get(_DEATHS),
    }


def objections(who: str, answer: Mapping[str, Any] | Exception) -> list[str]:
    """Why a process is not fit for the run; versions differ, or what it says it lacks."""
    if isinstance(answer, Exception):  # as from one without gpuprep
        return [f"{who}: {answer}"]
    here = f"this run on host {socket.gethostname()}"
    named = f"{who} on host {answer['host']}"
    return [
        f"{named} has {name} {answer['versions'].get(name)}, {here} has {own}"
        for name, own in versions().items()
        if answer["versions"].get(name) != own
    ] + [f"{named} {lack}" for lack in answer.get("lacks", ())]


def lenience(answer: Mapping[str, Any]) -> str:
    """A remark on a scheduler that does not tell of the first death; empty for one that does."""
    if not answer["forgives"]:
        return ""
    return (
        f"the scheduler lets a case take down {answer['forgives'] + 1} workers before it says so; start it"
        f" by gpuprep scheduler, or with {_DEATHS} 0"
    )


def shortage(worker: Mapping[str, Any], terms: Terms) -> str:
    """A remark on a worker with less memory than its cases may take; empty for one with enough."""
    limit, slots = worker["memory_limit"], worker["nthreads"]
    if not limit or limit // slots >= terms.memory:
        return ""
    return (
        f"has {limit // slots / 2**30:.1f} GiB for each of its {slots} slots, cases may take"
        f" {terms.memory / 2**30:.1f}; lower cluster.memory or start it with more"
    )
