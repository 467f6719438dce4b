"""What the stand-in is built from, through pip as it is set up here: CuPy's sdist, Cython, CUDA's headers."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path

_TOOLKITS = ("/usr/local/cuda-13.0", "/usr/local/cuda")
_HEADER_WHEELS = tuple(f"nvidia-cuda-{name}==13.0.*" for name in ("runtime", "crt", "profiler-api"))

# pip asks a sdist for its metadata before it keeps it, and CuPy's has none to give without a CUDA toolkit.
# This answers in its place: name and version, which is all that pip wants.
_BACKEND = """
from pathlib import Path

def get_requires_for_build_wheel(config_settings=None):
    return []

def prepare_metadata_for_build_wheel(metadata_directory, config_settings=None):
    made = Path(metadata_directory) / "cupy-{version}.dist-info"
    made.mkdir()
    (made / "METADATA").write_text("Metadata-Version: 2.1\\nName: cupy\\nVersion: {version}\\n")
    return made.name
"""


class NotInstalled(Exception):
    """Something that cannot be had here; the message names it."""


def fetch_sdist(version: str, folder: Path) -> Path:
    """CuPy's sources of that version, unpacked."""
    backend = folder / "backend" / "setuptools"
    backend.mkdir(parents=True)
    (backend / "__init__.py").write_text("")
    (backend / "build_meta.py").write_text(_BACKEND.format(version=version))
    asked = ("--no-binary", "cupy", "--no-build-isolation", f"cupy=={version}")
    _pip("download", *asked, "--dest", str(folder), path=str(backend.parent))
    with tarfile.open(folder / f"cupy-{version}.tar.gz") as archive:
        archive.extractall(folder, filter="data")
    return folder / f"cupy-{version}"


def fetch_cython(sources: Path, folder: Path) -> Path:
    """The Cython that a sdist asks for, as a folder for PYTHONPATH."""
    wanted = tomllib.loads((sources / "pyproject.toml").read_text("utf-8"))["build-system"]
    cython = next(name for name in wanted["requires"] if name.lower().startswith("cython"))
    _pip("install", cython, "--target", str(folder / "cython"))
    return folder / "cython"


def cuda_headers(folder: Path) -> Path:
    """The folder of ``cuda_runtime.h`` of CUDA 13: of a toolkit, or else of wheels."""
    for toolkit in () if "GPUPREP_NO_TOOLKIT" in os.environ else _TOOLKITS:
        include = Path(toolkit) / "include"
        if cuda_version(include) // 1000 == 13:
            return include
    _pip("install", *_HEADER_WHEELS, "--target", str(folder / "headers"))
    return folder / "headers" / "nvidia" / "cu13" / "include"


def cuda_version(include: Path) -> int:
    """13000 for CUDA 13.0; 0 where there are no headers."""
    try:
        text = (include / "cuda.h").read_text("utf-8")
    except OSError:
        return 0
    found = re.search(r"#define CUDA_VERSION (\d+)", text)
    return int(found[1]) if found and (include / "cuda_runtime.h").exists() else 0


def _pip(command: str, *arguments: str, path: str = "") -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pip", command, "--quiet", "--no-deps", *arguments],
        env=os.environ | ({"PYTHONPATH": path} if path else {}),
        capture_output=True,
        text=True,
    )
    if done.returncode:
        named = [each for each in arguments if "=" in each]
        raise NotInstalled(f"{', '.join(named)}: {done.stderr.strip()[-300:]}")
