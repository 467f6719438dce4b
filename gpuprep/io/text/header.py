"""What the text headers of MetaImage and NRRD say, before a native reader may open the file.

Both formats put ``key = value`` lines before (or beside) the voxels. They are parsed here, strictly, so
that sizes, limits and the path of a detached voxel file are checked in Python; a native parser that saw
something else is found out afterwards, because its size, dtype and grid must equal these.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gpuprep.io.hashed import open_regular
from gpuprep.io.limits import beside, check_capacity, check_inside, check_limits
from gpuprep.io.rules import ReadRules
from gpuprep.io.voxels import StoredVoxels
from gpuprep.values.errors import InputError
from gpuprep.values.geometry import Affine

_LIMIT = 1 << 20  # bytes; longer headers are refused


@dataclass(frozen=True, kw_only=True)
class TextHeader(StoredVoxels):
    """A parsed header: the voxels it declares and where they lie.

    ``affine`` is LPS mm; ``placed`` is False where the header does not say so and it is a guess.
    ``encoding`` is ``raw``, ``deflate`` or what else the header says, and ``compressed`` how many voxel
    bytes there are if the header says so.
    """

    path: Path
    voxel_path: Path
    affine: Affine
    placed: bool
    encoding: str
    compressed: int | None = None

    def check(self, rules: ReadRules) -> None:
        """Roots, limits and lengths; no memory is taken.

        Raises:
            InputError: E_UNSAFE_PATH, E_LIMIT, E_TRUNCATED.
        """
        if rules.headers_alone:
            return
        check_inside(self.voxel_path, rules)
        check_limits(self.path, (self.channels, *self.shape), self.stored.itemsize, rules)
        with open_regular(self.voxel_path) as file:
            available = max(0, os.fstat(file.fileno()).st_size - self.offset)
        if self.compressed is not None:
            check_capacity(self.path, self.compressed, available)
        least = {
            "hex": 2 * self.stored_bytes,
            "text": 2 * math.prod(self.layout) - 1,  # a digit each, and what separates them
        }.get(self.encoding, self.stored_bytes)
        check_capacity(self.path, least, available, deflated=self.encoding == "deflate")


def unreadable(path: Path, reason: str) -> InputError:
    """E_UNREADABLE for a header that breaks the rules of its format."""
    return InputError(
        "E_UNREADABLE", reason, path=str(path), advice="Write the file again with a current tool."
    )


def read_start(path: Path) -> bytes:
    """The beginning of a file, as much of it as a header may take."""
    with open_regular(path) as file:
        return file.read(_LIMIT)


def numbers(path: Path, key: str, text: str, count: int | None = None) -> list[float]:
    """The numbers of a field; exactly ``count`` of them if given.

    Raises:
        InputError: E_UNREADABLE.
    """
    try:
        values = [float(word) for word in text.split()]
    except ValueError:
        raise unreadable(path, f"{key} is {text[:60]!r}, not numbers") from None
    if count is not None and len(values) != count:
        raise unreadable(path, f"{key} has {len(values)} numbers, where {count} are needed")
    return values


def whole(path: Path, key: str, text: str, count: int | None = None) -> list[int]:
    """As ``numbers``, for whole ones."""
    values = numbers(path, key, text, count)
    if not all(math.isfinite(value) and value.is_integer() for value in values):
        raise unreadable(path, f"{key} is {text[:60]!r}, not whole numbers")
    return [int(value) for value in values]


def voxel_file(path: Path, name: str) -> Path:
    """The one file with the voxels that a detached header names; see ``limits.beside``.

    Raises:
        InputError: E_UNSAFE_PATH, E_UNREADABLE.
    """
    if name.upper().startswith("LIST") or "%" in name or not name:
        raise unreadable(path, "voxels spread over several files are not supported")
    return beside(path, name)


def volume_shape(path: Path, size: Sequence[int]) -> tuple[tuple[int, int, int], int]:
    """Shape z, y, x and the number of volumes of a size x, y[, z[, t]].

    Raises:
        InputError: E_NOT_VOLUME.
    """
    if not 2 <= len(size) <= 4 or min(size) < 1:
        text = "×".join(map(str, size))
        problem = f"{text} voxels are neither a volume nor a row of volumes"
        raise InputError("E_NOT_VOLUME", problem, path=str(path))
    x, y, z, t = [*size, 1, 1][:4]
    return (z, y, x), t
