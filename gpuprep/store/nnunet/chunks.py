"""How nnU-Net 2.8 cuts an array for patches of a size: into chunks, which are read, and blocks, which are
decoded.

Source: nnU-Net v2 ``comp_blosc2_params``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

Edges = tuple[int, int, int, int]

_BLOCK_BYTES = 128 << 10
_CHUNK_BYTES = 6 << 20


def chunk_and_block(
    shape: Sequence[int], patch: Sequence[int], itemsize: int
) -> tuple[Edges, Edges]:
    """The edges of a chunk and of a block of an array ``c, z, y, x``; along ``c`` they are 1.

    >>> chunk_and_block((1, 300, 512, 512), (128, 128, 128), 4)
    ((1, 96, 128, 128), (1, 32, 32, 32))

    Args:
        shape: Of the array, in the order in which it is stored.
        patch: What is read at a time, in the same order; of two edges for patches of one slice.
        itemsize: Bytes of a voxel.
    """
    image = tuple(shape[1:])
    whole = (1, *patch) if len(patch) == 2 else tuple(patch)
    covered = [max(1, min(n, p * 3 // 2)) for n, p in zip(image, whole, strict=True)]
    block = [min(_power_from(p), n) for n, p in zip(image, whole, strict=True)]
    while math.prod(block) * itemsize > _BLOCK_BYTES:
        large = [axis for axis in range(3) if block[axis] > 1]
        axis = max(large, key=lambda axis: (block[axis] / covered[axis], axis))
        block[axis] = _power_below(block[axis])
    chunk = _grown(block, covered, image, itemsize)
    return (1, chunk[0], chunk[1], chunk[2]), (1, block[0], block[1], block[2])


def _grown(
    block: Sequence[int],
    covered: Sequence[int],
    image: Sequence[int],
    itemsize: int,
) -> list[int]:
    """A block, made longer by its own edge where it covers least, as long as the chunk is small enough."""
    chunk = list(block)
    while True:
        larger = {}
        for axis in range(3):
            edge = min(chunk[axis] + block[axis], covered[axis])
            size = math.prod(chunk) // chunk[axis] * edge * itemsize
            if edge > chunk[axis] and size <= _CHUNK_BYTES:
                larger[axis] = edge
        if not larger:
            return chunk
        axis = min(larger, key=lambda axis: (chunk[axis] / covered[axis], -image[axis], axis))
        chunk[axis] = larger[axis]


def _power_from(number: int) -> int:
    """The smallest power of two that is no smaller."""
    return 1 << max(0, number - 1).bit_length()


def _power_below(number: int) -> int:
    """The largest power of two that is smaller."""
    return 1 << ((number - 1).bit_length() - 1)
