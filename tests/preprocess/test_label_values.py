"""Label values: same value or an error, declared against found, mapped, structures and probabilities."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of
from support.in_memory import Files, computed, config_of, put_together

from gpuprep.values.agreement import Agreement, Classes
from gpuprep.values.case import Case, LabelSource, Source
from gpuprep.values.errors import InputError

SHAPE = (4, 5, 6)
IMAGE = np.arange(120, dtype=np.int16).reshape(SHAPE)


def case_of(files: Files, label: np.ndarray, classes: Classes | None = None) -> Case:
    files.add("image", IMAGE)
    source = LabelSource((files.add("label", label),), classes=classes or Classes())
    return Case("a", (Source("image"),), (source,))


def structures(files: Files, **masks: np.ndarray) -> Case:
    files.add("image", IMAGE)
    sources = tuple(
        Source(files.add(f"{name}.nii", mask).path, name=name) for name, mask in masks.items()
    )
    names = Classes(dict(enumerate(masks, start=1)))
    return Case("a", (Source("image"),), (LabelSource(sources, classes=names),))


def stored(files: Files, case: Case, tree=None, agreement: Agreement | None = None):
    result, findings = computed(files, case, config_of(tree), agreement)
    return result.labels["segmentation"], {item.code: item for item in findings}


@given(
    st.sampled_from(["u1", "i1", "u2", "i2", "u4", "i4", "f4"]).flatmap(
        lambda code: arrays_of.arrays(
            code,
            SHAPE,
            elements=st.integers(-(2**24), 2**24)
            if code == "f4"
            else st.integers(int(np.iinfo(code).min), int(np.iinfo(code).max)),
        )
    )
)
@settings(max_examples=60, deadline=None)
def test_every_whole_number_is_stored_as_the_file_has_it(label: np.ndarray) -> None:
    files = Files()
    if int(label.min()) < -(2**31) or (label.min() < 0 and label.max() > 2**31 - 1):
        return
    kept, _ = stored(files, case_of(files, label))
    np.testing.assert_array_equal(kept.astype(np.int64), label.astype(np.int64))


@pytest.mark.parametrize(
    ("value", "told"),
    [(0.99999994, "5.96e-08 from one"), (0.5, "0.5 from one"), (np.nan, "1 are not finite")],
)
def test_what_is_no_whole_number_is_told_with_value_and_distance(value: float, told: str) -> None:
    label = np.zeros(SHAPE, np.float32)
    label[0, 0, 0] = value
    files = Files()
    with pytest.raises(InputError, match=told) as refused:
        stored(files, case_of(files, label))
    assert refused.value.code == "E_LABEL_VALUES"
    fix = {"input": {"policy": {"E_LABEL_VALUES": "fix"}}}
    kept, findings = stored(files, case_of(files, label), fix)
    assert kept[0, 0, 0] == (1 if value == np.float32(0.99999994) or value > 0.9 else 0)
    assert findings["E_LABEL_VALUES"].values["voxels"] == 1


def test_undeclared_values_are_an_error_with_their_counts_where_something_is_declared() -> None:
    label = np.zeros(SHAPE, np.uint8)
    label[0], label[1, 0] = 255, 1
    files, liver = Files(), Classes({1: "liver"})
    case, agreed = case_of(files, label, liver), Agreement((), {"segmentation": liver})
    with pytest.raises(InputError, match=r"255 \(30 voxels\), but declared are 1 liver") as refused:
        stored(files, case, agreement=agreed)
    assert refused.value.code == "E_LABEL_UNDECLARED"
    kept, findings = stored(files, case, {"label": {"map": {255: 1}}}, agreed)
    np.testing.assert_array_equal(kept, label > 0)
    assert findings["W_LABEL_MAPPED"].values == {"values": {"255": 30}}
    kept, findings = stored(
        files, case, {"input": {"policy": {"E_LABEL_UNDECLARED": "warn"}}}, agreed
    )
    np.testing.assert_array_equal(kept, label)
    assert findings["E_LABEL_UNDECLARED"].values == {"values": {"255": 30}}
    undeclared, findings = stored(files, case_of(files, label))
    np.testing.assert_array_equal(undeclared, label)
    assert not findings


def test_declared_values_are_those_of_the_config_where_the_input_says_nothing() -> None:
    label = np.full(SHAPE, 3, np.uint8)
    files = Files()
    with pytest.raises(InputError, match=r"holds 3 \(120 voxels\), but declared are 1 liver"):
        stored(files, case_of(files, label), {"label": {"names": {"liver": 1}}})


def test_values_are_renumbered_by_name_and_all_at_once() -> None:
    label = np.random.default_rng(0).integers(0, 3, SHAPE).astype(np.uint8)
    files = Files()
    case = case_of(files, label, Classes({1: "spleen", 2: "liver"}))
    agreed = Agreement((), {"segmentation": Classes({1: "liver", 2: "spleen", 300: "aorta"})})
    kept, findings = stored(files, case, agreement=agreed)
    np.testing.assert_array_equal(kept, np.array([0, 2, 1])[label])
    assert "1 → 2, 2 → 1" in findings["W_LABEL_RENUMBERED"].message


def test_a_value_without_a_name_is_never_another_class_of_the_cohort() -> None:
    files = Files()
    case = case_of(files, np.full(SHAPE, 2, np.uint8), Classes({1: "spleen"}))
    agreed = Agreement((), {"segmentation": Classes({1: "spleen", 2: "liver"})})
    lax = {"input": {"policy": {"E_LABEL_UNDECLARED": "skip"}}}
    with pytest.raises(InputError, match="in the cohort 2 is liver"):
        stored(files, case, lax, agreed)


def test_a_label_map_without_names_is_no_part_of_a_cohort_with_names_unless_asked_for() -> None:
    files = Files()
    agreed = Agreement((), {"segmentation": Classes({1: "liver"})})
    case = case_of(files, np.ones(SHAPE, np.uint8))
    with pytest.raises(InputError, match="the cohort has 1 liver") as refused:
        stored(files, case, agreement=agreed)
    assert refused.value.code == "E_LABEL_UNNAMED"
    lax = {"input": {"policy": {"E_LABEL_UNNAMED": "warn"}}}
    kept, findings = stored(files, case, lax, agreed)
    assert kept.all()
    assert "E_LABEL_UNNAMED" in findings
    named = {"label": {"names": {"liver": 1}}}
    assert not stored(files, case, named, agreed)[1]


def test_structures_get_the_cohorts_values_and_missing_ones_are_told() -> None:
    aorta, liver = np.zeros((2, *SHAPE), np.uint8)
    aorta[0], liver[0, 0], liver[1] = 255, 1, 1
    files = Files()
    agreed = Agreement((), {"segmentation": Classes({1: "liver", 2: "skin", 7: "aorta"})})
    kept, findings = stored(files, structures(files, aorta=aorta, liver=liver), agreement=agreed)
    np.testing.assert_array_equal(kept, np.where(aorta > 0, 7, liver))
    assert findings["W_LABEL_OVERLAP"].values == {"voxels": 6, "values": {"1": 6}}
    assert findings["W_LABEL_PARTIAL"].values == {"missing": 1}


def test_a_structure_file_with_several_values_is_refused() -> None:
    files = Files()
    many = np.arange(120, dtype=np.uint8).reshape(SHAPE)
    with pytest.raises(InputError, match="holds 1, 2, 3, 4, 5 … beside 0"):
        stored(files, structures(files, liver=many, skin=many))


@given(arrays_of.arrays(np.float32, (2, *SHAPE), elements=st.floats(0, 0.5, width=32)))
@settings(max_examples=30, deadline=None)
def test_probabilities_need_a_threshold_or_argmax(maps: np.ndarray) -> None:
    maps[0, 0, 0, 0] = 0.25
    files = Files()
    case = structures(files, liver=maps[0], spleen=maps[1])
    with pytest.raises(InputError, match="no whole numbers, such as"):
        stored(files, case)
    kept, _ = stored(files, case, {"label": {"probabilities": 0.25}})
    np.testing.assert_array_equal(
        kept, np.where(maps[1] >= 0.25, 2, np.where(maps[0] >= 0.25, 1, 0))
    )
    kept, _ = stored(files, case, {"label": {"probabilities": "argmax"}})
    rest = 1 - maps.astype(np.float64).sum(0)
    np.testing.assert_array_equal(kept, np.stack([rest, maps[0], maps[1]]).argmax(0))


def test_probabilities_in_percent_are_no_share() -> None:
    files = Files()
    percent = np.full(SHAPE, 40, np.uint8)
    case = structures(files, liver=percent, spleen=percent)
    with pytest.raises(InputError, match=r"needs values in 0\.\.1"):
        stored(files, case, {"label": {"probabilities": "argmax"}})
    kept, _ = stored(files, case, {"label": {"probabilities": 50}})
    assert not kept.any()


def test_whole_numbers_that_no_reader_could_keep_are_refused() -> None:
    files = Files()
    case = case_of(files, np.full(SHAPE, 2.0**40, np.float32))
    files["label"].header["stored_dtype"] = "int64"
    with pytest.raises(InputError, match="beyond 32-bit integers"):
        put_together(files, case, config_of())
