"""The array engine on a device: the functions of ``ops`` with the same contracts, launching CUDA kernels.

Arrays stay where they are: what goes in and comes out belongs to the engine's array library (see
``kernels.loader``). Work is queued on the current stream; only numbers and histograms come to the host.
"""

from gpuprep.ops.device.labels import resample_labels_device
from gpuprep.ops.device.pointwise import (
    above_mask_device,
    cleaned_device,
    label_mask_device,
    masked_device,
    nonzero_mask_device,
)
from gpuprep.ops.device.profiles import (
    SliceRanges,
    above_box_device,
    label_box_device,
    nonzero_box_device,
    slice_ranges_device,
)
from gpuprep.ops.device.resample import resample_device
from gpuprep.ops.device.sampling import Part, needed_slices
from gpuprep.ops.device.scatter import scatter_device
from gpuprep.ops.device.statistics import measure_device

__all__ = [
    "Part",
    "SliceRanges",
    "above_box_device",
    "above_mask_device",
    "cleaned_device",
    "label_box_device",
    "label_mask_device",
    "masked_device",
    "measure_device",
    "needed_slices",
    "nonzero_box_device",
    "nonzero_mask_device",
    "resample_device",
    "resample_labels_device",
    "scatter_device",
    "slice_ranges_device",
]
