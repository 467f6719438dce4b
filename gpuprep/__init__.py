"""gpuprep: folders of CT and MR scans in, training-ready Zarr cohorts out.

    import gpuprep
    gpuprep.run("scans", "out", config="configs/ct_abdomen.yaml")
    cohort = gpuprep.open("out")
    patch = cohort["liver_0"].image[40:136, 100:196, 100:196]

Importing this package loads nothing heavy; each name is loaded when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from gpuprep.config import Config
    from gpuprep.config_file import load_config
    from gpuprep.coordinator import run
    from gpuprep.errors import GpuprepError
    from gpuprep.geometry import Geometry
    from gpuprep.run_state import RunState
    from gpuprep.run_state import read_state as status
    from gpuprep.store.reader import Case, Cohort, open_case
    from gpuprep.store.reader import open_cohort as open
    from gpuprep.tally import RunReport

__all__ = [
    "Case",
    "Cohort",
    "Config",
    "Geometry",
    "GpuprepError",
    "RunReport",
    "RunState",
    "load_config",
    "open",
    "open_case",
    "run",
    "status",
]

_HOMES = {
    "Case": ("gpuprep.store.reader", "Case"),
    "Cohort": ("gpuprep.store.reader", "Cohort"),
    "Config": ("gpuprep.config", "Config"),
    "Geometry": ("gpuprep.geometry", "Geometry"),
    "GpuprepError": ("gpuprep.errors", "GpuprepError"),
    "RunReport": ("gpuprep.tally", "RunReport"),
    "RunState": ("gpuprep.run_state", "RunState"),
    "load_config": ("gpuprep.config_file", "load_config"),
    "open": ("gpuprep.store.reader", "open_cohort"),
    "open_case": ("gpuprep.store.reader", "open_case"),
    "run": ("gpuprep.coordinator", "run"),
    "status": ("gpuprep.run_state", "read_state"),
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'gpuprep' has no attribute {name!r}")
    module, attribute = _HOMES[name]
    return getattr(importlib.import_module(module), attribute)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
