"""Labels and channels on other grids than the image's: brought over as ITK and SciPy do it, or refused."""

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from scipy.spatial.transform import Rotation
from support.in_memory import Files, computed, config_of, put_together

from gpuprep.values.agreement import Agreement
from gpuprep.values.case import Case, LabelSource, Source
from gpuprep.values.errors import InputError
from gpuprep.values.geometry import Geometry
from gpuprep.values.grids import index_affine

FIX = {"policy": {"E_SHAPE_MISMATCH": "fix", "E_LABEL_LOST": "warn"}}
IMAGE = Geometry((9, 12, 14), (1.5, 1.0, 2.0), (-3.0, 4.0, 7.0))


def grid(shape, spacing, origin, angles) -> Geometry:
    matrix = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
    return Geometry(shape, spacing, origin, tuple(matrix.ravel()))


GRIDS = st.builds(
    grid,
    st.tuples(*[st.integers(4, 14)] * 3),
    st.tuples(*[st.sampled_from([0.8, 1.0, 1.7, 2.0])] * 3),
    st.tuples(*[st.integers(-6, 6).map(float)] * 3),
    st.tuples(*[st.sampled_from([0.0, 8.0, -31.0, 90.0])] * 3),
)


def to_itk(array: np.ndarray, geometry: Geometry) -> sitk.Image:
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(geometry.spacing)
    image.SetOrigin(geometry.origin)
    image.SetDirection(geometry.direction)
    return image


def labelled_case(files: Files, image: Geometry, label: np.ndarray, own: Geometry) -> Case:
    files.add("image", np.zeros(image.shape, np.int16), grid=image)
    return Case("a", (Source("image"),), (LabelSource((files.add("label", label, grid=own),)),))


@given(GRIDS, st.integers(0, 2**31))
@settings(max_examples=60, deadline=None)
def test_labels_come_over_as_itk_brings_them(own: Geometry, seed: int) -> None:
    label = np.random.default_rng(seed).integers(0, 5, own.shape).astype(np.uint8)
    files = Files()
    case = labelled_case(files, IMAGE, label, own)
    assembled, _ = put_together(files, case, config_of({"input": FIX}))
    wanted = sitk.GetArrayFromImage(
        sitk.Resample(
            to_itk(label, own),
            to_itk(np.zeros(IMAGE.shape, np.uint8), IMAGE),
            sitk.Transform(3, sitk.sitkIdentity),
            sitk.sitkNearestNeighbor,
        )
    )
    back = index_affine(IMAGE, own)
    places = np.stack(np.indices(IMAGE.shape), -1) @ back[:3, :3].T + back[:3, 3]
    between = np.abs(places - np.floor(places) - 0.5).min(-1) < 1e-6  # rounding decides
    np.testing.assert_array_equal(assembled.labels["segmentation"][~between], wanted[~between])


@given(GRIDS, st.sampled_from([np.int16, np.float32]), st.integers(0, 2**31))
@settings(max_examples=40, deadline=None)
def test_channels_come_over_as_scipy_interpolates(own: Geometry, dtype: type, seed: int) -> None:
    voxels = np.random.default_rng(seed).normal(0, 300, own.shape).astype(dtype)
    files = Files()
    files.add("T1", np.zeros(IMAGE.shape, dtype), grid=IMAGE)
    files.add("T2", voxels, grid=own)
    case = Case("a", (Source("T1", name="T1"), Source("T2", name="T2")))
    linear = {"input": FIX, "image": {"resample": {"interpolation": "linear"}}}
    assembled, findings = put_together(files, case, config_of(linear))
    back = index_affine(IMAGE, own)
    places = np.stack(np.indices(IMAGE.shape), -1) @ back[:3, :3].T + back[:3, 3]
    ends = np.array(own.shape) - 1
    inner = ((places >= 0) & (places <= ends)).all(-1)
    wanted = ndimage.map_coordinates(voxels.astype(np.float64), np.moveaxis(places, -1, 0), order=1)
    found = assembled.channels[1]
    assert found.dtype == dtype
    tolerance = 0.51 if dtype == np.int16 else 0.01
    np.testing.assert_allclose(found[inner], wanted[inner], atol=tolerance)
    far = ((places < -0.51) | (places > ends + 0.51)).any(-1)
    assert (found[far] == voxels.min()).all()
    if not own.distance(IMAGE) < 1e-4:
        (told,) = [item for item in findings if item.code == "W_CHANNEL_REGRID"]
        near = (np.abs(places - np.clip(places, -0.5, ends + 0.5)) < 1e-6).all(-1).sum()
        assert (
            abs(found.size - told.values["outside"] - near)
            <= (np.abs(places + 0.5) < 1e-6).sum() + (np.abs(places - ends - 0.5) < 1e-6).sum()
        )


def test_large_whole_numbers_of_a_channel_are_not_rounded_on_the_way() -> None:
    voxels = 2**30 + np.arange(IMAGE.voxels, dtype=np.int32).reshape(IMAGE.shape)
    files = Files()
    files.add("T1", voxels, grid=IMAGE)
    moved = Geometry(IMAGE.shape, IMAGE.spacing, (-1.5, 4.0, 7.0))
    files.add("T2", voxels, grid=moved)
    case = Case("a", (Source("T1", name="T1"), Source("T2", name="T2")))
    linear = {"input": FIX, "image": {"resample": {"interpolation": "linear"}}}
    assembled, _ = put_together(files, case, config_of(linear))
    np.testing.assert_array_equal(assembled.channels[1][..., 1:], voxels[..., :-1])


