"""Spacing, patch and batch of a suggestion are those of nnU-Net's own plans of its data sets."""

import json

import pytest
from support.nnunet_goldens import GOLDENS

from gpuprep.advice.facts import CaseFacts, CohortFacts
from gpuprep.advice.suggestion import suggest
from gpuprep.cohort.layouts.dataset_json import Description
from gpuprep.config.model import Config
from gpuprep.nnunet.planners import find_planner
from gpuprep.values.agreement import Agreement

SETS = GOLDENS["datasets"]
PLANS = {"nnUNetPlans": "ExperimentPlanner", "nnUNetResEncUNetLPlans": "nnUNetPlannerResEncL"}


def facts_of(name: str) -> CohortFacts:
    """Of a golden data set, by its fingerprint."""
    description = Description("dataset.json", json.loads(SETS[name]["dataset"]))
    fingerprint = json.loads(SETS[name]["dataset_fingerprint"])
    channels = tuple(description.channel_names)
    rows = zip(fingerprint["spacings"], fingerprint["shapes_after_crop"], strict=True)
    cases = tuple(
        CaseFacts(
            f"case_{n}",
            tuple(shape),
            (spacing[2], spacing[1], spacing[0] if shape[0] > 1 else 1.0),
            "LPS",
            channels,
            ("",) * len(channels),
            labelled=True,
            cropped=tuple(shape),
        )
        for n, (spacing, shape) in enumerate(rows)
    )
    agreement = Agreement(channels, {"segmentation": description.classes})
    return CohortFacts("golden", "nnunet", cases, (), 0, agreement)


@pytest.mark.parametrize("plans", PLANS)
@pytest.mark.parametrize("name", SETS)
def test_numbers_are_nnunets(name: str, plans: str) -> None:
    made = suggest(facts_of(name), Config(), find_planner(PLANS[plans]))
    golden = json.loads(SETS[name][plans])
    configurations = golden["configurations"]
    best = configurations.get("3d_fullres", configurations["2d"])
    backward = golden["transpose_backward"]
    is_flat = len(best["patch_size"]) == 2
    patch = [1, *best["patch_size"]] if is_flat else best["patch_size"]
    training = made.to_json()["training"]
    assert training == {"patch": [patch[axis] for axis in backward], "batch": best["batch_size"]}
    x, y, z = made.config.image.resample.spacing
    if is_flat:
        assert [y, x] == pytest.approx(best["spacing"], rel=1e-6)
        assert z == "keep"
    else:
        target = [best["spacing"][axis] for axis in backward]
        assert [z, y, x] == pytest.approx(target, rel=1e-6)
    assert made.config.store.pyramid == int("3d_lowres" in configurations)


def test_another_card_gets_another_patch() -> None:
    small, large = (
        suggest(facts_of("Dataset708_SynthCascade"), Config(), find_planner("ExperimentPlanner"), n)
        for n in (8, 40)
    )
    assert small.planned.patch < large.planned.patch
    assert "for 40 GB" in " ".join(large.text.replace("# ", "").split())
