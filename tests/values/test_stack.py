"""Slantwise and uneven slices come onto a straight grid, as float64 SciPy has it and as the world has it."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage
from scipy.interpolate import interp1d
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


def alone(geometry: Geometry, stack: Stack, heights=()) -> list[np.ndarray]:
    """Per source slice its indices at all points of the straight plane that lies at its height."""
    found = []
    for height in heights or range(geometry.shape[stack.axis]):
        corner = np.zeros(3)
        corner[stack.axis] = height
        level = stack.geometry.physical_to_index(geometry.index_to_physical(corner))[stack.axis]
        shape = list(stack.geometry.shape)
        shape[stack.axis] = 1
        index = np.stack(np.indices(shape), -1).astype(float)
        index[..., stack.axis] = level
        source = geometry.physical_to_index(stack.geometry.index_to_physical(index))
        found.append(source.squeeze(stack.axis))
    return found


def shifted(array, geometry, stack, heights=(), order=1, mode="nearest", fill=0.0) -> np.ndarray:
    """Every slice by SciPy, shifted back within its plane by itself; slices first."""
    planes, within = [], [axis for axis in range(3) if axis != stack.axis]
    limits = [array.min(), array.max()]
    for plane, source in zip(
        np.moveaxis(array, stack.axis, 0), alone(geometry, stack, heights), strict=True
    ):
        points = np.moveaxis(source, -1, 0)[within]
        values = ndimage.map_coordinates(plane.astype(float), points, order=order, mode=mode)
        ends = np.array(plane.shape)[:, None, None] - 0.5
        outside = ((points < -0.5) | (points >= ends)).any(0)
        planes.append(np.where(outside, fill, np.clip(values, *limits)))
    return np.array(planes)


def both(test, geometry, stack, heights=()) -> np.ndarray:
    """Where a test of indices holds for the one or two source slices of a straight one."""
    holds = []
    for source in alone(geometry, stack, heights):
        source[..., stack.axis] = SHAPE[stack.axis] / 2 + 0.25  # within the plane is what counts
        holds.append(test(source))
    below, above = (turn(stack.numbers).astype(int) for turn in (np.floor, np.ceil))
    return np.moveaxis(np.array(holds)[below] & np.array(holds)[above], 0, stack.axis)


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
    found = unshear(
        array, stack, interpolation=interpolation, boundary=boundary or "nearest", threads=2
    )
    order, mode = (3, boundary) if boundary else (1, "nearest")
    planes = shifted(array, geometry, stack, heights, order, mode, fill=array.min())
    between = interp1d(np.arange(len(planes)), planes, axis=0)(stack.numbers)
    expected = np.moveaxis(between, 0, stack.axis)
    sure = both(off_ties, geometry, stack, heights)
    assert sure.mean() > 0.5
    assert np.abs(found - expected)[sure].max() <= 1e-6 * np.ptp(array)


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
    where = both(lambda deep: inside(deep, margin=margin), geometry, stack, heights)
    assert where.any()
    error = np.abs(found - ramp(stack.geometry))[where].max()
    assert error <= (2e-5 if interpolation == "linear" else 1e-2)


@pytest.mark.parametrize("interpolation", ["nearest", "linear"])
@pytest.mark.parametrize(("geometry", "heights"), CASES)
def test_labels_follow_the_largest_indicator(geometry, heights, interpolation):
    stack = stack_of(geometry, heights)
    labels = np.random.default_rng(2).integers(0, 4, SHAPE).astype(np.uint8)
    labels = ndimage.median_filter(labels, 3)
    found = unshear_labels(labels, stack, interpolation=interpolation)
    order = 0 if interpolation == "nearest" else 1
    votes = [
        shifted((labels == k).astype(float), geometry, stack, heights, order, fill=float(k == 0))
        for k in range(4)
    ]
    numbers = stack.numbers if order else np.floor(stack.numbers + 0.5)
    between = interp1d(np.arange(len(votes[0])), votes, axis=1)(numbers)
    votes = np.moveaxis(between, 1, 1 + stack.axis)
    ranked = np.sort(votes, 0)
    clear = (ranked[-1] - ranked[-2] > 1e-5) & both(off_ties, geometry, stack, heights)
    np.testing.assert_array_equal(found[clear], votes.argmax(0)[clear])
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
