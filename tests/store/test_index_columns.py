"""The list of cases as columns: the same as line by line, and never believed where it is of other lines."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuprep.store.columns import Numbers, Ragged, Words, pack, unpack
from gpuprep.store.facts import Facts
from gpuprep.store.index import _LATER, CaseIndex, index_of
from gpuprep.store.listing import Holding


def line(case_id: str, **other: Any) -> dict[str, Any]:
    facts = Facts(
        record="12-345",
        source="ab",
        input="/in",
        shape=(3, 4, 5),
        spacing=(2.0, 1.0, 0.5),
        source_shape=(6, 7, 8),
        source_spacing=(1.0, 1.0, 0.25),
        source_bytes=99,
        voxels=(50, 10, 7),
        measures=(("mean", "std"),),
        statistics=(1.5, None),
        findings=("E_SHEARED",),
        attributes={"site": "ä"},
        files=("0/c.0.0.0", "zarr.json"),
        sizes=(1, 1 << 40),
    )
    labels = {"liver": (0, 1), "organ": (-3,)}
    return {"case": case_id, "digest": "d", **Holding(("CT",), labels, facts).to_row(), **other}


def text(*rows: dict[str, Any]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def told(index: CaseIndex) -> dict[str, Holding | None]:
    return {case_id: Holding.of_row(index.row(case_id) or {}) for case_id in index.ids}


def packed(manifest: bytes) -> bytes:
    return index_of(manifest).to_bytes(manifest)


OLD = {"case": "old", "digest": "x", "channels": ["CT"], "labels": {"liver": [0]}}
ROWS = (
    line("a"),
    line("b", digest="e", attributes={}),
    OLD,
    line("c", seen="here", labels={}, voxels=[]),
)


def test_columns_say_what_the_lines_say() -> None:
    manifest = text(*ROWS)
    by_line, by_column = index_of(manifest), index_of(manifest, packed(manifest))
    assert (by_line.read, by_column.read) == (4, 0)
    assert told(by_column) == told(by_line) == {row["case"]: Holding.of_row(row) for row in ROWS}
    row = by_column.row("c") or {}
    assert (row["seen"], row["digest"]) == ("here", "d")
    assert by_column.row("nobody") is None


def test_lines_behind_are_added_and_replace_earlier_ones() -> None:
    before = text(*ROWS)
    more = text(line("b", source_bytes=7), line("d"), OLD | {"case": "a"}, line("old"))
    index = index_of(before + more, packed(before))
    assert index.read == 4
    assert told(index) == told(index_of(before + more))
    assert set(index.brief) == {"a"}


def test_lines_of_now_are_added_to_columns_of_an_older_version() -> None:
    """Which lacks some columns; what it says of them, the lines before it do not say either."""
    before = text(*ROWS)
    index = index_of(before)
    columns = {name: each for name, each in index.columns.items() if name not in _LATER}
    old = replace(index, columns=columns).to_bytes(before)
    more = text(line("d"), line("b", source_bytes=7))
    joined = index_of(before + more, old)
    assert joined.read == 2
    assert told(joined).keys() == told(index_of(before + more)).keys()
    assert told(joined)["d"] == told(index_of(more))["d"]
    again = index_of(before + more, joined.to_bytes(before + more))
    assert (again.read, told(again)) == (0, told(joined))


def test_lines_without_a_change_of_digest_of_older_versions_stay_brief() -> None:
    index = index_of(
        text({"case": "a", "digest": "x"}, line("b", shape=[1, 2]), line("c", voxels=[1]))
    )
    assert set(index.brief) == {"a", "b", "c"}


@pytest.mark.parametrize("place", range(0, 100, 7))
def test_columns_of_other_lines_are_not_believed(place: int) -> None:
    manifest = text(*ROWS)
    other = bytearray(manifest)
    where = len(other) * place // 100
    other[where] = ord("7") if other[where] != ord("7") else ord("8")
    for now in (bytes(other), manifest[:-40], b"", text(line("z"))):
        assert told(index_of(now, packed(manifest))) == told(index_of(now))


@given(st.data())
def test_damaged_columns_are_never_taken_for_others(data: st.DataObject) -> None:
    manifest = text(*ROWS)
    bad = bytearray(packed(manifest))
    match data.draw(st.sampled_from(["flip", "cut", "zeros"])):
        case "flip":
            bad[data.draw(st.integers(0, len(bad) - 1))] ^= 1 << data.draw(st.integers(0, 7))
        case "cut":
            del bad[data.draw(st.integers(0, len(bad) - 1)) :]
        case _:
            start = data.draw(st.integers(0, len(bad) - 1))
            bad[start:] = bytes(len(bad) - start)
    assert told(index_of(manifest, bytes(bad))) == told(index_of(manifest))


@given(st.lists(st.lists(st.integers(-(1 << 50), 1 << 50), max_size=4), min_size=1), st.data())
def test_columns_come_back_and_are_taken_row_by_row(
    rows: list[list[int]], data: st.DataObject
) -> None:
    columns = {"n": Ragged.of(rows, np.int64), "w": Words.of(rows), "t": Words.of(map(str, rows))}
    columns["k"] = Numbers(np.arange(len(rows)))
    kinds = {name: type(column) for name, column in columns.items()}
    back = unpack(pack(columns, {}), kinds)
    assert back is not None
    places = data.draw(st.lists(st.integers(0, len(rows) - 1)))
    for some in (columns, back):
        for name in ("n", "w"):
            taken = some[name].take(np.array(places, np.intp)).joined(some[name])
            assert [taken[n] for n in range(len(taken))] == [rows[n] for n in places] + rows
        assert [some["k"][n] for n in range(len(rows))] == list(range(len(rows)))
    assert unpack(pack(columns, {}), {**kinds, "more": Words}) is None
