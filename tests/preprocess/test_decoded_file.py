"""The file that holds a decoded case: arrays come back as they lay in memory, whatever their axes."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gpuprep.preprocess import decoded_file
from gpuprep.preprocess.decoded_file import (
    Damaged,
    most_bytes,
    read_arrays,
    read_words,
    write_arrays,
)

ARRAYS = hnp.arrays(
    st.sampled_from(["u1", "i2", "u2", "i4", "i8", "f4", "f8", "?"]),
    hnp.array_shapes(min_dims=3, max_dims=3, max_side=9),
)


@given(
    arrays=st.lists(ARRAYS, max_size=3),
    axes=st.permutations([0, 1, 2]),
    flips=st.tuples(*[st.booleans()] * 3),
    threads=st.integers(0, 2),
)
@settings(max_examples=60, deadline=None)
def test_arrays_come_back_as_they_lay(tmp_path_factory, arrays, axes, flips, threads):
    steps = tuple(slice(None, None, -1 if flip else 1) for flip in flips)
    views = [array.transpose(axes)[steps] for array in arrays]
    path = tmp_path_factory.getbasetemp() / "arrays"
    words = {"some": [1, 2.5, "ä\udc80"]}
    with path.open("wb") as file:
        write_arrays(file, views, words, threads)
    assert path.stat().st_size <= most_bytes(views) + 2000
    with path.open("rb") as file:
        tree = read_words(file)
        found = read_arrays(file, tree["arrays"], np.empty, threads)
    assert tree["words"] == words
    for one, other in zip(views, found, strict=True):
        assert one.dtype == other.dtype
        assert one.tobytes() == other.tobytes()  # NaN, too
        wide = [axis for axis in range(3) if one.shape[axis] > 1]
        assert [one.strides[axis] for axis in wide] == [other.strides[axis] for axis in wide]


def test_large_arrays_are_cut_into_pieces(tmp_path):
    array = np.random.default_rng(0).normal(size=(70, 60, 130)).astype("f8")
    with (tmp_path / "file").open("wb") as file:
        write_arrays(file, [array], {}, 2)
    with (tmp_path / "file").open("rb") as file:
        tree = read_words(file)
        (found,) = read_arrays(file, tree["arrays"], np.empty, 2)
    assert len(tree["arrays"][0]["pieces"]) == 5
    np.testing.assert_array_equal(array, found)


@pytest.mark.parametrize("dtype", [">i2", "c8", "U3"])
def test_other_dtypes_are_refused(tmp_path, dtype):
    with (tmp_path / "file").open("wb") as file, pytest.raises(TypeError, match="kept"):
        write_arrays(file, [np.zeros((2, 2, 2), dtype)], {})


@pytest.mark.parametrize("contents", [b"", b"short", bytes(1000), b"x" * 4096])
def test_other_files_are_none_of_ours(tmp_path, contents):
    (tmp_path / "file").write_bytes(contents)
    with (tmp_path / "file").open("rb") as file, pytest.raises(Damaged):
        read_words(file)


def test_a_piece_of_another_length_is_damaged(tmp_path):
    """A file with good sums, whose words speak of more voxels than its pieces hold."""
    array = np.arange(24, dtype="i2").reshape(2, 3, 4)
    with (tmp_path / "file").open("wb") as file:
        write_arrays(file, [array], {})
    with (tmp_path / "file").open("rb") as file:
        (row,) = read_words(file)["arrays"]
        for shape in ([2, 3, 5], [2, 3, 3], [400, 400, 400]):
            with pytest.raises(Damaged):
                read_arrays(file, [{**row, "shape": shape}], np.empty)


def test_words_are_json_and_nothing_else(tmp_path):
    with (tmp_path / "file").open("wb") as file:
        write_arrays(file, [], {"a": 1})
        with pytest.raises(TypeError):
            write_arrays(file, [], {"a": object()})
    contents = (tmp_path / "file").read_bytes()
    text = contents[: -decoded_file._END.size]
    assert json.loads(text) == {"words": {"a": 1}, "arrays": []}
