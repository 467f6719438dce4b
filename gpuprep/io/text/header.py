"""What the text headers of MetaImage and NRRD say, before a native reader may open the file.

Both formats put ``key = value`` lines before (or beside) the voxels. They are parsed here, strictly, so
that sizes, limits and the path of a detached voxel file are checked in Python; a native parser that saw
something else is found out afterwards, because its size, dtype and grid must equal these.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gpuprep.io.limits import check_capacity, check_inside, check_limits
from gpuprep.io.rules import ReadRules
from gpuprep.values.errors import InputError
from gpuprep.values.geometry import Affine

HEADER_LIMIT = 1 << 20
"""Headers longer than this are refused."""


@dataclass(frozen=True)
class TextHeader:
    """A parsed header: the voxels it declares and where they lie.

    ``stored`` is the dtype in the file's byte order and ``layout`` the stored array's shape, slowest axis
    first; ``channel_axis`` is the one of its axes that is no axis of the volume, if there is one.
    ``affine`` is LPS mm; ``placed`` is False where the header does not say so and it is a guess.
    ``encoding`` is ``raw``, ``deflate`` or what else the header says; ``offset`` is where the voxel bytes
    begin, and ``compressed`` how many there are if the header says so.
    """

    format: str
    path: Path
    voxel_path: Path
    shape: tuple[int, int, int]
    layout: tuple[int, ...]
    channel_axis: int | None
    stored: np.dtype[Any]
    affine: Affine
    placed: bool
    encoding: str
    offset: int
    compressed: int | None = None

    @property
    def channels(self) -> int:
        return 1 if self.channel_axis is None else self.layout[self.channel_axis]

    @property
    def stored_bytes(self) -> int:
        return math.prod(self.layout) * self.stored.itemsize

    def check(self, rules: ReadRules) -> None:
        """Roots, limits and lengths; no memory is taken.

        Raises:
            InputError: E_UNSAFE_PATH, E_LIMIT, E_TRUNCATED.
        """
        check_inside(self.voxel_path, rules)
        check_limits(self.path, (self.channels, *self.shape), self.stored.itemsize, rules)
        available = max(0, self.voxel_path.stat().st_size - self.offset)
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


def volume_shape(path: Path, size: Sequence[int]) -> tuple[tuple[int, int, int], int]:
    """Shape z, y, x and the number of volumes of a size x, y[, z[, t]].

    Raises:
        InputError: E_NOT_VOLUME.
    """
    if not 2 <= len(size) <= 4 or min(size) < 1:
        text = "×".join(map(str, size))
        raise InputError(
            "E_NOT_VOLUME",
            f"{text} voxels are neither a volume nor a row of volumes",
            path=str(path),
        )
    x, y, z, t = [*size, 1, 1][:4]
    return (z, y, x), t
