"""The model of a disk whose power goes: what is on it for sure, and what may be, after a few steps."""

from __future__ import annotations

import pytest
from chaos.cut_disk import Disk, Model, State, Step

WRITTEN = (Step("D", "a"), Step("C", "a/x"), Step("W", "a/x", data=b"12345678"))


def after(model: Model, *steps: Step, before: State | None = None) -> list[State]:
    disk = Disk(model, before or {})
    for step in steps:
        disk.apply(step)
    return list(disk.states("", 40))


def contents_of_x(states: list[State]) -> set[bytes | None]:
    return {state.get("a/x") for state in states}


@pytest.mark.parametrize("model", ["ordered", "anchored", "strict"])
def test_bytes_without_fsync_may_be_anything(model):
    told = contents_of_x(after(model, *WRITTEN))
    assert told == {None, b"", b"12345678", bytes(8), b"1234"}


@pytest.mark.parametrize(
    ("model", "sure"), [("ordered", True), ("anchored", True), ("strict", False)]
)
def test_an_fsync_brings_the_name_in_all_models_but_the_strict(model, sure):
    told = contents_of_x(after(model, *WRITTEN, Step("S", "a/x")))
    assert told == ({b"12345678"} if sure else {None, b"12345678"})
    named = (Step("S", "a/x"), Step("S", "a"), Step("S", ""))
    assert contents_of_x(after(model, *WRITTEN, *named)) == {b"12345678"}


@pytest.mark.parametrize(
    ("model", "either"), [("ordered", False), ("anchored", True), ("strict", True)]
)
def test_changes_keep_their_order_only_where_the_model_says_so(model, either):
    states = after(model, Step("C", "x"), Step("C", "y"))
    assert any("y" in state and "x" not in state for state in states) == either


@pytest.mark.parametrize("model", ["ordered", "anchored", "strict"])
def test_what_is_moved_is_never_in_neither_place(model):
    before: State = {"a": None, "a/x": b"1", "b": None}
    states = after(model, Step("R", "a/x", "b/x"), before=before)
    places = {tuple(name for name in ("a/x", "b/x") if name in state) for state in states}
    assert places == {("a/x",), ("b/x",)} | ({("a/x", "b/x")} if model == "strict" else set())


@pytest.mark.parametrize("model", ["ordered", "anchored", "strict"])
def test_two_that_changed_places_are_each_old_or_new(model):
    before: State = {"a": None, "a/x": b"old", "b": None, "b/x": b"new"}
    states = after(model, Step("X", "a/x", "b/x"), Step("S", "a"), Step("U", "b/x"), before=before)
    assert contents_of_x(states) == {b"new"}
    states = after(model, Step("X", "a/x", "b/x"), before=before)
    assert contents_of_x(states) == {b"new", b"old"}
