"""Builds the stand-in once per CuPy, Python and text of its sources, into the user's cache folder."""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from device.cpucuda.archives import (
    NotInstalled,
    cuda_headers,
    cuda_version,
    fetch_cython,
    fetch_sdist,
)
from kernels.cuda_on_cpu.cpu_module import missing

_HERE = Path(__file__).parent
_RUNTIME = "cupy_backends/cuda/api/runtime"
_LIBRARY = "libcuda.so.1"
_COMMON = ("-std=c++17", "-O1", "-g", "-fPIC")

_CYTHONIZE = """
import sys
import Cython
from Cython.Compiler.Main import CompilationOptions, compile
from Cython.Compiler.Options import default_options
environment = {
    "CUPY_USE_CUDA_PYTHON": False, "CUPY_CUFFT_STATIC": False, "CUPY_HIP_VERSION": 0,
    "CUPY_CYTHON_VERSION": Cython.__version__, "CUPY_CUDA_VERSION": int(sys.argv[3]),
}
options = CompilationOptions(
    default_options, cplus=True, language_level=3, compile_time_env=environment, output_file=sys.argv[2],
    compiler_directives={"embedsignature": True, "binding": False},
)
sys.exit(compile(sys.argv[1], options).num_errors)
"""

# CuPy's own first file, with the library in the process before it and our part behind it
_INIT = """
import ctypes
ctypes.CDLL({library!r}, ctypes.RTLD_GLOBAL)
with open({original!r}) as file:
    exec(compile(file.read(), {original!r}, "exec"))
import device.cpucuda.modules
"""


def build() -> Path:
    """The built stand-in's folder: the library, and ``site`` with the CuPy that is to be imported.

    Raises:
        NotInstalled: it cannot be built here; the message names what is missing.
    """
    if missing():
        raise NotInstalled(missing())
    wheel, version = _installed_cupy()
    own = [*sorted((_HERE / "src").iterdir()), _HERE / "build.py", _HERE / "archives.py"]
    texts = [path.read_bytes() for path in own]
    parts = [*texts, str(wheel).encode(), version.encode(), sys.version.encode()]
    key = hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]
    folder = _cache() / key
    if not folder.exists():
        with tempfile.TemporaryDirectory(dir=_cache()) as work:
            _make(folder, Path(work), wheel, version)
    return folder


def _installed_cupy() -> tuple[Path, str]:
    """The folder that CuPy lies in, and its version."""
    try:
        version = importlib.metadata.version("cupy-cuda13x")
    except importlib.metadata.PackageNotFoundError:
        raise NotInstalled("cupy-cuda13x; pip install 'gpuprep[kernels]'") from None
    site = importlib.metadata.distribution("cupy-cuda13x").locate_file("")
    return Path(str(site)), version


def _make(folder: Path, work: Path, wheel: Path, version: str) -> None:
    sources = fetch_sdist(version, work)
    headers = cuda_headers(work)
    made = work / "made"
    made.mkdir()
    runtime = _compile_runtime(sources, fetch_cython(sources, work), headers, work)
    _compile_library(made / _LIBRARY, headers, work, needed_by=runtime)
    extension = made / f"runtime{sysconfig.get_config_var('EXT_SUFFIX')}"
    _run("g++", "-shared", "-o", extension, runtime, made / _LIBRARY, f"-Wl,-rpath,{folder}")
    _lay_out(made / "site", wheel, extension, folder / _LIBRARY)
    try:
        made.rename(folder)
    except OSError:  # another process was faster
        if not folder.exists():
            raise


def _compile_runtime(sources: Path, cython: Path, headers: Path, work: Path) -> Path:
    """CuPy's binding to the runtime, as an object file."""
    script, generated, made = work / "cythonize.py", work / "runtime.cpp", work / "runtime.o"
    script.write_text(_CYTHONIZE)
    version = str(cuda_version(headers))
    environment = os.environ | {"PYTHONPATH": str(cython)}
    command = (sys.executable, script, f"{_RUNTIME}.pyx", generated, version)
    _run(*command, cwd=sources, env=environment)
    folders = (sources / "cupy_backends/cuda/api", headers, sysconfig.get_path("include"))
    includes = [f"-I{each}" for each in folders]
    _run("g++", *_COMMON, "-w", *includes, "-c", generated, "-o", made, cwd=sources)
    return made


def _compile_library(library: Path, headers: Path, work: Path, needed_by: Path) -> None:
    """Our CUDA; of functions that CuPy knows and it has not, it says so when they are called."""
    objects = []
    for source in sorted((_HERE / "src").glob("*.cpp")):
        objects.append(work / f"{source.stem}.o")
        _run(
            "g++",
            *_COMMON,
            "-Wall",
            "-Wextra",
            "-Werror",
            f"-I{headers}",
            "-c",
            source,
            "-o",
            objects[-1],
        )
    have = {name for each in objects for name in _symbols(each, "--defined-only")}
    absent = sorted(_symbols(needed_by, "--undefined-only") - have)
    lines = [f'int {name}() {{ return cpucuda_absent("{name}"); }}' for name in absent]
    (work / "absent.c").write_text("int cpucuda_absent(const char *name);\n" + "\n".join(lines))
    _run("gcc", "-fPIC", "-c", work / "absent.c", "-o", work / "absent.o")
    linked = (
        "-shared",
        f"-Wl,-soname,{_LIBRARY}",
        "-o",
        library,
        *objects,
        work / "absent.o",
        "-ldl",
    )
    _run("g++", *linked)


def _symbols(path: Path, which: str) -> set[str]:
    listed = _run("nm", which, "--format=posix", path).splitlines()
    return {line.split()[0] for line in listed if line.startswith("cuda")}


def _lay_out(site: Path, wheel: Path, runtime: Path, library: Path) -> None:
    """The wheel by links, but for the binding and CuPy's first file."""
    (site / "cupy_backends/cuda/api").mkdir(parents=True)
    (site / "cupy").mkdir()
    places = ("cupy", "cupy_backends", "cupy_backends/cuda", "cupy_backends/cuda/api")
    for place in places:
        for path in (wheel / place).iterdir():
            if not (site / place / path.name).exists() and path.name != "__pycache__":
                (site / place / path.name).symlink_to(path)
    (site / "cupyx").symlink_to(wheel / "cupyx")
    original = site / "cupy" / "__init__.py"
    original.unlink()
    text = _INIT.format(library=str(library), original=str(wheel / "cupy" / "__init__.py"))
    original.write_text(text)
    (site / f"{_RUNTIME}{sysconfig.get_config_var('EXT_SUFFIX')}").unlink()
    shutil.move(runtime, site / f"{_RUNTIME}{sysconfig.get_config_var('EXT_SUFFIX')}")


def _run(*command: str | Path, cwd: Path | None = None, env: dict[str, str] | None = None) -> str:
    try:
        done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise NotInstalled(f"{command[0]} is not installed") from error
    if done.returncode:
        raise NotInstalled(
            f"{Path(command[0]).name} failed: {(done.stderr or done.stdout)[-3000:]}"
        )
    return done.stdout


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(base) / "gpuprep-tests" / "cpucuda"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder
