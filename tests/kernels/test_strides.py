"""Kernels on any shape, strides and mapping; needs Hypothesis."""

import numpy as np
import pytest

from gpuprep.ops.resample import Resampling
from gpuprep.values.geometry import Reorientation
from gpuprep.values.grids import GridMapping
from kernels.test_labels import assert_equal as assert_equal_labels
from kernels.test_resample import assert_equal, voxels

pytest.importorskip("hypothesis", reason="Hypothesis is not installed")
from hypothesis import example, given, settings
from hypothesis import strategies as st


@given(
    shape=st.tuples(*[st.sampled_from([1, 2, 3, 9, 31])] * 3),
    out=st.tuples(*[st.sampled_from([1, 2, 3, 8, 17, 33])] * 3),
    scale=st.tuples(*[st.sampled_from([1.0, 0.31, 0.77, 1.9, 3.0])] * 3),
    offset=st.tuples(*[st.sampled_from([0.0, -2.0, 0.37, 1.5])] * 3),
    kinds=st.tuples(*[st.sampled_from(["nearest", "linear", "cubic"])] * 3),
    axes=st.permutations([0, 1, 2]),
    flips=st.tuples(*[st.booleans()] * 3),
    cut=st.booleans(),
    antialias=st.booleans(),
    boundary=st.sampled_from(["nearest", "mirror"]),
)
@settings(max_examples=60, deadline=None)
def test_any_strides(
    engine, shape, out, scale, offset, kinds, axes, flips, cut, antialias, boundary
) -> None:
    base = engine.xp.asarray(voxels(shape))
    view = Reorientation(tuple(axes), flips).view(base)
    if cut:
        view = view[view.shape[0] // 3 :, ::2, : view.shape[2] // 2 + 1]
    how = Resampling(GridMapping(out, scale, offset), kinds, boundary, antialias)
    assert_equal(engine, view, how)


@given(
    shape=st.tuples(*[st.integers(1, 9)] * 3),
    out=st.tuples(*[st.integers(1, 12)] * 3),
    scale=st.tuples(*[st.sampled_from([1.0, 0.5, 0.25, 2 / 3, 1.5, 2.2])] * 3),
    offset=st.tuples(*[st.sampled_from([0.0, 0.5, -0.5, 0.25, 3.0])] * 3),
    axes=st.permutations([0, 1, 2]),
    flips=st.tuples(*[st.booleans()] * 3),
    seed=st.integers(0, 99),
    interpolation=st.sampled_from(["nearest", "linear"]),
)
@example(  # the outputs miss all that is not background
    shape=(1, 2, 4),
    out=(1, 1, 1),
    scale=(1.0, 1.0, 1.0),
    offset=(0.0, 0.0, 0.5),
    axes=[0, 1, 2],
    flips=(False, False, True),
    seed=1,
    interpolation="linear",
)
@settings(max_examples=150, deadline=None)
def test_ties_and_any_strides(
    engine, shape, out, scale, offset, axes, flips, seed, interpolation
) -> None:
    """Scales and offsets that make the sums of weights tie, on labels that change from voxel to voxel."""
    base = np.random.default_rng(seed).integers(0, 4, shape).astype(np.uint8)
    view = Reorientation(tuple(axes), flips).view(engine.xp.asarray(base))
    assert_equal_labels(engine, view, GridMapping(out, scale, offset), interpolation)
