"""The order of ids: natural, and the same however many there are."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from gpuprep.values.case import natural_key, natural_sorted

LETTERS = st.text(st.sampled_from("aAbB019-_.\0\n ßéÉ٣\udc80"), max_size=6)
NUMBERED = st.tuples(st.sampled_from(["case", "Case", "s0-"]), st.integers(0, 2000)).map(
    lambda parts: f"{parts[0]}{parts[1]}"
)


@given(st.one_of(st.lists(LETTERS), st.lists(NUMBERED), st.lists(st.text())))
@example(["a", "a-1", "a1", "a01", "ab"])
@example(["A1", "a0"])
def test_names_are_sorted_by_their_natural_keys(names: list[str]) -> None:
    assert natural_sorted(names) == sorted(names, key=natural_key)
    assert natural_sorted(iter(names)) == sorted(names, key=natural_key)
