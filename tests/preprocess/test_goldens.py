"""Our results against arrays made by other tools' own functions (``tests/goldens``; versions in its JSON).

Images, grids and boxes are compared as they are. Label maps are compared wherever the vote has one
winner: votes are counted here in whole numbers, so exact ties are known. Ours must follow the written
rule everywhere (in a tie the nearest label if it is among the tied, else the lowest). nnU-Net's must be
the same voxel for voxel but in ties, where batchgenerators compares SciPy's float64 sums and their
last bit may break a tie that is one; there its label must still be one of the tied.
"""

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.label_votes import Votes, nearest

from gpuprep.config.file import parse_config
from gpuprep.config.model import Config, Resample
from gpuprep.io.scan import Scan
from gpuprep.ops.axis import axis_weights
from gpuprep.ops.crop import find_box
from gpuprep.ops.labels import resample_labels
from gpuprep.ops.resample import Resampling, resample
from gpuprep.preprocess.grid import separate_axis
from gpuprep.preprocess.pipeline import run_case
from gpuprep.preprocess.task import CaseTask
from gpuprep.store.stored_case import open_case
from gpuprep.values.case import Case, LabelSource, Source
from gpuprep.values.geometry import Geometry
from gpuprep.values.grids import map_shape, map_spacing
from gpuprep.values.volume import Volume

FOLDER = Path(__file__).parents[1] / "goldens"
TOLD: dict[str, Any] = json.loads((FOLDER / "goldens.json").read_text("utf-8"))
CASES = list(TOLD["nnunet"])
NOISE = {
    "doubled": None,
    "halved": None,
    "thirds": None,
    "generic": None,
    "separate_z": 0,
    "separate_y": 1,
    "separate_x": 2,
}


@lru_cache
def goldens(name: str) -> dict[str, np.ndarray]:
    with np.load(FOLDER / f"{name}.npz", allow_pickle=False) as arrays:
        return {key: arrays[key] for key in arrays.files}


def of_case(name: str, what: str) -> np.ndarray:
    return goldens("nnunet")[f"{name}/{what}"]


def nnunet_config(name: str) -> Config:
    """nnU-Net's defaults for a case, in our words."""
    told = TOLD["nnunet"][name]
    ct = TOLD["ct"]
    chains = {
        "ct": [
            {"clip": {"low": ct["percentile_00_5"], "high": ct["percentile_99_5"]}},
            {"zscore": {"mean": ct["mean"], "std": ct["std"]}},
        ],
        "zscore": [{"zscore": {}}],
        "two": [{"zscore": {}}],
        "masked": [{"zscore": {"over": "foreground"}}],
    }
    outside = "zero" if told["chain"] == "masked" else "keep"
    foreground = {"where": "nonzero_or_label", "fill_holes": True, "outside": outside}
    image = {
        "orientation": "keep",
        "crop": {"to": "nonzero"},
        "foreground": foreground,
        "intensity": chains[told["chain"]],
        "resample": {"spacing": told["target"][::-1], "grid": "nnunet", "separate_z": "auto"},
    }
    store = {"dtype": "float32", "fsync": "never"}
    return parse_config({"image": image, "label": {"outside": -1}, "store": store})


def made(name: str, folder: Path) -> Any:
    """The case as our worker stores it."""
    geometry = Geometry(of_case(name, "label").shape, tuple(TOLD["nnunet"][name]["spacing"][::-1]))
    arrays = {f"{k}": channel for k, channel in enumerate(of_case(name, "image"))}
    arrays["label"] = of_case(name, "label")

    def read(source: Source) -> Scan:
        return Scan((Volume(arrays[source.path], geometry),), (), (), "golden")

    images = tuple(Source(path) for path in arrays if path != "label")
    case = Case(name, images, (LabelSource((Source("label"),)),))
    run_case(CaseTask(case, str(folder), "digest"), nnunet_config(name), read)
    return open_case(folder / "cases" / f"{name}.zarr")


