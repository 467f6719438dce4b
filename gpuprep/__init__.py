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

from gpuprep.values.version import __version__ as __version__

if TYPE_CHECKING:
    from gpuprep.client.client import Client
    from gpuprep.config.file import load_config
    from gpuprep.config.model import Config
    from gpuprep.ledger.report import RunReport
    from gpuprep.ledger.run_state import RunState
    from gpuprep.ledger.state import read_state as status
    from gpuprep.running.coordinator import run
    from gpuprep.store.reader import Cohort
    from gpuprep.store.reader import open_cohort as open
    from gpuprep.store.stored_case import StoredCase as Case
    from gpuprep.store.stored_case import open_case
    from gpuprep.values.errors import CohortWarning, GpuprepError
    from gpuprep.values.geometry import Geometry

__all__ = [
    "Case",
    "Client",
    "Cohort",
    "CohortWarning",
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
    "Case": ("gpuprep.store.stored_case", "StoredCase"),
    "Client": ("gpuprep.client.client", "Client"),
    "Cohort": ("gpuprep.store.reader", "Cohort"),
    "CohortWarning": ("gpuprep.values.errors", "CohortWarning"),
    "Config": ("gpuprep.config.model", "Config"),
    "Geometry": ("gpuprep.values.geometry", "Geometry"),
    "GpuprepError": ("gpuprep.values.errors", "GpuprepError"),
    "RunReport": ("gpuprep.ledger.report", "RunReport"),
    "RunState": ("gpuprep.ledger.run_state", "RunState"),
    "load_config": ("gpuprep.config.file", "load_config"),
    "open": ("gpuprep.store.reader", "open_cohort"),
    "open_case": ("gpuprep.store.stored_case", "open_case"),
    "run": ("gpuprep.running.coordinator", "run"),
    "status": ("gpuprep.ledger.state", "read_state"),
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'gpuprep' has no attribute {name!r}")
    module, attribute = _HOMES[name]
    return getattr(importlib.import_module(module), attribute)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