def test_the_first_channel_in_the_cohorts_order_sets_the_grid() -> None:
    files = Files()
    for name, length in (("T1", 8), ("T2", 6)):
        files.add(name, np.zeros((length, 5, 5), np.int16))
    case = Case("a", (Source("T2", name="T2"), Source("T1", name="T1")))
    config = config_of({"input": FIX})
    assembled, _ = put_together(files, case, config, Agreement(("T1", "T2")))
    assert assembled.channel_names == ("T1", "T2")
    assert assembled.geometry.shape == (8, 5, 5)


def test_other_channels_than_the_cohorts_are_refused_with_both_sides() -> None:
    files = Files()
    case = Case("a", (Source(files.add("T2", np.zeros((4, 5, 6), np.int16)).path, name="T2"),))
    agreed = Agreement(("T1", "T2"))
    with pytest.raises(
        InputError, match=r"has 1 channel \(T2\), but the cohort has 2 channels \(T1, T2\)"
    ):
        put_together(files, case, config_of(), agreed)
    lax = config_of({"input": {"policy": {"E_CHANNELS": "warn"}}})
    assembled, findings = put_together(files, case, lax, agreed)
    assert assembled.channel_names == ("T2",)
    assert [item.code for item in findings] == ["E_CHANNELS"]


def test_a_difference_is_told_in_degrees_and_millimetres_and_advice_names_what_is_not_set() -> None:
    own = grid((9, 12, 14), (1.5, 1.0, 2.0), (-3.0, 4.0, 7.0), (0, 0, 8.0))
    files = Files()
    case = labelled_case(files, IMAGE, np.ones(own.shape, np.uint8), own)
    with pytest.raises(InputError, match=r"turned by 8°, corners up to [\d.]+ mm apart") as refused:
        put_together(files, case, config_of())
    assert refused.value.code == "E_SHAPE_MISMATCH"
    assert "E_SHAPE_MISMATCH: fix" in refused.value.advice
    corners = np.linalg.norm(own.corners() - IMAGE.corners(), axis=1).max()
    assert f"{corners:.3g} mm" in refused.value.message


LOST = Geometry((9, 12, 14))


@pytest.mark.parametrize("lost", ["label", "image"])
def test_a_header_that_lost_its_geometry_is_never_believed_unless_asked_for(lost: str) -> None:
    label = np.random.default_rng(0).integers(0, 3, LOST.shape).astype(np.uint8)
    files = Files()
    grids = (IMAGE, LOST) if lost == "label" else (LOST, IMAGE)
    case = labelled_case(files, grids[0], label, grids[1])
    for policy in ({}, {"E_SHAPE_MISMATCH": "fix"}):
        with pytest.raises(InputError) as refused:
            put_together(files, case, config_of({"input": {"policy": policy}}))
        assert refused.value.code == "E_AFFINE_LOST"
        assert "E_AFFINE_LOST: fix" in refused.value.advice
    index = config_of({"input": {"policy": {"E_AFFINE_LOST": "fix"}}})
    assembled, findings = put_together(files, case, index)
    np.testing.assert_array_equal(assembled.labels["segmentation"], label)
    assert [item.severity for item in findings if item.code == "E_AFFINE_LOST"] == ["fix"]
    believed = config_of({"input": {"policy": {"E_AFFINE_LOST": "warn"}}})
    with pytest.raises(InputError, match=r"spacing|voxels") as refused:
        put_together(files, case, believed)
    assert refused.value.code == "E_SHAPE_MISMATCH"


def test_a_channel_whose_header_lost_its_geometry_can_be_taken_by_index() -> None:
    files = Files()
    voxels = np.random.default_rng(0).integers(0, 99, LOST.shape).astype(np.int16)
    files.add("T1", voxels, grid=IMAGE)
    files.add("T2", voxels, grid=LOST)
    case = Case("a", (Source("T1", name="T1"), Source("T2", name="T2")))
    index = config_of(
        {"input": {"policy": {"E_AFFINE_LOST": "fix"}}, "image": {"orientation": "RAI"}}
    )
    assembled, _ = put_together(files, case, index)
    np.testing.assert_array_equal(*assembled.channels)


def test_structures_on_another_grid_come_over_too() -> None:
    files = Files()
    files.add("image", np.zeros(IMAGE.shape, np.int16), grid=IMAGE)
    half = Geometry((9, 12, 14), IMAGE.spacing, (-3.0 + 1.5, 4.0, 7.0))
    one, two = np.zeros((2, *IMAGE.shape), np.uint8)
    one[:4], two[6:, :, :13] = 1, 1
    sources = (
        Source(files.add("liver", one, grid=IMAGE).path, name="liver"),
        Source(files.add("spleen", two, grid=half).path, name="spleen"),
    )
    case = Case("a", (Source("image"),), (LabelSource(sources),))
    with pytest.raises(InputError, match="structure spleen and the first structure differ"):
        put_together(files, case, config_of())
    result, _ = computed(files, case, config_of({"input": FIX}))
    wanted = one.copy()
    wanted[6:, :, 1:] = np.where(two[6:, :, :13] > 0, 2, 0)
    np.testing.assert_array_equal(result.labels["segmentation"], wanted)
