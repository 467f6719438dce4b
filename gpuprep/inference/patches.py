"""The patches of a sliding window over one array, read when they are asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from gpuprep.inference.axis import PatchAxis, Spread, Weighting, patch_axis
from gpuprep.values.errors import UsageError
from gpuprep.values.geometry import Box, Shape


class Readable(Protocol):
    """A NumPy array or anything indexed like one, such as a stored array."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> np.dtype[Any]: ...

    def __getitem__(self, key: Any, /) -> Any: ...


class GridPatch(NamedTuple):
    """One patch: its number on the grid, where it starts (``z, y, x``), and its voxels."""

    number: int
    start: Shape
    voxels: NDArray[Any]


class GridPatches:
    """Overlapping patches that cover an array, from the first slices to the last.

    >>> patches = GridPatches(np.zeros((20, 16, 16)), (16, 16, 16))
    >>> [patch.start for patch in patches]
    [(0, 0, 0), (4, 0, 0)]

    ``len``, iteration and ``patches[index]`` work, so that a PyTorch DataLoader takes it as a dataset.
    """

    def __init__(
        self,
        array: Readable,
        patch: Sequence[int],
        *,
        step: float = 0.5,
        spread: Spread = "even",
        weighting: Weighting = "gaussian",
        fill: float = 0.0,
    ) -> None:
        """Lay a grid over an array; nothing is read yet.

        Args:
            array: ``z, y, x`` or ``c, z, y, x``: a NumPy array, or an array of a stored case.
            patch: voxels of a patch along ``z, y, x``.
            step: most voxels from one patch to the next, as a fraction of the patch.
            spread: ``even`` as nnU-Net places patches, ``fixed`` as MONAI does.
            weighting: what counts of each prediction when they are stitched.
            fill: the value beyond an array that is smaller than a patch.

        Raises:
            UsageError: the array has not 3 or 4 axes, or the patch or step is impossible.
        """
        lengths = tuple(array.shape[-3:])
        if len(array.shape) not in (3, 4) or min(lengths) < 1:
            raise UsageError(f"patches need an array z,y,x or c,z,y,x, not of shape {array.shape}")
        if len(patch) != 3 or min(patch) < 1 or not 0 < step <= 1:
            raise UsageError(
                f"patch {tuple(patch)} with step {step:g}: give three positive lengths (z, y, x) and "
                "a step above 0, at most 1"
            )
        self.array = array
        self.axes: tuple[PatchAxis, ...] = tuple(
            patch_axis(length, int(edge), step=step, spread=spread, weighting=weighting)
            for length, edge in zip(lengths, patch, strict=True)
        )
        self._fill = fill

    @property
    def counts(self) -> Shape:
        """Patches along ``z, y, x``."""
        z, y, x = (len(axis.starts) for axis in self.axes)
        return z, y, x

    @property
    def shape(self) -> Shape:
        """The array's ``z, y, x``."""
        z, y, x = (axis.length for axis in self.axes)
        return z, y, x

    @property
    def patch(self) -> Shape:
        """A patch's ``z, y, x``."""
        z, y, x = (axis.patch for axis in self.axes)
        return z, y, x

    def __len__(self) -> int:
        z, y, x = self.counts
        return z * y * x

    def __iter__(self) -> Iterator[GridPatch]:
        return (self[index] for index in range(len(self)))

    def __getitem__(self, index: int) -> GridPatch:
        """Read one patch; raises IndexError beyond the last, CorruptStoreError for damaged bytes."""
        inside, within = self.boxes(index)
        voxels = np.asarray(self.array[(..., *inside)])
        if voxels.shape[-3:] != self.patch:
            padded = np.full((*voxels.shape[:-3], *self.patch), self._fill, voxels.dtype)
            padded[(..., *within)] = voxels
            voxels = padded
        return GridPatch(index, self.start(index), voxels)

    def start(self, index: int) -> Shape:
        """The voxel where patch ``index`` begins, below 0 where the array is smaller than a patch."""
        z, y, x = (axis.starts[k] for axis, k in zip(self.axes, self.place(index), strict=True))
        return z, y, x

    def place(self, index: int) -> Shape:
        """Which patch along each axis number ``index`` is."""
        if not 0 <= index < len(self):
            raise IndexError(f"patch {index} of {len(self)}")
        z, rest = divmod(index, self.counts[1] * self.counts[2])
        return z, *divmod(rest, self.counts[2])

    def boxes(self, index: int) -> tuple[Box, Box]:
        """What patch ``index`` covers of the array, and where that lies within the patch."""
        pairs = [
            axis.overlap(axis.starts[k])
            for axis, k in zip(self.axes, self.place(index), strict=True)
        ]
        (z, y, x), (w, v, u) = zip(*pairs, strict=True)
        return (z, y, x), (w, v, u)
