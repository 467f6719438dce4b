"""Connected components of a mask: how many there are, and the shapes of their boxes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def component_shapes(mask: NDArray[Any]) -> list[list[int]]:
    """The shape of the box of each component, in the order in which a scan meets them.

    Voxels that share a corner are joined. Axes are those of ``mask``, the last varies fastest.
    """
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(np.ascontiguousarray(mask, np.uint8))
    joined = sitk.ConnectedComponent(image, True)  # noqa: FBT003
    found = sitk.LabelShapeStatisticsImageFilter()
    found.ComputeFeretDiameterOff()
    found.ComputePerimeterOff()
    found.Execute(joined)
    axes = mask.ndim
    return [
        [int(edge) for edge in found.GetBoundingBox(label)[axes:]][::-1]
        for label in sorted(found.GetLabels())
    ]
