"""One measurement in a process of its own: ``run_alone`` starts it, and as a script this module is it."""

from __future__ import annotations

import importlib
import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from paths import Task
from timing import ROOT, forget_peak, resident_bytes, spent, threads_environment

_ABSENT = 3  # exit status: a library of this path is not installed


class Absent(Exception):
    """A path that cannot run here; the message says what is missing."""


def run_alone(path: str, task: Task, *, python: str, keep: Path | None = None) -> dict[str, Any]:
    """Measure one path on as many cores as the task has threads.

    Args:
        path: a module of ``paths``.
        python: the interpreter that has the path's libraries.
        keep: a folder for what was stored, as ``image.npy`` and ``label.npy``; not measured.

    Raises:
        Absent: the interpreter lacks a library.
        RuntimeError: the path failed.
    """
    request = json.dumps({"path": path, "task": task.to_json(), "keep": str(keep or "")})
    folders = os.pathsep.join((str(ROOT), os.environ.get("PYTHONPATH", ""))).rstrip(os.pathsep)
    environment = {**threads_environment(task.threads), "PYTHONPATH": folders}
    done = subprocess.run(
        [python, __file__, request], capture_output=True, text=True, check=False, env=environment
    )
    last = done.stderr.strip().rpartition("\n")[2]
    if done.returncode == _ABSENT:
        raise Absent(last)
    if done.returncode:
        raise RuntimeError(f"{path} failed on {task.image}:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])  # libraries may print before


def main(request: dict[str, Any]) -> dict[str, Any]:
    """Do what ``run_alone`` asked for, and tell what it took."""
    task = Task(**request["task"])
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: task.threads])
    try:
        module = importlib.import_module(f"paths.{request['path']}")
    except ImportError as error:
        print(error, file=sys.stderr)
        raise SystemExit(_ABSENT) from None
    work = module.prepare(task)
    before = forget_peak()
    stages, took = spent(work)
    peak = resident_bytes("VmHWM") - before
    image, label = module.stored(task)
    if request["keep"]:
        np.save(Path(request["keep"]) / "image.npy", image)
        np.save(Path(request["keep"]) / "label.npy", label)
    files = [file for file in Path(task.folder).rglob("*") if file.is_file()]
    return {
        "wall": took.wall,
        "cpu": took.cpu,
        "peak_bytes": peak,
        "written_bytes": sum(file.stat().st_size for file in files),
        "output_shape": image.shape,
        "output_voxels": math.prod(image.shape),
        "stages": stages,
    }


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))))
