"""The foreground index: nnU-Net's counts, true positions, small dtype, sealed, and made where absent."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from gpuprep.store import locations
from gpuprep.store.case import write_case
from gpuprep.store.locations import by_class, case_locations, index_label, locations_file
from gpuprep.store.record import write_record
from gpuprep.store.verify import verify_case
from gpuprep.values.errors import CorruptStoreError
from gpuprep.values.geometry import Geometry


@given(
    arrays(np.int16, st.tuples(*[st.integers(1, 9)] * 3), elements=st.integers(-2, 4)),
    st.sampled_from([1, 30, 1 << 20]),
    st.sampled_from([1, 5, 10_000]),
)
def test_as_many_of_each_class_as_nnunet_keeps_and_every_one_is_of_it(label, slab, at_least):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(locations, "_SLAB", slab)
        patch.setattr(locations, "AT_LEAST", at_least)
        found = by_class(index_label(label))
    assert set(found) == {int(value) for value in np.unique(label) if value > 0}
    for value, voxels in found.items():
        total = int((label == value).sum())
        assert len(np.unique(voxels, axis=0)) == len(voxels)
        assert len(voxels) == max(min(at_least, total), math.ceil(0.01 * total))
        assert (label[tuple(voxels.T)] == value).all()


def test_a_large_class_is_sampled_evenly_and_always_alike():
    label = np.ones((100, 120, 130), np.uint8)
    rows = index_label(label)
    assert len(rows) == 15_600
    np.testing.assert_allclose(rows[:, 1:].mean(0), (49.5, 59.5, 64.5), atol=1.5)
    np.testing.assert_array_equal(rows, index_label(label.copy()))


def test_a_view_with_other_strides_has_the_same_index():
    label = np.random.default_rng(0).integers(0, 3, (8, 9, 10)).astype(np.uint8)
    wide = np.zeros((8, 9, 20), np.uint8)
    wide[..., ::2] = label
    np.testing.assert_array_equal(index_label(wide[..., ::2]), index_label(label))


@pytest.mark.parametrize(("value", "dtype"), [(65_535, np.uint16), (65_536, np.int64)])
def test_the_dtype_is_the_small_one_that_fits(value, dtype):
    label = np.zeros((2, 3, 4), np.int32)
    label[1, 2, 3] = value
    rows = index_label(label)
    assert rows.dtype == dtype
    assert rows.tolist() == [[value, 1, 2, 3]]


@pytest.fixture
def case(tmp_path: Path) -> Path:
    label = np.random.default_rng(0).integers(0, 3, (8, 9, 10)).astype(np.uint8)
    write = {"labels": {"organ": label}, "geometry": Geometry((8, 9, 10), (1, 1, 1), (0, 0, 0))}
    files = write_case(tmp_path / "case.zarr", image=None, durable=False, **write)
    write_record(tmp_path / "case.zarr", {"files": files}, durable=False)
    return tmp_path / "case.zarr"


def test_numpy_alone_reads_the_file_and_verify_knows_it(case):
    rows = np.load(case / locations_file("organ"), allow_pickle=False)
    for value, voxels in case_locations(case, "organ").items():
        np.testing.assert_array_equal(rows[rows[:, 0] == value, 1:], voxels)
    assert verify_case(case, full=True) == []
    (case / locations_file("organ")).write_bytes(b"")
    assert [problem.file for problem in verify_case(case)] == [locations_file("organ")]


def test_a_changed_index_is_not_used(case):
    path = case / locations_file("organ")
    text = bytearray(path.read_bytes())
    text[-1] ^= 1
    path.write_bytes(text)
    with pytest.raises(CorruptStoreError, match="CRC32C"):
        case_locations(case, "organ")


def test_a_case_stored_without_an_index_gives_the_same(case):
    stored = dict(case_locations(case, "organ"))
    (case / locations_file("organ")).unlink()
    files = locations.read_record(case)["files"]
    del files[locations_file("organ")]
    write_record(case, {"files": files}, durable=False)
    found = case_locations(case, "organ")
    assert found.keys() == stored.keys()
    for value in stored:
        np.testing.assert_array_equal(found[value], stored[value])
