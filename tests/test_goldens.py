"""Our results against arrays made by other tools' own functions (``tests/goldens``; versions in its JSON).

Images and grids are compared as they are. Label maps are compared wherever there is one right answer:
every voxel's votes are counted here in whole numbers, so exact ties are known. Within a tie,
batchgenerators decides by the last bit of SciPy's float64 sums; we by its written rule (the nearest
label if it is among the tied, else the lowest), which its own result follows but for a few voxels.
"""

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpuprep.case import Case, LabelSource, Source
from gpuprep.config import Config, Resample
from gpuprep.config_file import parse_config
from gpuprep.geometry import Geometry
from gpuprep.grids import GridMapping, map_shape, map_spacing
from gpuprep.io.scan import Scan
from gpuprep.ops.axis import axis_weights
from gpuprep.ops.crop import nonzero_box
from gpuprep.ops.labels import resample_labels
from gpuprep.ops.resample import resample
from gpuprep.plan import CasePlan, map_grid, separate_axis
from gpuprep.store.reader import open_case
from gpuprep.volume import Volume
from gpuprep.worker import run_case

FOLDER = Path(__file__).parent / "goldens"
TOLD: dict[str, Any] = json.loads((FOLDER / "goldens.json").read_text("utf-8"))
CASES = list(TOLD["nnunet"])
NOISE = ["doubled", "halved", "thirds", "generic", "separate_z", "separate_y", "separate_x"]


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
    }
    image = {
        "orientation": "keep",
        "crop": {"to": "nonzero"},
        "intensity": chains[told["chain"]],
        "resample": {"spacing": told["target"][::-1], "grid": "nnunet", "separate_z": "auto"},
    }
    return parse_config({"image": image, "store": {"dtype": "float32", "durable": False}})


def made(name: str, folder: Path) -> Any:
    """The case as our worker stores it."""
    geometry = Geometry(of_case(name, "label").shape, tuple(TOLD["nnunet"][name]["spacing"][::-1]))
    arrays = {f"{k}": channel for k, channel in enumerate(of_case(name, "image"))}
    arrays["label"] = of_case(name, "label")

    def read(source: Source) -> Scan:
        return Scan((Volume(arrays[source.path], geometry),), (), (), "golden")

    images = tuple(Source(path) for path in arrays if path != "label")
    case = Case(name, images, (LabelSource((Source("label"),)),))
    run_case(CasePlan(case, str(folder), "digest"), nnunet_config(name), read)
    return open_case(folder / "cases" / f"{name}.zarr")


def cropped_grid(name: str) -> tuple[Geometry, GridMapping, int | None]:
    """The grid of a case's cropped label, the mapping and the separate axis by our own rules."""
    spacing = tuple(TOLD["nnunet"][name]["spacing"][::-1])
    geometry = Geometry(of_case(name, "cropped_label").shape, spacing)
    rule = nnunet_config(name).image.resample
    return geometry, map_grid(geometry, rule), separate_axis(geometry, rule)


@pytest.mark.parametrize("name", CASES)
def test_a_whole_case_equals_nnunet(name: str, tmp_path: Path) -> None:
    case = made(name, tmp_path)
    expected = of_case(name, "stored_image")
    image = np.asarray(case.image).reshape((-1, *case.geometry.shape))
    assert image.shape == expected.shape
    assert case.record["geometry"]["crop"] == TOLD["nnunet"][name]["box"]
    for channel, wanted in zip(image, expected, strict=True):
        assert np.abs(channel - wanted).max() <= 1e-6 * np.ptp(wanted)
    axis = {"separate_z": 0, "separate_y": 1, "separate_x": 2, "separate_target": 0}
    assert case.record["mapping"]["separate_axis"] == axis.get(name.partition("_")[2])


