"""Levels made on the fly are those that the store would hold, where they belong in the world."""

import tracemalloc

import nibabel
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from support.cohorts import run
from support.oriented import affine_of

from gpuprep.preprocess.pyramid import coarser_levels
from gpuprep.store.reader import open_cohort
from gpuprep.values.errors import UsageError
from gpuprep.values.geometry import Geometry
from gpuprep.viewing import levels
from gpuprep.viewing.levels import level_grids, slabs
from gpuprep.viewing.links import Links
from gpuprep.viewing.sight import StoredSight
from gpuprep.viewing.volume_file import VolumeFile
from gpuprep.viewing.voxels import HeldVoxels


def whole(voxels, steps: int, *, is_label: bool) -> np.ndarray:
    return np.concatenate(list(slabs(voxels, steps, is_label=is_label)))


@settings(max_examples=40, deadline=None)
@given(
    st.tuples(st.integers(1, 70), st.integers(1, 9), st.integers(1, 9)),
    st.integers(0, 4),
    st.booleans(),
    st.data(),
)
def test_slabs_put_together_are_the_levels_of_a_pyramid(shape, steps, is_label, data):
    if is_label:
        array = data.draw(arrays.arrays(np.uint8, shape, elements=st.integers(0, 3)))
    else:
        values = np.random.default_rng(data.draw(st.integers(0, 99))).normal(0, 300, shape)
        array = values.astype(np.float32)
    geometry = Geometry(shape, (1.0, 2.0, 3.0))
    image, labels = (None, {"x": array}) if is_label else (array, {})
    expected = array
    if steps and (made := coarser_levels(image, labels, geometry, count=steps)):
        expected = made[-1].labels["x"] if is_label else np.asarray(made[-1].image)
    found = whole(HeldVoxels(array, is_label), steps, is_label=is_label)
    if is_label:
        np.testing.assert_array_equal(found, expected)
    else:  # an odd plane at the end is summed in another order
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-4)


def test_a_level_is_the_mean_of_eight_and_stays_in_its_place():
    random = np.random.default_rng(1)
    array = random.normal(0, 100, (8, 12, 16)).astype(np.float32)
    geometry = Geometry.from_affine_ras(affine_of("PIR", 15.0), array.shape)
    grid = levels.halved(geometry.shape).on(geometry)
    file = VolumeFile(HeldVoxels(array), grid, 1)
    image = nibabel.Nifti1Image.from_bytes(b"".join(file.pieces()))
    eight = array.reshape(4, 2, 6, 2, 8, 2).mean((1, 3, 5))
    np.testing.assert_allclose(np.asarray(image.dataobj).T, eight, atol=1e-3)
    corner = nibabel.affines.apply_affine(
        geometry.affine_ras, (0.5, 0.5, 0.5)
    )  # of the first eight
    np.testing.assert_allclose(image.affine[:3, 3], corner, atol=1e-5)
    last = nibabel.affines.apply_affine(geometry.affine_ras, (14.5, 10.5, 6.5))
    there = nibabel.affines.apply_affine(image.affine, (7, 5, 3))
    np.testing.assert_allclose(there, last, atol=1e-4)


def test_levels_are_offered_until_one_is_small():
    sizes = [grid.voxels for grid in level_grids(Geometry((600, 512, 512)))]
    assert sizes[0] == 600 * 512 * 512
    assert sizes[-1] <= 1 << 21 < sizes[-2]
    assert len(level_grids(Geometry((20, 20, 20)))) == 1
    assert len(level_grids(Geometry((20, 20, 20)), stored=3)) == 3


def test_memory_does_not_grow_with_the_number_of_planes():
    class Endless:
        """Voxels that nobody holds."""

        shape, dtype = (4096, 256, 256), np.dtype(np.float32)

        def read(self, start, stop):
            return np.zeros([high - low for low, high in zip(start, stop, strict=True)], self.dtype)

    grid = Geometry(Endless.shape)
    for steps in range(3):
        file = VolumeFile(Endless(), grid, steps)
        tracemalloc.start()
        sent = sum(len(piece) for piece in file.pieces())
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert sent == file.size == 352 + (4096 >> steps) * (256 >> steps) ** 2 * 4
        assert peak < 40 << 20  # a gigabyte was read, in slabs of eight megabytes
        grid = levels.halved(grid.shape).on(grid)


@pytest.mark.parametrize(("plane", "thick"), [((512, 512), 16), ((512, 500), 16), ((8, 8), 32)])
def test_slabs_are_of_eight_megabytes_and_do_not_cut_through_chunks(plane, thick):
    voxels = HeldVoxels(np.zeros((64, *plane), np.int16), is_label=True)
    assert {len(slab) for slab in slabs(voxels, 0, is_label=True)} == {thick}


@pytest.mark.usefixtures("reads_here")
def test_a_stored_pyramid_is_read_and_continued(tmp_path, monkeypatch):
    monkeypatch.setattr(levels, "_FINE_ENOUGH", 200)
    random = np.random.default_rng(3)
    (tmp_path / "in").mkdir()
    array = random.integers(-500, 500, (40, 30, 24), np.int16)
    nibabel.save(nibabel.Nifti1Image(array, affine_of("LPS")), tmp_path / "in/a.nii.gz")
    plain = {"store": {"fsync": "never", "chunk": 16}}
    run(tmp_path / "in", tmp_path / "plain", plain)
    run(tmp_path / "in", tmp_path / "levels", {"store": {**plain["store"], "pyramid": 2}})
    found = {}
    for name in ("plain", "levels"):
        case = open_cohort(tmp_path / name)["a"]
        sight = StoredSight(case, lambda: None, problem=lambda: "not asked for")
        rows = sight.view(Links.of_case(name, "a"))["after"]["channels"][0]["levels"]
        files = [b"".join(sight.volume("after", level=k).pieces()) for k in range(len(rows))]
        found[name] = files, [row["zarr"] and row["zarr"]["path"] for row in rows]
    assert found["plain"][0] == found["levels"][0]
    assert found["plain"][1] == ["0", None, None, None]
    assert found["levels"][1] == ["0", "1", "2", None]


@pytest.mark.parametrize(
    ("dtype", "least", "most"), [("i8", -(2**31), 2**31 - 1), ("u8", 0, 2**32 - 1)]
)
def test_labels_beyond_32_bits_are_refused_and_not_turned_into_others(dtype, least, most):
    array = np.zeros((3, 4, 5), dtype)
    array[1, 2, 3], array[2, 3, 4] = least, most
    file = VolumeFile(HeldVoxels(array, is_label=True), Geometry(array.shape), is_label=True)
    image = nibabel.Nifti1Image.from_bytes(b"".join(file.pieces()))
    np.testing.assert_array_equal(np.asarray(image.dataobj).T, array)
    array[0, 0, 0] = most + 1
    with pytest.raises(UsageError, match=f"label {most + 1} does not fit the 32 bits"):
        list(file.pieces())
    if dtype == "i8":
        array[0, 0, 0] = least - 1
        with pytest.raises(UsageError, match=f"label {least - 1} does not fit"):
            list(file.pieces())
