"""Slantwise and uneven slices come onto a straight grid, as float64 SciPy has it and as the world has it."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage
from scipy.spatial.transform import Rotation

from gpuprep.ops.shear import unshear, unshear_labels
from gpuprep.values.geometry import Geometry
from gpuprep.values.stack import Stack, stack_of

SHAPE = (11, 14, 13)
TURNED = Rotation.from_euler("xyz", [0.1, -0.2, 0.3]).as_matrix()
UNEVEN = (0.0, 1.0, 2.5, 3.0, 4.5, 5.0, 6.0, 7.25, 8.0, 9.0, 10.0)


def slanted(leans=(0.3, -0.7), across=2, shape=SHAPE) -> Geometry:
    """A grid whose index axis ``across`` (x, y, z) leans over the other two by so many mm a mm."""
    columns = np.eye(3)
    columns[[axis for axis in range(3) if axis != across], across] = leans
    affine = np.eye(4)
    affine[:3, :3] = TURNED @ columns * [0.7, 0.8, 2.5]
    affine[:3, 3] = [-31.0, 12.0, 205.0]
    return Geometry.from_affine(affine, shape)


def seen(geometry: Geometry, stack: Stack, heights=()) -> np.ndarray:
    """Source indices (slices numbered, not measured) of all voxels of the straight grid."""
    index = np.stack(np.indices(stack.geometry.shape), -1)
    source = geometry.physical_to_index(stack.geometry.index_to_physical(index))
    if heights:
        source[..., 0] = np.interp(source[..., 0], heights, np.arange(len(heights)))
    return source


def inside(source: np.ndarray, shape=SHAPE, margin=-0.5) -> np.ndarray:
    return ((source >= margin) & (source <= np.array(shape) - 1 - margin)).all(-1)


def off_ties(source: np.ndarray) -> np.ndarray:
    """Where no index is so near to a half that rounding decides on which side it is."""
    return (np.abs(source - np.floor(source) - 0.5) > 1e-6).all(-1)


CASES = [
    *((slanted(leans, across), ()) for leans in ((0.3, 0), (-2.4, 0.1)) for across in range(3)),
    (slanted(), UNEVEN),
    (slanted((0, 0)), UNEVEN),
]


@pytest.mark.parametrize(("geometry", "heights"), CASES)
def test_the_straight_grid_is_orthonormal_and_holds_every_source_voxel(geometry, heights):
    stack = stack_of(geometry, heights)
    assert not stack.geometry.sheared
    matrix = stack.geometry.matrix
    np.testing.assert_allclose(matrix.T @ matrix, np.eye(3), atol=1e-12)
    assert np.linalg.det(matrix) * np.linalg.det(geometry.matrix) > 0
    corners = stack.geometry.physical_to_index(geometry.corners())
    assert (corners > -0.01).all()
    assert (corners < np.array(stack.geometry.shape) - 1 + 0.01).all()
    plane = [axis for axis in range(3) if axis != stack.axis]
    for axis in plane:
        assert stack.geometry.spacing_zyx[axis] == pytest.approx(geometry.spacing_zyx[axis])
        assert (corners[:, axis].max() > stack.geometry.shape[axis] - 2).all()


@pytest.mark.parametrize("kind", ["linear", "cubic nearest", "cubic mirror"])
@pytest.mark.parametrize(("geometry", "heights"), CASES)
def test_images_equal_scipy_at_the_same_points(geometry, heights, kind):
    interpolation, _, boundary = kind.partition(" ")
    stack = stack_of(geometry, heights)
    array = np.random.default_rng(1).normal(size=SHAPE).astype(np.float32)
    source = seen(geometry, stack, heights)
    found = unshear(
        array, stack, interpolation=interpolation, boundary=boundary or "nearest", threads=2
    )
    expected = witness(array.astype(float), source, stack, 3 if boundary else 1, boundary)
    expected = np.clip(expected, array.min(), array.max())
    expected[~inside(source)] = array.min()
    sure = off_ties(source)
    assert np.abs(found - expected)[sure].max() <= 1e-6 * np.ptp(array)


def witness(array, source, stack, order, boundary) -> np.ndarray:
    """SciPy within slices, and linear between the two nearest slices across them."""
    number = np.moveaxis(source, -1, 0)[stack.axis]
    below = np.floor(number + 1e-9)
    parts = []
    for slice_number in (below, below + 1):
        points = np.moveaxis(source, -1, 0).copy()
        points[stack.axis] = np.clip(slice_number, 0, array.shape[stack.axis] - 1)
        mode = boundary or "nearest"
        parts.append(ndimage.map_coordinates(array, points, order=order, mode=mode))
    return parts[0] + (number - below) * (parts[1] - parts[0])


@pytest.mark.parametrize("interpolation", ["linear", "cubic"])
@pytest.mark.parametrize(("geometry", "heights"), CASES)
def test_a_ramp_of_positions_stays_one(geometry, heights, interpolation):
    def ramp(grid: Geometry, at=()) -> np.ndarray:
        index = np.stack(np.indices(grid.shape), -1).astype(float)
        if at:
            index[..., 0] = np.array(at)[index[..., 0].astype(int)]
        return grid.index_to_physical(index) @ [1.0, -0.7, 0.4]

    stack = stack_of(geometry, heights)
    found = unshear(ramp(geometry, heights).astype(np.float32), stack, interpolation=interpolation)
    margin = 0 if interpolation == "linear" else 4  # a clamped cubic line bends near its ends
    deep = seen(geometry, stack, heights)
    deep[..., stack.axis] = SHAPE[stack.axis] / 2  # across slices nothing bends
    where = inside(deep, margin=margin)
    assert where.any()
    error = np.abs(found - ramp(stack.geometry))[where].max()
    assert error <= (2e-5 if interpolation == "linear" else 1e-2)


@pytest.mark.parametrize("interpolation", ["nearest", "linear"])
@pytest.mark.parametrize(("geometry", "heights"), CASES)
def test_labels_follow_the_largest_indicator(geometry, heights, interpolation):
    stack = stack_of(geometry, heights)
    labels = np.random.default_rng(2).integers(0, 4, SHAPE).astype(np.uint8)
    labels = ndimage.median_filter(labels, 3)
    source = seen(geometry, stack, heights)
    found = unshear_labels(labels, stack, interpolation=interpolation)
    points = np.moveaxis(source, -1, 0)
    order = 0 if interpolation == "nearest" else 1
    votes = np.stack(
        [
            ndimage.map_coordinates(
                (labels == k).astype(float), points, order=order, mode="nearest"
            )
            for k in range(4)
        ]
    )
    ranked = np.sort(votes, 0)
    clear = (ranked[-1] - ranked[-2] > 1e-6) & off_ties(source)
    expected = np.where(inside(source), votes.argmax(0), 0)
    np.testing.assert_array_equal(found[clear], expected[clear])
    assert clear.mean() > 0.5


@given(hnp.arrays(np.int16, (3, 4, 5)), st.integers(-3, 3), st.integers(-3, 3))
def test_a_shear_by_whole_voxels_moves_voxels_and_computes_none(array, a, b):
    affine = np.array([[1.0, 0, a, 0], [0, 1, b, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    geometry = Geometry.from_affine(affine, array.shape)
    stack = stack_of(geometry)
    if stack is None:
        assert (a, b) == (0, 0)
        return
    found = unshear(array, stack, interpolation="cubic")
    first = np.rint(stack.geometry.physical_to_index([0, 0, 0])).astype(int)
    rest = np.full(found.shape, array.min())
    for z, y, x in itertools.product(*map(range, array.shape)):
        rest[first[0] + z, first[1] + y + b * z, first[2] + x + a * z] = array[z, y, x]
    np.testing.assert_array_equal(found, rest)


def test_a_missing_slice_is_filled_and_the_others_stay():
    array = np.random.default_rng(3).integers(-500, 500, (4, 5, 6)).astype(np.int16)
    geometry = Geometry(array.shape, (1.0, 1.0, 2.0))
    stack = stack_of(geometry, (0.0, 0.75, 2.25, 3.0))
    found = unshear(array, stack, interpolation="cubic")
    assert stack.geometry.spacing == (1.0, 1.0, 1.5)
    np.testing.assert_array_equal(found[[0, 1, 3, 4]], array)
    np.testing.assert_allclose(found[2], (array[1] + array[2]) / 2, atol=0.5)


def test_what_needs_no_straightening_is_left_alone():
    assert stack_of(Geometry(SHAPE, (0.7, 0.8, 2.5), direction=tuple(TURNED.ravel()))) is None


def test_a_float32_headers_rounding_moves_nothing():
    geometry = slanted((0.3, 2e-6))
    stack = stack_of(geometry)
    assert (stack.offsets[:, 0] == 0).all()
    assert stack.geometry.shape[1] == SHAPE[1]
    assert stack.geometry.shape[2] > SHAPE[2]


def test_three_sheared_pairs_of_axes_have_no_slices():
    affine = np.array([[1, 0.2, 0.2, 0], [0, 1, 0.2, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])
    with pytest.raises(ValueError, match="orthogonal"):
        stack_of(Geometry.from_affine(affine, SHAPE))


def test_gaps_too_unequal_are_refused():
    with pytest.raises(ValueError, match="smallest gap"):
        stack_of(Geometry((4, 2, 2)), (0.0, 1e-5, 1.0, 3.0))


def test_what_is_not_finite_stays_so_and_does_not_spread():
    stack = stack_of(slanted())
    array = np.random.default_rng(4).normal(size=SHAPE).astype(np.float32)
    array[3, 4, 5], array[4, 4, 4] = np.nan, np.inf
    found = unshear(array, stack, interpolation="cubic")
    marks = unshear_labels(np.isfinite(array).astype(np.uint8) + 1, stack)
    np.testing.assert_array_equal(np.isnan(found), marks == 1)
    assert (marks == 1).sum() == 2
    finite = array[np.isfinite(array)]
    assert np.nanmin(found) >= finite.min()
    assert np.nanmax(found) <= finite.max()
    assert np.isnan(unshear(np.full(SHAPE, np.nan, np.float32), stack)).all()
