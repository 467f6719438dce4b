"""Packed rows of numbers: every bit comes back, by NumPy alone, too; damage is told."""

import base64
import json
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from gpuprep.ops.packed import pack, unpack
from gpuprep.ops.pointwise import ClipAffine, affine
from gpuprep.ops.statistics import measure
from gpuprep.ops.table import MOST_KNOTS, Table
from gpuprep.preprocess.curves import equalize


@given(arrays.arrays(np.float64, st.integers(0, 40), elements=st.floats(width=64)))
def test_every_bit_comes_back(row: np.ndarray) -> None:
    assert unpack(pack(row), 40).tobytes() == row.tobytes()
    bits = np.frombuffer(zlib.decompress(base64.b64decode(pack(row))), "<i8")
    assert np.cumsum(bits).view("<f8").tobytes() == row.tobytes()


def test_a_row_in_any_layout_is_the_same_text() -> None:
    row = np.arange(12.0)
    assert pack(np.asarray(row, ">f8")) == pack(np.stack([row, row], 1)[:, 1]) == pack(row)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no base64!",
        base64.b64encode(b"no zlib").decode(),
        base64.b64encode(zlib.compress(bytes(12))).decode(),
        base64.b64encode(zlib.compress(bytes(80))[:-2]).decode(),
        base64.b64encode(zlib.compress(bytes(88))).decode(),
        base64.b64encode(zlib.compress(bytes(1 << 26))).decode(),
    ],
)
def test_damage_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"(?i)packed row|base64"):
        unpack(text, 10)


@pytest.mark.parametrize("chain", [ClipAffine(), affine(0.37, 1.1), affine(-3.0, 0.25)])
@pytest.mark.parametrize(("kind", "most"), [("f4", 100_000), ("i2", 30_000)])
def test_a_table_of_all_bins_is_short_and_exact(chain: ClipAffine, kind: str, most: int) -> None:
    noise = np.random.default_rng(0).normal(size=(100, 100, 50))
    array = (noise * 300).astype(kind)
    table = equalize(measure(array), chain, 65536).table
    told = json.dumps(table.to_json())
    assert len(told) < most
    assert Table.from_json(json.loads(told)) == table


def test_few_points_are_written_out_and_old_records_are_read() -> None:
    few = Table((0.0, 1.5), (2.0, 3.0))
    assert few.to_json() == {"x": [0.0, 1.5], "y": [2.0, 3.0]}
    many = Table(tuple(range(5000)), tuple(range(5000)))
    assert Table.from_json(many.to_lists()) == Table.from_json(many.to_json()) == many


def test_more_points_than_any_table_has_are_refused() -> None:
    row = np.arange(MOST_KNOTS + 1.0)
    with pytest.raises(ValueError, match="too long"):
        Table.from_json({"x": pack(row), "y": pack(row)})
