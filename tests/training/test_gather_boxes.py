"""What is gathered of a chunk: a box, its surroundings, and pieces of memory that lie apart."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gpuprep.device.decoder import Extents
from gpuprep.training.gather import surroundings


@st.composite
def boxes_inside(draw: st.DrawFn) -> tuple[tuple[int, ...], tuple[slice, ...]]:
    shape = draw(st.tuples(*[st.integers(1, 6)] * 3))
    ends = [sorted(draw(st.tuples(st.integers(0, n), st.integers(0, n)))) for n in shape]
    return shape, tuple(slice(*pair) for pair in ends)


@given(boxes_inside())
def test_a_box_and_its_surroundings_cover_the_whole_once(drawn: Any) -> None:
    shape, box = drawn
    counts = np.zeros(shape, int)
    for part in (box, *surroundings(box, shape)):
        counts[part] += 1
    assert (counts == 1).all()


@given(st.lists(st.integers(0, 100)))
def test_pieces_lie_apart_at_multiples_of_16(sizes: list[int]) -> None:
    pieces = Extents()
    assert [pieces.add(size) for size in sizes] == pieces.offsets
    assert not any(offset % 16 for offset in (*pieces.offsets, pieces.end))
    ends = [offset + size for offset, size in zip(pieces.offsets, sizes, strict=True)]
    for end, following in itertools.zip_longest(ends, pieces.offsets[1:], fillvalue=pieces.end):
        assert end <= following < end + 16
