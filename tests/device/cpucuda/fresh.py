"""What gpuprep and CuPy keep for the life of a process, forgotten between tests."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

from device.cpucuda.machine import Machine


@contextmanager
def fresh_process() -> Iterator[Machine]:
    """A process that has not used a device yet, and one that has none in use behind the block."""
    machine = Machine()
    _forget()
    machine.reset()
    try:
        yield machine
    finally:
        machine.reset()
        _forget()
        machine.reset()


def _forget() -> None:
    import cupy

    from gpuprep.device import cuda
    from gpuprep.kernels import loader

    loader.cuda_engine.cache_clear()
    for kept in (cuda._opened, cuda._gates, loader._modules):
        kept.clear()
    cupy.cuda._available = None
    gc.collect()
    cupy.get_default_memory_pool().free_all_blocks()
    cupy.get_default_pinned_memory_pool().free_all_blocks()
