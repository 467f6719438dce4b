"""plan tells what run will do: the same refusals and findings, as far as headers tell, and sizes."""

import math
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from support.cohorts import run
from support.cohorts import write_pair as write_lits_pair
from support.commands import call

import gpuprep
from gpuprep.config.file import parse_config
from gpuprep.io.sandbox.parent import Sandbox
from gpuprep.planning.preview import CohortPreview, preview_cohort
from gpuprep.store.array import StoredArray
from gpuprep.values.errors import UsageError

pytestmark = pytest.mark.usefixtures("reads_here")

SHAPE = (20, 18, 12)
AFFINE = np.diag([-1.0, -1.0, 2.0, 1.0])


def save(path: Path, array: np.ndarray, affine: np.ndarray = AFFINE) -> None:
    nibabel.save(nibabel.Nifti1Image(array, affine), path)


def image() -> np.ndarray:
    return np.random.default_rng(1).normal(0, 90, SHAPE).astype(np.int16)


def label(dtype: Any = np.uint8, value: int = 1) -> np.ndarray:
    array = np.zeros(SHAPE, dtype)
    array[6:12, 5:11, 3:8] = value
    return array


def turned(degrees: float) -> np.ndarray:
    angle = np.radians(degrees)
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    return turn @ AFFINE


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    """A manifest of cases of which each but the first two has one thing the matter, told by its headers."""
    root = tmp_path / "in"
    root.mkdir()
    save(root / "image.nii.gz", image())
    save(root / "label.nii.gz", label())
    save(root / "shifted.nii.gz", label(), np.diag([-1.0, -1.0, 2.0, 1.0]) + np.eye(4, k=3) * 4)
    save(root / "oblique.nii.gz", label(), turned(7))
    save(root / "nearly.nii.gz", label(), AFFINE + np.eye(4, k=3) * 0.004)
    save(root / "larger.nii.gz", np.zeros((30, 18, 12), np.uint8))
    save(root / "two.nii.gz", np.stack([label(), label()], -1))
    save(root / "pair.nii.gz", np.stack([image(), image()], -1))
    (root / "broken.nii.gz").write_bytes(b"no gzip")
    rows = [
        *("good,image.nii.gz,label.nii.gz", "bare,image.nii.gz,", "gone,nowhere.nii.gz,"),
        *("shift,image.nii.gz,shifted.nii.gz", "turn,image.nii.gz,oblique.nii.gz"),
        *("near,image.nii.gz,nearly.nii.gz", "large,image.nii.gz,larger.nii.gz"),
        *("two,image.nii.gz,two.nii.gz", "pair,pair.nii.gz,label.nii.gz"),
        *("broken,broken.nii.gz,", "torn,image.nii.gz,broken.nii.gz"),
        *("lost,image.nii.gz,missing.nii.gz", "parts,image.nii.gz,,label.nii.gz;shifted.nii.gz"),
        *("whole,image.nii.gz,,label.nii.gz;nearly.nii.gz", "nobody,image.nii.gz,,label.nii.gz"),
    ]
    (root / "cases.csv").write_text("\n".join(["case_id,image,label,label_parts", *rows]))
    return root / "cases.csv"


def bytes_of(array: StoredArray) -> int:
    return math.prod(array.shape) * array.dtype.itemsize


def plan(source: Path, config: dict[str, Any], **choice: Any) -> CohortPreview:
    return preview_cohort(source, parse_config(config), **choice)


POLICIES: list[dict[str, Any]] = [
    {},
    {"label": {"required": True}},
    {"input": {"policy": {"E_SHAPE_MISMATCH": "fix"}}, "label": {"loss": 1.0}},
    {"input": {"policy": {"E_SHAPE_MISMATCH": "fix", "W_LABEL_REGRID": "error"}}},
    {"input": {"policy": {"W_LABEL_ABSENT": "error", "W_GEOMETRY_TOLERANCE": "error"}}},
    {"label": {"only": True}},
    {"image": {"resample": {"spacing": [2, 2, 2]}}, "input": {"grid_tolerance": 0.001}},
]


