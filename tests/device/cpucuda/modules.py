"""Images that CuPy loads, by the source they came from; imported right behind CuPy.

NVRTC compiles as on any machine. Which source a cubin came from is noted beside the built stand-in, so that
one which was kept on disk is known to a later process; those of gpuprep's are known by their kernels, too.
"""

from __future__ import annotations

import ctypes
import hashlib
import re
import struct
import sys
import traceback
from functools import cache
from pathlib import Path
from typing import Any

from device.cpucuda import machine
from device.cpucuda.machine import library
from kernels.cuda_on_cpu.cpu_module import CpuModule

_SOURCES = Path(machine.FOLDER) / "sources"
_CODES = {
    "bool": "?",
    "signed char": "b",
    "unsigned char": "B",
    "short": "h",
    "unsigned short": "H",
    "int": "i",
    "unsigned int": "I",
    "long long": "q",
    "unsigned long long": "Q",
    "float16": "e",
    "float": "f",
    "double": "d",
}
_KINDS = {
    "cupy_fill": "copy",
    "cupy_copy": "copy",
    "cupy_equal": "equal",
    "cupy_not_equal": "not_equal",
}


def _watch_nvrtc() -> None:
    """Note the source of every cubin that NVRTC gives."""
    from cupy_backends.cuda.libs import nvrtc

    texts: dict[int, str] = {}
    create, get = nvrtc.createProgram, nvrtc.getCUBIN

    def create_program(source: Any, *arguments: Any) -> int:
        program = create(source, *arguments)
        texts[program] = source if isinstance(source, str) else source.decode()
        return program

    def get_cubin(program: int) -> bytes:
        cubin = get(program)
        place = _SOURCES / _name_of(cubin)
        part = place.with_suffix(f".{id(program)}")
        part.parent.mkdir(exist_ok=True)
        part.write_text(texts[program], "utf-8")
        part.replace(place)
        return cubin

    nvrtc.createProgram, nvrtc.getCUBIN = create_program, get_cubin


def _name_of(image: bytes) -> str:
    whole = image[: _elf_size(image)].rstrip(b"\0")  # CuPy takes a last zero away
    return hashlib.sha256(whole).hexdigest()[:32]


def _elf_size(header: bytes) -> int:
    """Bytes of an ELF file: cubins end with their table of segments or of sections."""
    if header[:4] != b"\x7fELF":
        raise ValueError("an image that is no cubin")
    segments, sections = struct.unpack_from("<QQ", header, 32)
    segment, segment_count, section, section_count = struct.unpack_from("<HHHH", header, 54)
    return max(segments + segment * segment_count, sections + section * section_count)


def _source_of(image: bytes) -> str:
    noted = _SOURCES / _name_of(image)
    if noted.exists():
        return noted.read_text("utf-8")
    from gpuprep.kernels.compiler import read_source
    from gpuprep.kernels.loader import SOURCES

    for text in map(read_source, SOURCES):
        kernels = CpuModule(text).bounds
        if all(f".text.{name}\0".encode() in image for name in kernels):
            return text
    raise ValueError("an image whose source is not known")


_modules: dict[int, str] = {}
_cpu_module = cache(CpuModule)


def _load(address: int) -> int | None:
    try:
        size = _elf_size(ctypes.string_at(address, 64))
        handle = len(_modules) + 1
        _modules[handle] = _source_of(ctypes.string_at(address, size))
    except Exception:
        traceback.print_exc(file=sys.stderr)
        return None
    return handle


@cache
def _function(module: int, name: bytes, device: int) -> int | None:
    source = _modules[module]
    if "cupy/carray.cuh" in source:
        return _cupy_function(name, source, device)
    built = _cpu_module(source)._library
    parameters = built.cuda_on_cpu_parameters(name)
    if parameters is None:
        return None
    sizes = [
        "8p" if each.startswith("p") else each[1:]
        for each in parameters.decode().rstrip(",").split(",")
    ]
    run = ctypes.cast(built.cuda_on_cpu_launch, ctypes.c_void_p)
    message = ctypes.cast(built.cuda_on_cpu_message, ctypes.c_void_p)
    return library.cpucuda_cpu_function(name, ",".join(sizes).encode(), device, run, message)


_PARAMETER = re.compile(
    r"\s*(?:const )?(?:CArray<([\w ]+), (\d+)[^>]*>|CIndexer<[^>]*>|([\w ]+?)) (\w+)\s*(?:,|$)"
)


def _cupy_function(name: bytes, source: str, device: int) -> int:
    """One of the few kernels of CuPy's own that the stand-in knows."""
    text = name.decode()
    head = re.search(rf"void\s+{text}\s*\(([^{{]*)\)\s*\{{", source, re.S)
    kind = next((_KINDS[each] for each in _KINDS if re.match(rf"{each}(__|$)", text)), None)
    if kind is None or head is None:
        raise ValueError(f"CuPy's own kernel {text}")
    names = {new: old for old, new in re.findall(r"typedef ([\w ]+) (\w+);", source)}
    operands, sizes, dimensions = "", [], 0
    for array, ndim, value, _ in _PARAMETER.findall(re.sub(r"\s+", " ", head[1])):
        if not array and not value:
            sizes.append(8 + 16 * dimensions)  # the index over all of them
            continue
        code = _CODES[names.get(array or value, array or value)]
        operands += code + ("a" if array else "v")
        dimensions = int(ndim or dimensions)
        sizes.append(16 + 16 * dimensions if array else struct.calcsize(code))
    given = ",".join(map(str, sizes)).encode()
    return library.cpucuda_cupy_function(
        name, given, device, kind.encode(), dimensions, operands.encode()
    )


def _get_function(module: int, name: bytes, device: int) -> int | None:
    try:
        return _function(module, name, device)
    except Exception:
        traceback.print_exc(file=sys.stderr)
        return None


_LOAD = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)(_load)
_GET = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int)(
    _get_function
)
library.cpucuda_callbacks(_LOAD, _GET)
_watch_nvrtc()
