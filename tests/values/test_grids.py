"""Grid conventions: the sources' own numbers, and what must hold for all of them."""

import math
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuprep.values.geometry import Geometry
from gpuprep.values.grids import Convention, GridMapping, map_shape, map_spacing

CONVENTIONS: tuple[Convention, ...] = get_args(Convention)


def along_x(n: int, own: float, target: float, convention: Convention) -> tuple[int, float, float]:
    """(length, scale, offset) of one axis."""
    mapping = map_spacing(Geometry((1, 1, n), (own, 1, 1)), (target, 1, 1), convention)
    return mapping.shape[2], mapping.scale[2], mapping.offset[2]


# Sizes of MONAI's default, TorchIO and ceil (ITK recipe), and TorchIO's first voxel in mm, x y z:
# evaluated by hand from the sources' formulas.
TABLE = [
    ((512, 512, 120), (0.7, 0.7, 2.5), (1, 1, 1), (359, 359, 298), (358, 358, 300), (359, 359, 300),
     (0.35, 0.35, -0.75)),
    ((512, 512, 120), (0.7, 0.7, 2.5), (1.5, 1.5, 2), (239, 239, 150), (238, 238, 150),
     (239, 239, 150), (1.1, 1.1, -0.25)),
    ((256, 256, 180), (1, 1, 1), (2, 2, 2), (128, 128, 90), (128, 128, 90), (128, 128, 90),
     (0.5, 0.5, 0.5)),
    ((128, 128, 32), (1, 1, 1), (2, 1, 0.2), (64, 128, 156), (64, 128, 160), (64, 128, 160),
     (0.5, 0, -0.4)),
    ((3, 3, 3), (1, 1, 1), (0.5, 0.5, 0.5), (5, 5, 5), (6, 6, 6), (6, 6, 6), (-0.25,) * 3),
    ((512, 512, 1), (0.5, 0.5, 5), (1, 1, 1), (256, 256, 1), (256, 256, 1), (256, 256, 5),
     (0.25, 0.25, 0)),
    ((240, 240, 155), (1, 1, 1), (0.9, 0.9, 0.9), (267, 267, 172), (266, 266, 172),
     (267, 267, 173), (0.25, 0.25, 0.05)),
]  # fmt: skip


@pytest.mark.parametrize(("size", "own", "target", "monai", "torchio", "itk", "corner"), TABLE)
def test_sizes_and_origins_of_the_sources(size, own, target, monai, torchio, itk, corner) -> None:
    geometry = Geometry(size[::-1], own)
    for convention, expected in (("monai", monai), ("torchio", torchio), ("itk", itk)):
        grid = map_spacing(geometry, target, convention).on(geometry)
        assert grid.size == expected
        origin = corner if convention == "torchio" else (0, 0, 0)
        np.testing.assert_allclose(grid.origin, origin, atol=1e-9)
        changed = [a != b for a, b in zip(own, target, strict=True)]
        np.testing.assert_allclose(
            np.array(grid.spacing)[changed], np.array(target, float)[changed], rtol=1e-12
        )


@pytest.mark.parametrize("n", [2, 4, 6, 8, 10, 12, 254, 256, 258])
def test_monai_rounds_half_to_even(n: int) -> None:
    expected = dict(zip((2, 4, 6, 8, 10, 12, 254, 256, 258),
                        (2, 2, 4, 4, 6, 6, 128, 128, 130), strict=True))  # fmt: skip
    assert along_x(n, 1.0, 2.0, "monai") == (expected[n], 2.0, 0.0)


@pytest.mark.parametrize("convention", CONVENTIONS)
@pytest.mark.parametrize("spacing", [0.3, 0.7, 1.1, float(np.float32(0.7)), 2.4, 1 / 3])
def test_the_same_spacing_is_the_same_grid(convention: Convention, spacing: float) -> None:
    for n in range(1, 1025):
        assert along_x(n, spacing, spacing, convention) == (n, 1.0, 0.0)
        assert along_x(n, float(np.float32(spacing)), spacing, convention) == (n, 1.0, 0.0)


@pytest.mark.parametrize(("own", "target", "ratio"), [(0.3, 0.1, 3), (0.6, 0.2, 3), (1.2, 0.4, 3)])
def test_whole_ratios_lose_no_voxel(own: float, target: float, ratio: int) -> None:
    for n in range(2, 1025):
        for convention in ("centered", "nnunet", "torchio", "itk"):
            assert along_x(n, own, target, convention)[0] == ratio * n


@given(n=st.integers(1, 600), own=st.floats(0.1, 8), target=st.floats(0.1, 8))
def test_every_convention_keeps_its_own_promise(n: int, own: float, target: float) -> None:
    for convention in CONVENTIONS:
        m, scale, offset = along_x(n, own, target, convention)
        assert m >= 1
        last = offset + (m - 1) * scale
        if convention in ("centered", "torchio"):  # the centre of the field of view stays
            assert (offset + last) / 2 == pytest.approx((n - 1) / 2, abs=1e-6)
        if convention == "nnunet":  # edges stay
            assert offset - scale / 2 == pytest.approx(-0.5, abs=1e-9)
            assert last + scale / 2 == pytest.approx(n - 0.5, abs=1e-6)
        if convention in ("monai", "itk"):
            assert offset == 0


def test_nnunet_rounds_as_python_does() -> None:
    for n, own, target in ((5, 1.0, 2.0), (7, 1.0, 2.0), (128, 2.5, 1.5), (256, 0.8, 1.0)):
        assert along_x(n, own, target, "nnunet")[0] == round(own / target * n)


def test_a_shape_keeps_the_edges() -> None:
    geometry = Geometry((10, 20, 1), (1, 2, 3), (5, 6, 7))
    mapping = map_shape(geometry, (5, 40, 2))
    assert mapping.shape == (5, 40, 2)
    before, after = geometry, mapping.on(geometry)
    half = np.array([0.5, 0.5, 0.5])
    for corner_in, corner_out in ((-half, -half), (np.array(geometry.shape) - half,
                                                   np.array(mapping.shape) - half)):  # fmt: skip
        np.testing.assert_allclose(
            before.index_to_physical(corner_in), after.index_to_physical(corner_out), atol=1e-9
        )


def test_a_mapping_moves_the_geometry() -> None:
    geometry = Geometry((4, 5, 6), (1, 2, 3), (10, 20, 30), (0, 1, 0, -1, 0, 0, 0, 0, 1))
    mapping = GridMapping((2, 3, 4), (2.0, 1.5, 1.0), (0.5, 0.0, 1.0))
    grid = mapping.on(geometry)
    index = np.array([1.0, 2.0, 3.0])
    np.testing.assert_allclose(
        grid.index_to_physical(index),
        geometry.index_to_physical(index * mapping.scale + mapping.offset),
        atol=1e-12,
    )
    assert math.prod(grid.shape) == grid.voxels
