"""Signs of very many names at once: what they spare a layout changes nothing of what it finds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gpuprep.cohort.layouts import NAMED
from gpuprep.cohort.layouts.naming import looks_like_label, role_of
from gpuprep.cohort.layouts.signs import Signs
from gpuprep.cohort.layouts.tree import Tree

# fmt: off
WORDS = (
    "scan", "volume", "image", "CT", "T1", "t1ce", "flair", "Seg", "label", "masks", "gt", "ground_truth",
    "annotation", "lesion", "ROI", "roi_2", "weight", "7", "12", "0000", "test", "labelsTr", "imagesTr",
    "ſeg", "Roı", "é", "a\nb", "sub-1", "segmentation",
)
# fmt: on
STEMS = st.lists(st.sampled_from(WORDS), min_size=1, max_size=3).flatmap(
    lambda words: st.sampled_from(["_", "-", ".", " ", ""]).map(lambda between: between.join(words))
)
FOLDERS = st.lists(STEMS, max_size=2).map("/".join)
FILES = st.tuples(FOLDERS, STEMS, st.sampled_from([".nii.gz", ".mha", ".txt"])).map(
    lambda parts: f"{parts[0]}/{parts[1]}{parts[2]}".lstrip("/")
)


class Every:
    """Signs of everything: each layout asks each name."""

    labels = pairing = True


def found(files: list[str], signs: Any = None) -> dict[str, Any]:
    """What each layout makes of a tree."""
    told = {}
    for name, find in NAMED.items():
        tree = Tree(Path("/nowhere"), tuple(files))
        if signs is not None:
            tree.__dict__["signs"] = signs
        outcome = find(tree)
        told[name] = outcome and (outcome.cases, outcome.reasons, outcome.own)
    return told


@given(st.lists(FILES, unique=True, max_size=8))
def test_a_layout_finds_the_same_whether_signs_spare_it_the_names_or_not(files: list[str]) -> None:
    assert found(files) == found(files, Every())


@given(st.lists(STEMS, max_size=5))
@example(["ſeg"])  # which re takes for "seg" in another case
def test_what_is_told_by_a_name_has_its_sign(stems: list[str]) -> None:
    signs = Signs(stems)
    assert signs.labels or not any(map(looks_like_label, stems))
    parts = {role_of(stem).part for stem in stems}
    assert signs.pairing or not parts & {"label", "sequence"}


@pytest.mark.parametrize(
    ("stem", "labels", "pairing"),
    [
        ("scan-000017", False, False),
        ("patient1_ct", False, False),  # "t1" in the midst of a word
        ("brain_T1", False, True),
        ("liver_mask", True, True),
        ("segmentation-7", True, False),
    ],
)
def test_plain_names_have_no_sign(stem: str, labels: bool, pairing: bool) -> None:
    signs = Signs(["scan-1", stem, "scan-2"])
    assert (signs.labels, signs.pairing) == (labels, pairing)
