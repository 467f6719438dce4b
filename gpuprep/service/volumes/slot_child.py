"""The process of one slot: started by ``slot``, never imported by it.

It dies when the service does (its standard input ends), and leaves no core file, which would hold patient
data. Without a device it cannot take much more memory than a volume may.
"""

from __future__ import annotations

import os
import resource
import socket
import sys
import threading
from contextlib import suppress
from pathlib import Path

from threadpoolctl import threadpool_limits

from gpuprep.host.priority import take_turns
from gpuprep.io.sandbox.wire import Wire
from gpuprep.service.volumes.bench import Bench
from gpuprep.service.volumes.orders import Order, Terms
from gpuprep.values.errors import GpuprepError

_ROOM = 2 << 30  # address space beyond a volume's memory: libraries, stacks, arenas


def main(descriptor: int) -> None:
    """Serve orders until the service hangs up."""
    take_turns()
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    wire = Wire(socket.socket(fileno=descriptor))
    terms = Terms.from_json(wire.receive()[0])
    with threadpool_limits(1):  # BLAS threads would fight with the engine's own
        try:
            bench = Bench(terms)
        except GpuprepError as error:
            wire.send({"error": error.message, "advice": error.advice})
            return
        bench.warm_up(Path(terms.folder) / "warm")
        if terms.backend == "numpy":  # CUDA reserves address space without end
            _limit_memory(terms.memory)
        wire.send({"ready": os.getpid()})
        while True:
            try:
                order = Order.from_json(wire.receive()[0])
            except EOFError:
                return
            wire.send(bench.do(order).to_json())
            with suppress(GpuprepError):  # the next volume tries again, and tells
                bench.get_ready()


def _limit_memory(allowed: int) -> None:
    with open("/proc/self/statm") as file:  # noqa: PTH123
        baseline = int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit = baseline + allowed + _ROOM
    if hard == resource.RLIM_INFINITY or limit < hard:
        resource.setrlimit(resource.RLIMIT_AS, (limit, hard))


def _leave_with_parent() -> None:
    """Standard input is a pipe that nobody writes to: it ends when the service is gone."""
    os.read(sys.stdin.fileno(), 1)
    os._exit(0)


if __name__ == "__main__":
    main(int(sys.argv[1]))