@pytest.mark.parametrize("name", CASES)
def test_a_whole_case_equals_nnunet(name: str, tmp_path: Path) -> None:
    case = made(name, tmp_path)
    expected = of_case(name, "stored_image")
    image = np.asarray(case.image).reshape((-1, *case.geometry.shape))
    assert image.shape == expected.shape
    assert case.record["geometry"]["crop"] == TOLD["nnunet"][name]["box"]
    for channel, wanted in zip(image, expected, strict=True):
        assert np.abs(channel - wanted).max() <= 1e-6 * np.ptp(wanted)
    assert case.record["mapping"]["separate_axis"] == TOLD["nnunet"][name]["separate_axis"]


@pytest.mark.parametrize("name", CASES)
def test_labels_of_a_whole_case_equal_nnunet(name: str, tmp_path: Path) -> None:
    """With -1 outside the foreground, from the uncropped label map."""
    case = made(name, tmp_path)
    label = np.asarray(case.labels["segmentation"])
    votes = Votes(
        of_case(name, "cropped_label"), label.shape, TOLD["nnunet"][name]["separate_axis"]
    )
    stored = of_case(name, "stored_label")
    np.testing.assert_array_equal(label[~votes.tie], stored[~votes.tie])
    np.testing.assert_array_equal(label, votes.winner())
    assert case.outside == -1
    assert -1 not in case.locations("segmentation")


@pytest.mark.parametrize("name", CASES)
def test_labels_equal_nnunet_but_for_exact_ties(name: str) -> None:
    """With the -1 outside the foreground as one more label."""
    axis = TOLD["nnunet"][name]["separate_axis"]
    check_labels(of_case(name, "cropped_label"), of_case(name, "stored_label"), axis)


@pytest.mark.parametrize("name", NOISE)
def test_labels_of_noise_equal_nnunet_but_for_exact_ties(name: str) -> None:
    rules = goldens("nnunet_rules")
    ties, apart = check_labels(
        rules[f"noise/{name}/label"], rules[f"noise/{name}/result"], NOISE[name]
    )
    assert ties > 20
    if name in ("doubled", "halved"):  # halves and quarters are exact in floating point, too
        assert not apart


def check_labels(labels: np.ndarray, foreign: np.ndarray, axis: int | None) -> tuple[int, int]:
    """Compare ours and nnU-Net's; returns how many ties there are, and how many it decided otherwise."""
    votes = Votes(labels, foreign.shape, axis)
    mapping = map_shape(Geometry(labels.shape), foreign.shape)
    ours = resample_labels(labels, Resampling(mapping, separate_axis=axis))
    np.testing.assert_array_equal(ours, votes.winner())
    np.testing.assert_array_equal(foreign[~votes.tie], ours[~votes.tie])
    assert votes.among_tied(foreign).all()
    return np.count_nonzero(votes.tie), np.count_nonzero(foreign != ours)


def test_shapes_equal_nnunet() -> None:
    table = [
        goldens("nnunet_rules")[f"shape/{key}"] for key in ("length", "own", "target", "result")
    ]
    for length, own, target, result in zip(*(column.tolist() for column in table), strict=True):
        mapping = map_spacing(Geometry((1, 1, length), (own, 1, 1)), (target, 1, 1), "nnunet")
        assert mapping.shape[2] == max(1, result)  # nnU-Net may give an axis no voxel at all


def test_the_separate_axis_is_the_one_of_nnunet() -> None:
    table = [goldens("nnunet_rules")[f"axis/{key}"] for key in ("own", "target", "auto_always")]
    seen = set()
    for own, target, expected in zip(*(column.tolist() for column in table), strict=True):
        geometry = Geometry((9, 9, 9), tuple(own[::-1]))
        for rule, axis in zip(("auto", "always"), expected, strict=True):
            resample_to = Resample(spacing=tuple(target[::-1]), separate_z=rule)
            found = separate_axis(geometry, resample_to)
            assert found == (None if axis < 0 else axis), (own, target, rule)
            seen.add((rule, found))
    assert len(seen) == 8  # each axis and none, by each rule


