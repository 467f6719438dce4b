"""What a cohort agrees on: names decide, positions never, and what was agreed on stays."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuprep.cohort.agreement import agree
from gpuprep.cohort.layouts.dataset_json import Description
from gpuprep.values.agreement import Agreement, Classes
from gpuprep.values.case import Case, LabelSource, Source
from gpuprep.values.errors import UsageError

NAMES = st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=5, unique=True)


def structures(case_id: str, names: list[str], label: str = "segmentation") -> Case:
    sources = tuple(Source(f"{name}.nii", name=name) for name in names)
    classes = Classes({number + 1: name for number, name in enumerate(names)})
    return Case(case_id, (Source("ct.nii"),), (LabelSource(sources, label, classes),))


def declared(case_id: str, classes: Classes) -> Case:
    return Case(case_id, (Source("ct.nii"),), (LabelSource((Source("seg.nii"),), classes=classes),))


def sequences(case_id: str, *names: str) -> Case:
    return Case(case_id, tuple(Source(f"{name}.nii", name=name) for name in names))


def names_of(cases: list[Case], present: Agreement | None = None) -> dict[int, str]:
    return dict(agree(cases, present).labels["segmentation"].names)


@given(st.lists(NAMES, min_size=1, max_size=6), st.randoms())
def test_structures_are_numbered_alike_whatever_the_order_of_cases(
    folders: list[list[str]], random
) -> None:
    cases = [structures(str(number), sorted(names)) for number, names in enumerate(folders)]
    names = names_of(cases)
    assert names == dict(enumerate(sorted(set().union(*folders)), start=1))
    random.shuffle(cases)
    assert names_of(cases) == names


@given(st.lists(NAMES, min_size=1, max_size=4), st.lists(NAMES, min_size=1, max_size=4))
def test_what_was_agreed_on_stays_when_cases_are_added(
    first: list[list[str]], later: list[list[str]]
) -> None:
    present = agree([structures("a", sorted(names)) for names in first])
    grown = agree([structures("b", sorted(names)) for names in later], present)
    before, after = (each.labels["segmentation"].names for each in (present, grown))
    assert {value: after[value] for value in before} == before
    assert set(after.values()) == set().union(*first, *later)
    assert len(set(after.values())) == len(after)
    assert Agreement.from_json(json.loads(json.dumps(grown.to_json()))) == grown


def test_declared_values_are_kept_and_others_get_free_ones() -> None:
    liver = declared("a", Classes({1: "liver", 5: "tumor"}))
    spleen = declared("b", Classes({1: "spleen", 2: "liver"}))
    assert names_of([liver, spleen]) == {1: "liver", 5: "tumor", 6: "spleen"}
    assert names_of([spleen, liver]) == {1: "liver", 5: "tumor", 6: "spleen"}
    assert Classes({1: "spleen", 2: "liver"}).renumbered(
        agree([liver, spleen]).labels["segmentation"]
    ) == {
        1: 6,
        2: 1,
    }


def test_two_spellings_of_one_class_are_refused_with_both() -> None:
    with pytest.raises(
        UsageError, match="'Left Kidney' and 'left_kidney' differ in their spelling"
    ):
        agree([structures("a", ["Left Kidney"]), structures("b", ["left_kidney"])])


def test_regions_and_the_ignore_label_are_kept_and_must_agree() -> None:
    classes = Classes(
        {1: "whole", 2: "whole+core", 3: "ignore"}, {"whole": (1, 2), "core": (2,)}, (1, 2), 3
    )
    kept = agree([declared("a", classes)]).labels["segmentation"]
    assert (kept.regions, kept.order, kept.ignore) == (classes.regions, (1, 2), 3)
    other = Classes({1: "whole", 2: "whole+core", 3: "ignore"}, {"whole": (1,)}, (), 3)
    with pytest.raises(UsageError, match=r"region 'whole' is both \[1\] and \[1, 2\]"):
        agree([declared("a", classes), declared("b", other)])
    with pytest.raises(UsageError, match="both 1 and 3 are to be ignored"):
        agree([declared("a", classes), declared("b", Classes({1: "whole"}, ignore=1))])


def test_values_that_would_share_a_name_stay_apart() -> None:
    brats = {"labels": {"background": 0, "whole": [1, 2, 3], "core": [2, 3], "enhancing": 3}}
    assert Description("", brats).classes.names == {
        1: "whole",
        2: "whole+core",
        3: "whole+core+enhancing",
    }
    twice = {"labels": {"0": "background", "1": "lesion", "2": "lesion"}}
    assert Description("", twice).classes.names == {1: "lesion_1", 2: "lesion_2"}
    regions = {"labels": {"whole": [1, 2, 3], "core": [2, 3]}, "regions_class_order": [1, 2]}
    assert Description("", regions).classes.names == {
        1: "whole",
        2: "whole+core_2",
        3: "whole+core_3",
    }


def test_the_usual_channels_are_the_cohorts_and_the_outputs_go_before_them() -> None:
    cases = [sequences("a", "T2", "T1"), sequences("b", "T1"), sequences("c", "T2", "T1")]
    assert agree(cases).channels == ("T2", "T1")
    assert agree(cases, Agreement(("FLAIR",))).channels == ("FLAIR",)
    assert agree([Case("a", (Source("a.nii"),))]).channels == ()
    assert agree([Case("a", (Source("a.nii"),), channels=("T1", "T2"))]).channels == ("T1", "T2")


def test_files_of_which_some_have_a_name_are_named_in_part() -> None:
    """As a manifest with the columns ``image`` and ``image_T2`` has them."""
    files = (Source("1.nii"), Source("2.nii", name="T2"))
    assert agree([Case("a", files), Case("b", files)]).channels == ("channel_0", "T2")
    assert agree([Case("c", (Source("1.nii"), Source("2.nii")))]).channels == ()
