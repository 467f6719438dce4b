"""The disposable process that reads: started by ``sandbox``, never imported by it.

It takes requests from a socket, decodes into shared memory and answers. It dies when its parent does
(its standard input ends), cannot take more memory or time than the rules allow nor write a larger file
than its voxels, and leaves no core file, which would hold patient data.
"""

from __future__ import annotations

import math
import os
import resource
import socket
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any

import gpuprep.io.sandbox.nibabel_alone  # noqa: F401  (before what imports nibabel)
from gpuprep.host.failpoints import failpoint
from gpuprep.io.dicom.membership import to_row
from gpuprep.io.reader import peek, read
from gpuprep.io.room import ITK_BYTES
from gpuprep.io.rules import ReadRules
from gpuprep.io.sandbox.shared_voxels import SharedMemory
from gpuprep.io.sandbox.wire import Wire
from gpuprep.values.case import Source
from gpuprep.values.errors import InputError, MemoryShortage

_WIDEST = 4  # bytes of a decoded voxel per stored one: uint8 may become float32
_LEAST_MEMORY = 1 << 28  # what the libraries take for themselves, however small the voxels
_MEMORY_PER_BYTE = 3  # decoded voxels, the library's own copy, and room for a dtype change


def main(descriptor: int) -> None:
    """Serve requests until the parent hangs up."""
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    wire = Wire(socket.socket(fileno=descriptor))
    rules = ReadRules.from_json(wire.receive()[0])
    memory = limit_memory(rules)
    resource.setrlimit(resource.RLIMIT_FSIZE, (_WIDEST * rules.max_bytes,) * 2)
    wire.send({"ready": os.getpid()})
    while True:
        try:
            request, _ = wire.receive()
        except EOFError:
            return
        rules = ReadRules.from_json(request["rules"])
        limit_seconds(rules)
        _serve(wire, request, rules, memory)


def limit_seconds(rules: ReadRules) -> None:
    """Cap the processor time of the next request: it ends even where the parent cannot end it."""
    seconds = math.ceil(time.process_time() + rules.timeout_seconds) + 1
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    if hard == resource.RLIM_INFINITY or seconds < hard:
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, hard))


def limit_memory(rules: ReadRules) -> int:
    """Cap the address space of this process; returns the bytes it may still take."""
    allowed = rules.memory_bytes
    if allowed is None:
        physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        voxels = max(_MEMORY_PER_BYTE * rules.max_bytes, _LEAST_MEMORY)
        allowed = min(voxels, physical * 3 // 4)
    with open("/proc/self/statm") as file:  # noqa: PTH123
        baseline = int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit = baseline + allowed
    most = limit + ITK_BYTES + (rules.max_bytes if rules.in_memory_bytes is not None else 0)
    if hard != resource.RLIM_INFINITY:
        limit, most = min(limit, hard), min(most, hard)
    resource.setrlimit(resource.RLIMIT_AS, (limit, most))
    return allowed


def _serve(wire: Wire, request: dict[str, Any], rules: ReadRules, memory: int) -> None:
    asked = request["sources"]
    sources = [Source.from_json(row) for row in asked]
    source = sources[0]
    shared = SharedMemory(rules.in_memory_bytes, rules.scratch)
    try:
        if request["operation"] == "peek":
            answer: dict[str, Any] = {"told": [_peeked(each, rules, memory) for each in sources]}
        elif request["operation"] == "headers":
            from gpuprep.io.dicom.header import read_header  # loads pydicom

            answer = {"rows": [to_row(read_header(Path(file))) for file in source.files]}
        else:
            failpoint("in_reader", source.path)
            answer = read(source, rules, shared.allocate).to_json()
        wire.send({"answer": answer}, shared.take())
    except Exception as error:
        wire.send({"error": _described(error, source, memory)})
    finally:
        shared.drop()


def _peeked(source: Source, rules: ReadRules, memory: int) -> dict[str, Any]:
    """The answer about one of several sources: its error is no error of the others."""
    try:
        failpoint("in_header", source.path)
        return {"answer": peek(source, rules).to_json()}
    except Exception as error:
        return {"error": _described(error, source, memory)}


def _described(error: Exception, source: Source, memory: int) -> dict[str, Any]:
    if isinstance(error, InputError):
        return {
            "kind": "input",
            "code": error.code,
            "message": error.message,
            "path": error.path or source.path,
            "advice": error.advice,
        }
    if isinstance(error, MemoryError | MemoryShortage):
        text = f"{source.path}: {error or 'out of memory'}; the reader may take {memory:,} bytes"
        return {"kind": "memory", "message": text}
    if isinstance(error, OSError) and error.errno is not None:
        name = str(error.filename or source.path)
        return {"kind": "os", "errno": error.errno, "message": error.strerror, "path": name}
    text = "".join(traceback.format_exception(error))[-4000:]
    return {"kind": "bug", "message": f"{type(error).__name__}: {error}", "trace": text}


def _leave_with_parent() -> None:
    """Standard input is a pipe that nobody writes to: it ends when the parent is gone."""
    os.read(sys.stdin.fileno(), 1)
    os._exit(0)


if __name__ == "__main__":
    main(int(sys.argv[1]))
