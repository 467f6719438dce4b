"""Labelled voxels in are labelled voxels accounted for: stored, or counted in a finding, class by class."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from preprocess.test_align import GRIDS, IMAGE, labelled_case
from support.in_memory import Files, computed, config_of

from gpuprep.values.case import Case, LabelSource, Source
from gpuprep.values.geometry import Geometry
from gpuprep.values.grids import index_affine

LAX = {"E_SHAPE_MISMATCH": "fix", "E_LABEL_LOST": "warn", "E_AFFINE_LOST": "warn"}
COUNTED = ("E_LABEL_LOST", "W_LABEL_LOST")


def sparse(shape, seed: int, share: float) -> np.ndarray:
    random = np.random.default_rng(seed)
    return (random.integers(1, 6, shape) * (random.random(shape) < share)).astype(np.uint8)


def counts(label: np.ndarray) -> dict[str, int]:
    values, numbers = np.unique(label[label != 0], return_counts=True)
    return {str(value): int(number) for value, number in zip(values, numbers, strict=True)}


def told(findings, *codes: str) -> list[dict[str, int]]:
    return [item.values["values"] for item in findings if item.code in codes]


def check_classes(label: np.ndarray, stored: np.ndarray, findings) -> None:
    """No class of the input is absent from the output without a finding that names it."""
    gone = counts(label).keys() - counts(stored).keys()
    named = set().union(*told(findings, "W_LABEL_VANISHED"), set())
    assert gone == named


def check_voxels(label: np.ndarray, stored: np.ndarray, findings) -> None:
    """Every labelled voxel of the input is stored, or counted in a finding, class by class."""
    sums = counts(stored)
    for each in told(findings, *COUNTED):
        for value, number in each.items():
            sums[value] = sums.get(value, 0) + number
    assert dict(sorted(sums.items())) == counts(label)
    check_classes(label, stored, findings)


@given(GRIDS, st.integers(0, 2**31), st.sampled_from([0.005, 0.1, 0.9]))
@settings(max_examples=80, deadline=None)
def test_bringing_over_counts_every_voxel_outside(own: Geometry, seed: int, share: float) -> None:
    label = sparse(own.shape, seed, share)
    files = Files()
    case = labelled_case(files, IMAGE, label, own)
    result, findings = computed(files, case, config_of({"input": {"policy": LAX}}))
    there = index_affine(own, IMAGE)
    places = np.round(np.stack(np.indices(own.shape), -1) @ there[:3, :3].T + there[:3, 3], 9)
    inside = ((places >= -0.5) & (places < np.array(IMAGE.shape) - 0.5)).all(-1)
    lost = told(findings, *COUNTED)
    assert (lost[0] if lost else {}) == counts(np.where(inside, 0, label))
    check_classes(label, result.labels["segmentation"], findings)


@given(st.integers(0, 2**31), st.sampled_from(["nonzero", "body"]), st.sampled_from([0.01, 0.5]))
@settings(max_examples=40, deadline=None)
def test_cropping_counts_every_voxel_outside(seed: int, to: str, share: float) -> None:
    random = np.random.default_rng(seed)
    image = np.full((12, 13, 14), -1000 if to == "body" else 0, np.int16)
    corner = random.integers(0, 6, 3)
    image[tuple(slice(int(c), int(c) + 6) for c in corner)] = 100
    label = sparse(image.shape, seed, share)
    files = Files()
    files.add("image", image)
    case = Case("a", (Source("image"),), (LabelSource((files.add("label", label),)),))
    config = config_of({"input": {"policy": LAX}, "image": {"crop": {"to": to}}})
    result, findings = computed(files, case, config)
    check_voxels(label, result.labels["segmentation"], findings)


@given(st.integers(0, 2**31), st.tuples(*[st.integers(-4, 11)] * 3), st.sampled_from([0.02, 0.5]))
@settings(max_examples=40, deadline=None)
def test_a_reference_counts_every_voxel_outside(seed: int, corner, share: float) -> None:
    label = sparse((12, 13, 14), seed, share)
    files = Files()
    files.add("image", np.ones(label.shape, np.int16))
    case = Case("a", (Source("image"),), (LabelSource((files.add("label", label),)),))
    reference = {"shape": [7, 8, 6], "spacing": [1, 1, 1], "origin": [float(c) for c in corner]}
    reference["direction"] = [1, 0, 0, 0, 1, 0, 0, 0, 1]
    config = config_of(
        {"input": {"policy": LAX}, "image": {"resample": {"reference": {"grid": reference}}}}
    )
    result, findings = computed(files, case, config)
    check_voxels(label, result.labels["segmentation"], findings)


@given(
    st.integers(0, 2**31),
    st.sampled_from([0.002, 0.05]),
    st.sampled_from(["nearest", "linear"]),
    st.sampled_from([0.7, 1.9, 3.3]),
)
@settings(max_examples=40, deadline=None)
def test_no_class_vanishes_in_resampling_unsaid(
    seed: int, share: float, interpolation: str, spacing: float
) -> None:
    label = sparse((12, 13, 14), seed, share)
    files = Files()
    files.add("image", np.ones(label.shape, np.int16))
    case = Case("a", (Source("image"),), (LabelSource((files.add("label", label),)),))
    tree = {"label": {"interpolation": interpolation}, "image": {"resample": {"spacing": spacing}}}
    result, findings = computed(files, case, config_of(tree))
    check_classes(label, result.labels["segmentation"], findings)


@given(st.integers(0, 2**31), st.integers(2, 5), st.sampled_from([0.01, 0.4]))
@settings(max_examples=30, deadline=None)
def test_overlapping_structures_are_counted(seed: int, number: int, share: float) -> None:
    masks = np.random.default_rng(seed).random((number, 6, 7, 8)) < share
    files = Files()
    files.add("image", np.ones(masks.shape[1:], np.int16))
    sources = tuple(
        Source(files.add(f"s{n}", mask.astype(np.uint8)).path, name=f"s{n}")
        for n, mask in enumerate(masks)
    )
    case = Case("a", (Source("image"),), (LabelSource(sources),))
    result, findings = computed(files, case, config_of())
    stored = counts(result.labels["segmentation"])
    lost = (told(findings, "W_LABEL_OVERLAP") or [{}])[0]
    for n, mask in enumerate(masks, start=1):
        assert stored.get(str(n), 0) + lost.get(str(n), 0) == int(mask.sum())
    gone = {str(n) for n, mask in enumerate(masks, start=1) if mask.any()} - stored.keys()
    assert gone == set().union(*told(findings, "W_LABEL_VANISHED"), set())
