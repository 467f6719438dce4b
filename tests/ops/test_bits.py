"""Rounding to fewer bits is numcodecs' BitRound, in place and with its error measured."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numcodecs.bitround import BitRound

from gpuprep.ops.bits import (
    RoundingError,
    fraction_bits,
    largest_kept,
    round_in_place,
    rounded_bits,
    worst,
)

KINDS = {"float16": (10, 16), "float32": (23, 32)}


@pytest.mark.parametrize("dtype", KINDS)
@given(data=st.data())
def test_it_rounds_as_bitround_does(dtype, data):
    bits, width = KINDS[dtype]
    keep = data.draw(st.integers(1, bits))
    values = data.draw(
        arrays.arrays(dtype, st.integers(0, 20), elements=st.floats(width=width, allow_nan=False))
    )
    values = values[np.abs(values) <= largest_kept(values.dtype, keep)]
    wanted = BitRound(keep).encode(values).view(dtype)
    found = rounded_bits(values, keep)
    assert found.tobytes() == wanted.tobytes()
    assert np.isfinite(found).all()
    assert rounded_bits(found, keep).tobytes() == found.tobytes()


@pytest.mark.parametrize(("dtype", "bits"), [("float16", 10), ("float32", 23)])
def test_the_largest_number_that_is_kept(dtype, bits):
    kind = np.dtype(dtype)
    assert fraction_bits(kind) == bits
    assert largest_kept(kind, bits) == np.finfo(kind).max
    for keep in range(1, bits):
        end = np.array([largest_kept(kind, keep)], kind)
        assert rounded_bits(end, keep) == end
        up = np.nextafter(end, kind.type(np.inf))
        rest = end.view(f"u{kind.itemsize}") + (1 << (bits - keep - 1))
        assert np.isinf(rounded_bits(rest.view(kind), keep))
        assert rounded_bits(up, keep) == end or keep == bits - 1


@pytest.mark.parametrize("turn", [(0, 1, 2), (2, 1, 0)])
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("dtype", KINDS)
def test_in_place_with_the_error_that_numpy_finds(turn, threads, dtype):
    before = np.random.default_rng(1).normal(0, 3, (9, 10, 11)).astype(dtype)
    array = before.copy().transpose(turn)
    error = round_in_place(array, 4, array.size, threads)
    assert np.array_equal(array, rounded_bits(before, 4).transpose(turn))
    moved = array.transpose(np.argsort(turn)).astype(np.float64) - before
    assert error.largest == np.abs(moved).max()
    assert error.rms == pytest.approx(np.sqrt(np.mean(moved**2)), rel=1e-5)
    assert error.largest <= 2.0**-5 * np.abs(before).max()


def test_zeros_beside_the_voxels_do_not_lower_the_mean():
    voxels = np.full((2, 2, 2), 1.1, np.float16)
    cubes = np.zeros((1, 1, 1, 4, 4, 4), np.float16)
    cubes[0, 0, 0, :2, :2, :2] = voxels
    assert round_in_place(cubes, 3, 8) == round_in_place(voxels, 3, 8)


def test_the_worst_of_several_channels():
    assert worst([RoundingError(1, 0.1), RoundingError(0.5, 0.2)]) == RoundingError(1, 0.2)
