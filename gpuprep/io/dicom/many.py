"""The headers of many files, read by several processes where that pays."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from gpuprep.host.resources import available_cores
from gpuprep.io.dicom.membership import Header, from_row
from gpuprep.io.sandbox.parent import Sandbox
from gpuprep.values.errors import GpuprepError

_PER_PROCESS = 1024  # files that take longer than a process to start
_PER_REQUEST = 64
_MOST = 32  # processes, which wait for a disk more than they compute


def read_headers(paths: Sequence[str], processes: int | None = None) -> list[Header]:
    """What the header of each file tells; see ``header.read_header``.

    Args:
        processes: at most so many besides this one; as many as there are cores by default.
    """
    most = min(_MOST, available_cores()) if processes is None else processes
    number = min(most, len(paths) // _PER_PROCESS)
    if number < 2:
        return _read_here(paths)
    with ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(number))
        readers = [stack.enter_context(Sandbox()) for _ in range(number)]
        starts = range(0, len(paths), _PER_REQUEST)
        requests = [paths[start : start + _PER_REQUEST] for start in starts]
        shares = [requests[k::number] for k in range(number)]
        answers = list(pool.map(_read_share, readers, shares))
    ordered = itertools.chain.from_iterable(itertools.zip_longest(*answers, fillvalue=[]))
    return list(itertools.chain.from_iterable(ordered))


def _read_share(reader: Sandbox, requests: Sequence[Sequence[str]]) -> list[list[Header]]:
    return [_read(reader, paths) for paths in requests]


def _read(reader: Sandbox, paths: Sequence[str]) -> list[Header]:
    """What some headers tell; what a process does not bear is read here, file by file."""
    try:
        return [from_row(row) for row in reader.headers(paths)]
    except (GpuprepError, OSError):
        return _read_here(paths)


def _read_here(paths: Sequence[str]) -> list[Header]:
    from gpuprep.io.dicom.header import read_header  # loads pydicom

    return [read_header(Path(path)) for path in paths]