def test_slices_are_picked_as_nnunet_does_but_halfway() -> None:
    """SciPy's coordinate may lose the last bit halfway between two slices; we always take the upper."""
    foreign = goldens("nnunet_rules")["slices/picks"]
    start = apart = 0
    for n in range(1, 49):
        for m in range(1, 49):
            theirs, start = foreign[start : start + m], start + m
            ours = axis_weights(n, m, n / m, (n / m - 1) / 2, "nearest").indices
            np.testing.assert_array_equal(ours, nearest(n, m))
            differ = ours != theirs
            halfway = (2 * np.arange(m) + 1) * n % (2 * m) == 0
            assert (halfway | ~differ).all()
            apart += np.count_nonzero(differ)
    assert start == len(foreign)
    assert apart < 0.001 * len(foreign)


def test_boxes_equal_nnunet() -> None:
    rules = goldens("nnunet_rules")
    for image, edges in zip(rules["crop/images"], rules["crop/boxes"], strict=True):
        whole = tuple(
            slice(0, n) for n in image.shape[1:]
        )  # what an empty image keeps, here and there
        box = find_box(list(image)) or whole
        assert [[part.start, part.stop] for part in box] == edges.tolist()


PEERS = [
    ("monai", "", "linear", "nearest"),
    ("torchio", "", "linear", "nearest"),
    ("itk", "/linear", "linear", "nearest"),
    ("itk", "/cubic", "cubic", "mirror"),
]


@pytest.mark.parametrize("name", list(TOLD["grids"]))
@pytest.mark.parametrize(("tool", "kind", "interpolation", "boundary"), PEERS)
def test_grids_and_values_equal_the_tool_of_the_convention(
    tool, kind, interpolation, boundary, name
) -> None:
    image, affine, expected, expected_affine = (
        goldens(tool)[f"{name}{kind}/{part}"]
        for part in ("image", "affine", "result", "result_affine")
    )
    geometry = Geometry.from_affine_ras(affine, image.shape)
    mapping = map_spacing(geometry, tuple(TOLD["grids"][name]["target"]), tool)
    assert mapping.shape == expected.shape
    np.testing.assert_allclose(mapping.on(geometry).affine_ras, expected_affine, atol=1e-12)
    inside = expected > -9000  # beyond half a voxel past the edge ITK fills in
    assert inside.mean() > 0.95
    result = resample(image, Resampling(mapping, interpolation, boundary=boundary))
    assert np.abs(result - expected)[inside].max() <= 3e-7 * np.ptp(image.astype(float))


@pytest.mark.parametrize("code", ["LPS", "RAS", "SAR", "ILA", "PIR"])
def test_orientations_equal_monai(code: str) -> None:
    image, affine, expected, expected_affine = (
        goldens("monai")[f"{code}/{part}"]
        for part in ("image", "affine", "result", "result_affine")
    )
    geometry, turn = Geometry.from_affine_ras(affine, image.shape).reorient(code)
    np.testing.assert_array_equal(turn.view(image), expected)
    np.testing.assert_allclose(geometry.affine_ras, expected_affine, atol=1e-12)


def test_sizes_equal_torchio_but_where_its_floor_slips() -> None:
    """TorchIO's floor has no tolerance: ``n · s / t`` that should be whole may lose a voxel; ours never."""
    table = [goldens("torchio")[f"sizes/{key}"] for key in ("length", "own", "target", "result")]
    slipped = 0
    for n, own, target, result in zip(*(column.tolist() for column in table), strict=True):
        mapping = map_spacing(Geometry((1, 1, n), (own, 1, 1)), (target, 1, 1), "torchio")
        whole = n * round(own * 100) % round(target * 100) == 0
        slipped += whole and mapping.shape[2] == result + 1
        assert mapping.shape[2] in (max(1, result), result + whole)
    assert slipped  # the table holds such a case
