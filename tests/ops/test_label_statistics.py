"""Statistics per label against NumPy, label by label."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuprep.ops.label_statistics import measure_labels


@given(
    shape=st.tuples(*[st.integers(1, 9)] * 3),
    kind=st.sampled_from(["?", "i1", "u1", "i2", "u2", "i4", "u4", "f4", "f8"]),
    seed=st.integers(0, 99),
    named=st.booleans(),
)
def test_every_label_as_if_it_were_alone(shape, kind, seed, named) -> None:
    random = np.random.default_rng(seed)
    array = random.normal(60, 30, shape).astype(kind)
    labels = random.integers(-1, 5, shape).astype(np.int16)
    names = (4, -1, 2, 9) if named else None
    found = measure_labels(array, labels, names)
    assert list(found) == (sorted(names) if names else sorted(set(labels[labels > 0].tolist())))
    for name, statistics in found.items():
        values = array[labels == name].astype(np.float64)
        assert statistics.count == len(values)
        if not len(values):
            assert (statistics.minimum, statistics.sum) == (None, 0)
            continue
        assert (statistics.minimum, statistics.maximum) == (values.min(), values.max())
        assert statistics.mean == pytest.approx(values.mean(), rel=1e-12)
        assert statistics.std == pytest.approx(values.std(), rel=1e-6, abs=1e-6)


def test_sums_of_small_integers_are_exact() -> None:
    array = np.full((2, 1024, 1100), -32768, np.int16)
    labels = np.ones(array.shape, np.uint8)
    one = measure_labels(array, labels)[1]
    assert (one.sum, one.squares) == (-32768 * array.size, 2**30 * array.size)
    assert one.std == 0


def test_not_finite_voxels_are_counted_apart() -> None:
    array = np.float32([[[1, np.nan, 3, np.inf, -np.inf, 8]]])
    labels = np.uint8([[[1, 1, 1, 1, 2, 0]]])
    found = measure_labels(array, labels)
    assert (found[1].count, found[1].excluded, found[1].mean) == (2, 2, 2.0)
    assert (found[2].count, found[2].excluded, found[2].maximum) == (0, 1, None)
    with pytest.raises(ValueError, match="no voxels"):
        _ = found[2].mean


def test_what_cannot_be_measured_is_refused() -> None:
    array = np.zeros((2, 3, 4))
    with pytest.raises(ValueError, match="labels of shape"):
        measure_labels(array, np.zeros((2, 3, 5), np.uint8))
    with pytest.raises(TypeError, match="labels are integers"):
        measure_labels(array, array)
    with pytest.raises(ValueError, match="256 labels are more"):
        measure_labels(array, array.astype(int), range(256))
