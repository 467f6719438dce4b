"""Plans equal those of nnU-Net 2.8.1: whole files, drawn fingerprints, estimates of memory, folds."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.nnunet_goldens import GOLDENS

from gpuprep.nnunet.dataset import Dataset, Fingerprint, parse_dataset
from gpuprep.nnunet.folds import split_folds
from gpuprep.nnunet.network import memory, topology
from gpuprep.nnunet.plan import plan_dataset
from gpuprep.nnunet.planners import PLANNERS, find_planner
from gpuprep.values.errors import ConfigError, UsageError

FILES = [
    (name, file)
    for name, files in GOLDENS["datasets"].items()
    for file in files
    if file.endswith("Plans")
]


def dataset_of(channels: list[str], labels: int, cases: int) -> Dataset:
    named = {"background": 0, **{f"label {value}": value for value in range(1, labels)}}
    numbered = {str(number): name for number, name in enumerate(channels)}
    document = {"channel_names": numbered, "labels": named, "file_ending": ".nii.gz"}
    return parse_dataset({**document, "numTraining": cases}, "Dataset001_Drawn")


def fingerprint_of(drawn: dict[str, Any]) -> Fingerprint:
    return Fingerprint(
        tuple(map(tuple, drawn["spacings"])),
        tuple(map(tuple, drawn["shapes_after_crop"])),
        drawn["median_relative_size_after_cropping"],
        {},
    )


@pytest.mark.parametrize(("name", "file"), FILES)
def test_a_plans_file_equals_nnunets_byte_for_byte(name: str, file: str) -> None:
    files = GOLDENS["datasets"][name]
    wanted = json.loads(files[file])
    fingerprint = Fingerprint.from_json(json.loads(files["dataset_fingerprint"]))
    assert (
        json.dumps(fingerprint.to_json(), indent=4, sort_keys=True) == files["dataset_fingerprint"]
    )
    made = plan_dataset(
        fingerprint,
        parse_dataset(json.loads(files["dataset"]), name),
        find_planner(wanted["experiment_planner_used"]),
    )
    assert json.dumps(made.document, indent=4) == files[file]


@pytest.mark.parametrize("drawn", GOLDENS["random"], ids=lambda drawn: drawn["kind"])
def test_drawn_fingerprints_get_nnunets_plans(drawn: dict[str, Any]) -> None:
    dataset = dataset_of(drawn["channel_names"], drawn["labels"], drawn["numTraining"])
    for wanted in drawn["plans"]:
        made = plan_dataset(
            fingerprint_of(drawn),
            dataset,
            find_planner(wanted["planner"]),
            gigabytes=wanted.get("gpu_memory_target_in_gb"),
            spacing=wanted.get("overwrite_target_spacing"),
            name=wanted["plans_name"],
        ).document
        whole = {name for name in wanted if name in made} - {"configurations"}
        assert {name: made[name] for name in whole} == {name: wanted[name] for name in whole}
        assert list(made["configurations"]) == list(wanted["configurations"])
        for name, numbers in wanted["configurations"].items():
            each = made["configurations"][name]
            flat = {**each, **each.get("architecture", {}).get("arch_kwargs", {})}
            assert {key: flat.get(key) for key in numbers} == numbers, name


@pytest.mark.parametrize("row", GOLDENS["memory"])
def test_memory_is_estimated_as_nnunets_networks_do(row: dict[str, Any]) -> None:
    net = topology(row["spacing"], row["initial"])
    assert list(net.patch) == row["patch"]
    assert [list(stride) for stride in net.strides] == row["strides"]
    assert [list(kernel) for kernel in net.kernels] == row["kernel_sizes"]
    residual = row["network"] == "ResidualEncoderUNet"
    assert memory(net, row["labels"], residual=residual) == row["estimate"]


@pytest.mark.parametrize("number", GOLDENS["folds"])
def test_folds_are_nnunets(number: str) -> None:
    ids = [f"case_{k:03d}" for k in range(int(number))]
    assert split_folds(ids[::-1]) == GOLDENS["folds"][number]


def test_fewer_cases_than_folds_are_refused_with_a_way_out() -> None:
    with pytest.raises(UsageError, match="4 cases are too few") as refused:
        split_folds(list("abcd"))
    assert "all" in refused.value.advice


spacings = st.floats(0.3, 8)
edges = st.integers(8, 400)


@given(
    st.lists(st.tuples(spacings, spacings, spacings), min_size=1, max_size=5),
    st.tuples(edges, edges, edges),
    st.sampled_from(sorted(PLANNERS)),
)
def test_every_plan_fits_its_memory_and_its_pooling(
    widths: list[tuple[float, float, float]], shape: tuple[int, int, int], planner: str
) -> None:
    fingerprint = Fingerprint(tuple(widths), (shape,) * len(widths), 0.9, {})
    made = plan_dataset(fingerprint, dataset_of(["CT"], 3, 50), find_planner(planner))
    assert sorted(made.grid.forward) == [0, 1, 2]
    for each in made.configurations.values():
        assert each.estimate <= each.limit
        assert each.batch >= 2
        assert all(
            edge % multiple == 0
            for edge, multiple in zip(each.net.patch, each.net.multiple, strict=True)
        )


def test_a_single_slice_on_a_fine_axis_is_refused_where_nnunet_fails() -> None:
    fingerprint = Fingerprint(((1.0, 1.0, 1.0),) * 3, ((64, 64, 1),) * 3, 1.0, {})
    with pytest.raises(UsageError, match="one slice on axis x"):
        plan_dataset(fingerprint, dataset_of(["CT"], 2, 3), find_planner("ExperimentPlanner"))


def test_an_absurd_batch_is_told() -> None:
    fingerprint = Fingerprint(((1.0, 1.0, 1.0),) * 5, ((150, 180, 164),) * 5, 0.7, {})
    made = plan_dataset(fingerprint, dataset_of(["MR"], 4, 5), find_planner("nnUNetPlannerResEncL"))
    assert made.configurations["2d"].batch > 128
    assert "2d: a batch of" in made.warnings[0]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"labels": {"organ": 1}}, "background"),
        ({"labels": {"background": 0, "a": 1, "ignore": 3}}, "one more"),
        ({"labels": {"background": 0, "a": [1, 2], "b": 2}}, "regions_class_order"),
        ({"numTraining": None}, "dataset.json"),
    ],
)
def test_a_dataset_that_contradicts_itself_is_refused(change: dict[str, Any], told: str) -> None:
    document = {"channel_names": {"0": "CT"}, "labels": {"background": 0, "a": 1}, "numTraining": 3}
    with pytest.raises(ConfigError, match=told):
        parse_dataset({**document, "file_ending": ".nii.gz", **change}, "Dataset001_Wrong")
