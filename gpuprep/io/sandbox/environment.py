"""The environment of the process that reads."""

from __future__ import annotations

import os
from pathlib import Path

_PASSED_ON = (
    *("LD_LIBRARY_PATH", "PYTHONHOME", "TMPDIR"),
    *("GPUPREP_FAILPOINTS", "GPUPREP_FAILPOINTS_COUNTS"),
)
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS")


def bare_environment() -> dict[str, str]:
    """The least that Python and the libraries need; nothing secret of the parent's goes along."""
    root = str(Path(__file__).resolve().parents[3])  # the folder that holds the package
    paths = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    environment["PYTHONPATH"] = os.pathsep.join(dict.fromkeys([root, *map(os.path.abspath, paths)]))
    environment["PATH"] = os.defpath
    environment["LANG"] = "C.UTF-8"
    return environment | dict.fromkeys(_ONE_THREAD, "1")
