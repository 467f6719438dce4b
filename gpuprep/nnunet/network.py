"""The U-Net of one configuration: strides, kernels, the patch that fits them, and what memory it needs.

nnU-Net 2.8.1's rules (``get_pool_and_conv_props`` and ``compute_conv_feature_map_size`` of its networks),
restated; axes are in the order of the plan's arrays.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

Numbers = Sequence[float]
Axes = tuple[int, ...]

_LEAST_EDGE = 4  # of a feature map
_SIMILAR = 2.0  # spacings within this factor are pooled together
_FEATURES, _MOST_FEATURES = 32, {2: 512, 3: 320}
_BLOCKS = (1, 3, 4, 6)  # of the first stages of a residual encoder; 6 from there on


@dataclass(frozen=True)
class Topology:
    """Stages of a U-Net.

    Attributes:
        patch: The smallest that holds what was asked for and can be pooled as often.
        strides: Of each stage, by axis.
        kernels: Of each stage, by axis.
        multiple: What the edges of a patch are multiples of.
    """

    patch: Axes
    strides: tuple[Axes, ...]
    kernels: tuple[Axes, ...]
    multiple: Axes

    @property
    def features(self) -> tuple[int, ...]:
        """Channels of each stage."""
        most = _MOST_FEATURES[len(self.patch)]
        return tuple(min(_FEATURES * 2**stage, most) for stage in range(len(self.strides)))

    @property
    def voxels(self) -> tuple[int, ...]:
        """Of the feature maps of each stage."""
        edges, found = np.array(self.patch), []
        for stride in self.strides:
            edges = edges // stride
            found.append(math.prod(edges.tolist()))
        return tuple(found)


def topology(spacing: Numbers, patch: Numbers) -> Topology:
    """How often each axis is pooled: as long as it is wide enough, coarse axes later than fine ones."""
    widths, size = [float(each) for each in spacing], [float(each) for each in patch]
    axes = range(len(widths))
    pools, kernel = [0] * len(widths), [1] * len(widths)
    strides, kernels = [(1,) * len(widths)], []
    while kept := _pooled(widths, size):
        finest = min(widths)
        kernel = [3 if widths[a] / finest < _SIMILAR else kernel[a] for a in axes]
        strides.append(tuple(2 if a in kept else 1 for a in axes))
        kernels.append(tuple(kernel))
        for axis in kept:
            widths[axis] *= 2
            size[axis] = math.ceil(size[axis] / 2)
            pools[axis] += 1
    kernels.append((3,) * len(widths))
    multiple = tuple(2**n for n in pools)
    fitting = tuple(
        math.ceil(edge / each) * each for edge, each in zip(patch, multiple, strict=True)
    )
    return Topology(fitting, tuple(strides), tuple(kernels), multiple)


def _pooled(widths: Numbers, size: Numbers) -> list[int]:
    """The axes that are pooled next; none at the end."""
    wide = [axis for axis, edge in enumerate(size) if edge >= 2 * _LEAST_EDGE]
    if not wide:
        return []
    finest = min(widths[axis] for axis in wide)
    kept = [axis for axis in wide if widths[axis] / finest < _SIMILAR]
    return [] if len(kept) == 1 and size[kept[0]] < 3 * _LEAST_EDGE else kept


def blocks(stages: int) -> tuple[int, ...]:
    """Residual blocks of each stage."""
    return tuple(_BLOCKS[min(stage, len(_BLOCKS) - 1)] for stage in range(stages))


def memory(net: Topology, classes: int, *, residual: bool) -> int:
    """Numbers in all feature maps of one patch, nnU-Net's estimate of memory.

    Args:
        net: The network.
        classes: Entries of ``labels`` in ``dataset.json``: background, regions and ignore label included.
        residual: A residual encoder rather than a plain one.
    """
    sizes = [f * v for f, v in zip(net.features, net.voxels, strict=True)]
    stages = len(sizes)
    head = classes * net.voxels[0] if stages > 1 else 0
    if not residual:
        return 2 * sum(sizes) + 3 * sum(sizes[:-1]) + head
    total = sizes[0] + 2 * sum(sizes[:-1]) + head  # the stem, and the decoder
    for stage, number in enumerate(blocks(stages)):
        changes = stage > 0 and (
            net.features[stage] != net.features[stage - 1] or max(net.strides[stage]) > 1
        )
        total += sizes[stage] * (2 * number + int(changes))
    return total
