"""Binaries of the CUDA sources: compiled by NVRTC with our options and no others, and kept on disk.

CuPy's own way to a module adds options of its own (the last ``-ftz`` counts: subnormal voxels would be zero)
and asks for the toolkit's headers, which a machine with nothing but a driver lacks. No source here includes
anything, so NVRTC alone will do.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

OPTIONS = ("--std=c++17", "--fmad=false")
"""For NVRTC: no product and sum are joined unless the source says so (``fmaf``)."""

_HEADERS = {
    "resample": ("voxel.cuh", "window.cuh"),
    "plane": ("voxel.cuh", "window.cuh"),
    "statistics": ("voxel.cuh", "tally.cuh"),
    "clahe": ("voxel.cuh", "tally.cuh"),
}
_HEADERS_OF_OTHERS = ("voxel.cuh",)
_FOLDER = Path(__file__).parent
_SUM_BYTES = hashlib.sha256().digest_size


def read_source(name: str) -> str:
    """The text of a kernel file with the headers it builds on in front; line numbers are kept."""
    return "".join(
        f'#line 1 "{part}"\n{(_FOLDER / part).read_text("utf-8")}'
        for part in (*_HEADERS.get(name, _HEADERS_OF_OTHERS), f"{name}.cu")
    )


def target_for(capability: int, supported: list[int]) -> str:
    """What NVRTC compiles to for a device of a compute capability (90 for 9.0), as its ``-arch`` names it.

    A binary runs on every later device of its own generation; one of a later generation than NVRTC knows
    takes PTX, which its driver compiles.
    """
    known = [each for each in supported if each <= capability]
    if not known:
        raise RuntimeError(
            f"NVRTC compiles for compute capability {min(supported) / 10:.1f} and later, and the device "
            f"has {capability / 10:.1f}"
        )
    newest = max(known)
    return f"{'sm' if newest // 10 == capability // 10 else 'compute'}_{newest}"


def binary_of(name: str, capability: int) -> bytes:
    """A source's kernels for a device of that compute capability, from disk where they were made before.

    Raises RuntimeError where NVRTC is missing (CuPy's own), or does not compile it; the message has its log.
    """
    from cupy.cuda import nvrtc

    target = target_for(capability, nvrtc.getSupportedArchs())
    text = read_source(name)
    made_of = "\0".join([text, *OPTIONS, target, repr(nvrtc.getVersion())])
    kept = kept_at(hashlib.sha256(made_of.encode()).hexdigest())
    binary = _load(kept)
    if binary is None:
        binary = compile_text(text, f"{name}.cu", target)[0]
        _keep(kept, binary)
    return binary


def compile_text(text: str, file: str, target: str, *more: str) -> tuple[bytes, str]:
    """The binary (PTX for a ``compute_`` target) and NVRTC's log; ``more`` options change no code."""
    from cupy.cuda import nvrtc

    program = nvrtc.createProgram(text, file, (), ())
    try:
        nvrtc.compileProgram(program, (*OPTIONS, f"-arch={target}", *more))
        log = nvrtc.getProgramLog(program)
        ptx = target.startswith("compute")
        # CuPy takes the last byte of a binary for the end of a text
        made: Any = nvrtc.getPTX(program) if ptx else nvrtc.getCUBIN(program) + b"\0"
        return bytes(made), log
    except nvrtc.NVRTCError as error:
        log = nvrtc.getProgramLog(program)
        raise RuntimeError(f"{file} does not compile for {target}: {error}\n{log}") from error
    finally:
        nvrtc.destroyProgram(program)


def kept_at(key: str) -> Path | None:
    """Where a binary of that key is kept: in ``GPUPREP_CACHE_DIR``, or the user's folder for caches.

    None where there is no such folder and none can be made; every process then compiles for itself.
    """
    with suppress(OSError, RuntimeError):  # the latter where there is no home
        user = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        folder = Path(os.environ.get("GPUPREP_CACHE_DIR") or Path(user) / "gpuprep").absolute()
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return folder / f"{key}.cubin"
    return None


def _load(path: Path | None) -> bytes | None:
    """A kept binary; None where it is not there, not whole, or another user could have put it there."""
    if path is None:
        return None
    with suppress(OSError), path.open("rb") as file:
        if os.fstat(file.fileno()).st_uid in (0, os.geteuid()):
            content = file.read()
            binary = content[_SUM_BYTES:]
            if hashlib.sha256(binary).digest() == content[:_SUM_BYTES]:
                return binary
    return None


def _keep(path: Path | None, binary: bytes) -> None:
    """Write a binary and its sum; where that fails, the next process compiles again."""
    if path is None:
        return
    with suppress(OSError):
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, suffix=".part")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(hashlib.sha256(binary).digest() + binary)
            os.replace(temporary, path)  # noqa: PTH105
        except OSError:
            os.unlink(temporary)  # noqa: PTH108
            raise
