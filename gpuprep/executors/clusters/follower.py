"""One of Dask's commands, which ends when the process that started it is gone, however that ended.

python -m gpuprep.executors.clusters.follower PARENT dask_worker OPTION …
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
import threading
import time

_POLL_SECONDS = 1.0
_LEAVING_SECONDS = 10.0


def main() -> None:
    parent, module, *options = sys.argv[1:]
    threading.Thread(target=_follow, args=[int(parent)], daemon=True).start()
    sys.argv = [module, *options]
    runpy.run_module(f"distributed.cli.{module}", run_name="__main__", alter_sys=True)


def _follow(parent: int) -> None:
    """Leave once another process has adopted this one: first as told to, then at once."""
    while os.getppid() == parent:
        time.sleep(_POLL_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_LEAVING_SECONDS)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main()
