"""A config with comments is the config, whatever its keys, values and comments hold."""

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuprep.advice.written import Entry, text_of, tree_of

texts = st.text(max_size=20)
keys = st.text(min_size=1, max_size=12)
numbers = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(10**9), 10**9)
plain = numbers | st.booleans() | texts
values = plain | st.lists(plain, max_size=4) | st.dictionaries(keys, plain, max_size=3)
items = st.lists(
    st.builds(Entry, st.just(""), st.dictionaries(keys, values, min_size=1, max_size=2), texts),
    min_size=1,
    max_size=3,
).map(tuple)
below = st.lists(
    st.builds(Entry, keys, values | items, texts),
    min_size=1,
    max_size=4,
    unique_by=lambda each: each.key,
).map(tuple)
trees = st.lists(
    st.builds(Entry, keys, below | values, texts),
    min_size=1,
    max_size=4,
    unique_by=lambda each: each.key,
)


@settings(max_examples=60, deadline=None)
@given(trees, st.lists(texts, max_size=3))
def test_what_is_read_is_what_was_meant(entries: list[Entry], heading: list[str]) -> None:
    assert yaml.safe_load(text_of(entries, heading)) == tree_of(entries)


def test_lines_are_bare_where_they_may_be() -> None:
    entries = [
        Entry("image", (Entry("intensity", (Entry("", {"clip": {"low": -1}}, "HU"),)),), "why")
    ]
    assert text_of(entries, ["head"]).splitlines() == [
        "# head",
        "# why",
        "image:",
        "  intensity:",
        "    # HU",
        "    - clip: {low: -1}",
    ]
