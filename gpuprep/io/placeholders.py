"""Files that stand in for others: pointers of Git LFS and git-annex, and links to contents not fetched.

A clone without its large files is full of them. Read as volumes they would be called damaged.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from gpuprep.values.errors import InputError

LARGEST_POINTER = 1024
"""No pointer has more bytes: a version, a hash and a size, or one path."""
_LFS = b"version https://git-lfs.github.com/spec/"
_ANNEX = re.compile(rb"[^\n]*/annex/objects/[^\n]+\n?")
_OBJECTS = "annex/objects/"


def is_annex_link(path: str | os.PathLike[str]) -> bool:
    """Whether a path is a link into the objects of a git-annex repository, there or not."""
    try:
        target = os.readlink(path)  # noqa: PTH115
    except (OSError, ValueError):
        return False
    return _OBJECTS in target.replace(os.sep, "/")


def unfetched_link(path: Path) -> InputError | None:
    """The error for a link of git-annex that leads nowhere; None for any other path."""
    if not is_annex_link(path) or path.exists():
        return None
    return _unfetched(path, "a git-annex link", f"git annex get {path.name}")


def pointer(path: Path, contents: bytes) -> InputError | None:
    """The error for a small file that only names another, by what it holds; None for any other file."""
    if contents.startswith(_LFS):
        size = re.search(rb"^size (\d+)", contents, re.MULTILINE)
        told = f"a Git LFS pointer to {int(size[1]):,} bytes" if size else "a Git LFS pointer"
        return _unfetched(path, told, "git lfs pull")
    if _ANNEX.fullmatch(contents):
        return _unfetched(path, "a git-annex pointer", f"git annex get {path.name}")
    return None


def _unfetched(path: Path, what: str, command: str) -> InputError:
    return InputError(
        "E_UNREADABLE",
        f"this is {what}, and the file itself was not fetched ({command})",
        path=str(path),
        advice=f"Run '{command}' in its folder.",
    )
