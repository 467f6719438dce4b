"""Workers that start without the user's script.

A spawned process of Python imports the script that started it, for what may be pickled from there. Our
workers need nothing of it; a script without ``if __name__ == "__main__":`` would begin its run again in
each of them, and one that imports torch would do so in each.
"""

from __future__ import annotations

from functools import wraps
from multiprocessing import spawn
from typing import Any

_WORKERS = "Dask Worker process"  # how the nanny names them
_OF_THE_SCRIPT = ("init_main_from_name", "init_main_from_path")

_prepare = spawn.get_preparation_data


def leave_script_alone() -> None:
    """From now on no Dask worker imports the main module of this process; other processes still do."""
    spawn.get_preparation_data = _prepare_without_script


@wraps(_prepare)
def _prepare_without_script(name: str) -> dict[str, Any]:
    prepared = _prepare(name)
    if name.startswith(_WORKERS):
        for key in _OF_THE_SCRIPT:
            prepared.pop(key, None)
    return prepared
