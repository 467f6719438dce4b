"""What a case needs of a device, and whether it is worth the way there."""

from __future__ import annotations

import math

from gpuprep.config.model import Config
from gpuprep.ops.device.slabs import COUNT_BYTES, CURVE_BYTES, device_bytes
from gpuprep.preprocess.assemble import Assembled
from gpuprep.preprocess.filtering import of_filters
from gpuprep.preprocess.grid import map_grid
from gpuprep.preprocess.outside import bytes_with
from gpuprep.values.geometry import Shape


def is_worth_it(assembled: Assembled, config: Config) -> bool:
    """Whether a case has voxels enough for the way to a device and back."""
    voxels = assembled.geometry.voxels + sum(map(math.prod, _targets(assembled, config)))
    return voxels * (len(assembled.channels) + len(assembled.labels)) >= config.cuda.voxels


def bytes_on_device(assembled: Assembled, config: Config) -> int:
    """Device memory to ask for: all channels and labels, and the work on one of them for one output.

    Filters come before, when the channels after the one at work are not yet there.
    """
    filters, source = of_filters(assembled, config.image), assembled.geometry.shape
    labels = [array.itemsize for array in assembled.labels.values()]
    itemsizes = [*filters.itemsizes, *labels]
    filtering = math.prod(source) * sum(itemsizes) + filters.work
    if config.label.outside is not None:  # the foreground's mask, and the maps with a mark
        itemsizes.append(1)
        for values in assembled.label_counts.values():
            itemsizes += [bytes_with(config.label.outside, values)] * 2
    beside = COUNT_BYTES
    if any(part.image.bends for part in config.parts().values()):  # what a table makes of a channel
        itemsizes.append(4)
        beside += CURVE_BYTES
    targets = _targets(assembled, config)
    each = (device_bytes(source, target, itemsizes) for target in targets)
    return beside + max(filtering, *each)


def _targets(assembled: Assembled, config: Config) -> list[Shape]:
    """The grid of every output, as large as it may be."""
    rules = [part.image.resample for part in config.parts().values()]
    return [map_grid(assembled.geometry, rule).shape for rule in rules]