@pytest.mark.parametrize("name", [name for name in CASES if name.startswith("ct")])
def test_labels_of_a_whole_case_equal_nnunet(name: str, tmp_path: Path) -> None:
    label = np.asarray(made(name, tmp_path).labels["segmentation"])
    _, mapping, axis = cropped_grid(name)
    _, tied = votes(of_case(name, "label"), mapping.shape, axis)
    assert (label == of_case(name, "stored_label"))[~tied].all()


def votes(
    labels: np.ndarray, shape: tuple[int, ...], axis: int | None
) -> tuple[np.ndarray, np.ndarray]:
    """The label that wins the linear vote at each output voxel, and where the vote is an exact tie.

    Edges aligned (``nnunet``). Input coordinates are whole multiples of 1 / 2m, so weights are whole
    numbers out of 2m per axis; ties go to the nearest label if it is tied, else to the lowest.
    """
    tables = [
        slice_table(n, m) if k == axis else linear_table(n, m)
        for k, (n, m) in enumerate(zip(labels.shape, shape, strict=True))
    ]
    values = np.unique(labels)
    scores = np.stack([apply_tables((labels == value).astype(np.int64), tables) for value in values])
    tied = scores == scores.max(0)
    nearest = labels[np.ix_(*[slice_picks(n, m) for n, m in zip(labels.shape, shape, strict=True)])]
    winner = values[tied.argmax(0)]
    among = (tied & (values[:, None, None, None] == nearest)).any(0)
    return np.where(among, nearest, winner), tied.sum(0) > 1


def linear_table(n: int, m: int) -> np.ndarray:
    """Weights times 2m of linear interpolation, int64 ``(m, n)``."""
    numerator = (2 * np.arange(m) + 1) * n - m  # of the coordinate, over 2m
    below, rest = np.divmod(numerator, 2 * m)
    table = np.zeros((m, n), np.int64)
    for index, weight in ((below, 2 * m - rest), (below + 1, rest)):
        np.add.at(table, (np.arange(m), np.clip(index, 0, n - 1)), weight)
    return table


def slice_table(n: int, m: int) -> np.ndarray:
    return np.eye(n, dtype=np.int64)[slice_picks(n, m)]


def slice_picks(n: int, m: int) -> np.ndarray:
    """The nearest input voxel, the upper one of two: ``floor((k + ½) n / m)``."""
    return (2 * np.arange(m) + 1) * n // (2 * m)


def apply_tables(array: np.ndarray, tables: list[np.ndarray]) -> np.ndarray:
    return np.einsum("zyx,az,by,cx->abc", array, *tables, optimize=True)


@pytest.mark.parametrize("name", CASES)
def test_labels_equal_nnunet_but_for_exact_ties(name: str) -> None:
    """With its -1 outside the foreground as one more label, which a stored case of ours does not have."""
    labels, expected = of_case(name, "cropped_label"), of_case(name, "stored_label")
    _, mapping, axis = cropped_grid(name)
    assert mapping.shape == expected.shape
    check_labels(labels, expected, axis)


@pytest.mark.parametrize("name", NOISE)
def test_labels_of_noise_equal_nnunet_but_for_exact_ties(name: str) -> None:
    rules = goldens("nnunet_rules")
    axis = {"separate_z": 0, "separate_y": 1, "separate_x": 2}.get(name)
    labels, expected = rules[f"noise/{name}/label"], rules[f"noise/{name}/result"]
    check_labels(labels, expected, axis)


def check_labels(labels: np.ndarray, expected: np.ndarray, axis: int | None) -> None:
    exact, tied = votes(labels, expected.shape, axis)
    mapping = map_shape(Geometry(labels.shape), expected.shape)
    result = resample_labels(labels, mapping, interpolation="linear", separate_axis=axis)
    np.testing.assert_array_equal(result, exact)  # ours follows the rule, ties and all
    np.testing.assert_array_equal(expected[~tied], exact[~tied])  # so does nnU-Net without a tie
    apart = np.count_nonzero(expected != exact)
    assert apart <= 0.02 * np.count_nonzero(tied), (apart, np.count_nonzero(tied))
