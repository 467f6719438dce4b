"""Limits and lengths: what a header declares against what is allowed and what the file can hold."""

from __future__ import annotations

import errno
import math
from collections.abc import Sequence
from pathlib import Path

from gpuprep.io.placeholders import unfetched_link
from gpuprep.io.rules import ReadRules
from gpuprep.values.errors import InputError

DEFLATE_RATIO = 1032
"""No deflate stream expands by more (258 bytes from 2 bits, RFC 1951)."""
MAX_AXIS = 65_535
"""Most voxels along one axis; no scanner makes more."""
_RAISE_LIMIT = "Raise input.limits.{} if the file really is that large."
_LONG_AXIS = "Look at the file: no scanner makes such an axis."


def check_limits(path: object, shape: Sequence[int], itemsize: int, rules: ReadRules) -> None:
    """Refuse voxels of ``shape`` (channels first) that are too many.

    Raises:
        InputError: E_LIMIT if an axis, the voxels or the bytes are more than the rules allow.
    """
    voxels = math.prod(shape)
    for what, count, limit, advice in (
        ("voxels along one axis", max(shape), MAX_AXIS, _LONG_AXIS),
        ("voxels", voxels, rules.max_voxels, _RAISE_LIMIT.format("voxels")),
        ("bytes of voxels", voxels * itemsize, rules.max_bytes, _RAISE_LIMIT.format("bytes")),
    ):
        if count > limit:
            text = f"the header declares {count:,} {what}, more than the allowed {limit:,}"
            raise InputError("E_LIMIT", text, path=str(path), advice=advice)


def check_capacity(path: object, needed: int, available: int, *, deflated: bool = False) -> None:
    """Refuse voxels that ``available`` bytes of a file cannot hold, before memory is taken for them.

    Raises:
        InputError: E_TRUNCATED.
    """
    most = available * DEFLATE_RATIO if deflated else available
    if needed > most:
        holds = "can expand to at most" if deflated else "holds only"
        raise InputError(
            "E_TRUNCATED",
            f"the header declares {needed:,} bytes, but the file {holds} {most:,}",
            path=str(path),
            advice="Copy or download the file again.",
        )


def check_inside(path: Path, rules: ReadRules) -> None:
    """Refuse a file that lies outside the roots, or is a link that leads out of them.

    Raises:
        InputError: E_UNSAFE_PATH.
    """
    if not rules.roots:
        return
    real = path.resolve()
    if not any(real.is_relative_to(Path(root).resolve()) for root in rules.roots):
        raise InputError(
            "E_UNSAFE_PATH",
            f"the file is really {real}, which is outside of {', '.join(rules.roots)}",
            path=str(path),
            advice="Copy it there, or allow links with input.follow_symlinks and input.roots.",
        )


def beside(header: Path, name: str) -> Path:
    """The voxel file that a detached header names; it must lie in the header's own folder.

    Links are followed first, so that neither the name nor a link in it can lead elsewhere.

    Raises:
        InputError: E_UNSAFE_PATH if it lies elsewhere, E_UNREADABLE if it is missing.
    """
    unsafe = InputError(
        "E_UNSAFE_PATH",
        f"the header names {name!r} as its voxel file, which is not inside the header's folder",
        path=str(header),
        advice="Put both files into one folder and name the voxel file without a path.",
    )
    if "\0" in name or "\\" in name or Path(name).is_absolute() or ".." in Path(name).parts:
        raise unsafe
    target = (header.parent / name).resolve()
    homes = (header.parent.resolve(), header.resolve().parent)
    if not any(target.is_relative_to(home) for home in homes) or target == header.resolve():
        raise unsafe
    if unfetched := unfetched_link(header.parent / name):
        raise unfetched
    if not _is_file(target):
        text = f"a voxel file is missing, which the header names {name!r}"
        raise InputError("E_UNREADABLE", text, path=str(header))
    return header.parent / name


def _is_file(path: Path) -> bool:
    """Whether there is such a file; a name that no file can have is none, and no fault of the disk."""
    try:
        return path.is_file()
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            return False
        raise
