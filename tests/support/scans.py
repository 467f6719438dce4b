"""What was read of a file, compared with what it should be."""

import numpy as np

from gpuprep.io.scan import Scan


def assert_same_voxels(scan: Scan, expected: np.ndarray) -> None:
    voxels = np.stack([volume.array for volume in scan.volumes])
    assert voxels.shape == expected.shape
    if voxels.dtype.kind == "f":
        scale = max(1.0, float(np.abs(np.nan_to_num(expected, posinf=0, neginf=0)).max()))
        np.testing.assert_allclose(voxels, expected, rtol=0, atol=2e-7 * scale)
    else:
        np.testing.assert_array_equal(voxels, expected)


def assert_equal_scans(one: Scan, other: Scan) -> None:
    """One grid, and the same voxels of the same dtype in every volume."""
    assert one.geometry == other.geometry
    assert one.heights == other.heights
    for first, second in zip(one.volumes, other.volumes, strict=True):
        assert first.array.dtype == second.array.dtype
        np.testing.assert_array_equal(first.array, second.array)