@pytest.mark.slow
@pytest.mark.parametrize("config", POLICIES, ids=str)
def test_plan_refuses_what_run_refuses_for_the_same_reason(odd, tmp_path, config):
    told = plan(odd, config)
    report = run(odd, tmp_path / "out", config=config)
    said = {row.case_id: (row.code, row.path) for row in told.refused}
    done = {row.case_id: (row.code, row.path) for row in report.failures}
    assert said == done
    cohort = gpuprep.open(tmp_path / "out")
    assert {row.case_id for row in told.projections} == set(cohort)
    for row in told.projections:
        case = cohort[row.case_id]
        assert set(row.findings) <= {finding.code for finding in case.findings}, row.case_id
        assert row.output.distance(case.geometry) < 1e-6
        arrays = [case.image, *case.labels.values()]
        stored = sum(bytes_of(array) for array in arrays if array is not None)
        assert row.bytes_out == stored, row.case_id
        assert set(row.labels) == set(case.labels)


@pytest.mark.parametrize("policy", ["error", "fix"])
def test_channels_on_two_grids_are_told_as_a_run_tells_them(odd, tmp_path, policy):
    moved = odd.parent / "moved.nii.gz"
    save(moved, image(), AFFINE + np.eye(4, k=3) * 4)
    manifest = odd.parent / "channels.csv"
    manifest.write_text("case_id,image_T2,image_T1\na,image.nii.gz,moved.nii.gz\n")
    config = {"input": {"policy": {"E_SHAPE_MISMATCH": policy}}}
    told = plan(manifest, config)
    report = run(manifest, tmp_path / "out", config=config)
    assert [row.code for row in told.refused] == [row.code for row in report.failures]
    for row in told.projections:
        case = gpuprep.open(tmp_path / "out")["a"]
        assert row.findings == tuple(finding.code for finding in case.findings)
        assert row.output.distance(case.geometry) < 1e-6
    assert len(told.projections) == (policy == "fix")


def test_an_image_taken_for_a_label_is_counted_as_one(tmp_path):
    (tmp_path / "in").mkdir()
    save(tmp_path / "in" / "a.nii.gz", label())
    config = {"label": {"only": True}, "image": {"resample": {"spacing": [2, 2, 2]}}}
    (row,) = plan(tmp_path / "in", config).projections
    run(tmp_path / "in", tmp_path / "out", config=config)
    stored = gpuprep.open(tmp_path / "out")["a"].labels["segmentation"]
    assert row.bytes_out == bytes_of(stored)
    assert (row.channels, list(row.labels)) == (0, ["segmentation"])


def test_no_voxel_is_read(odd, monkeypatch):
    def read(self: Sandbox, source: Any) -> None:
        raise AssertionError(f"the voxels of {source.path} were read")

    monkeypatch.setattr(Sandbox, "read", read)
    assert plan(odd, {}).projections


def test_declared_classes_are_told_and_classes_that_cannot_agree_are_refused(tmp_path):
    (tmp_path / "in").mkdir()
    write_lits_pair(tmp_path / "in", 0)
    names = {"names": {"liver": 1, "tumor": 2}}
    (row,) = plan(tmp_path / "in", {"label": names}).projections
    assert row.labels == {"segmentation": {1: "liver", 2: "tumor"}}
    shown = call("plan", tmp_path / "in", "--set", "label.names={liver: 1, tumor: 2}", check=0)
    assert "segmentation: 1 liver, 2 tumor" in shown.stdout


def test_what_is_chosen_is_counted_off_last(some):
    found = plan(some, {}, only=["volume-[345]"], limit=2)
    assert [row.case_id for row in found.projections] == ["volume-3", "volume-4"]
    found = plan(some, {}, only=["volume-[345]"], failed={"volume-5", "volume-0"})
    assert [row.case_id for row in found.projections] == ["volume-5"]
    with pytest.raises(UsageError, match="no case 'nobody'"):
        plan(some, {}, only=["nobody"])
    with pytest.raises(UsageError, match="none of the 1 cases that failed is among those"):
        plan(some, {}, only=["volume-1"], failed={"volume-0"})
