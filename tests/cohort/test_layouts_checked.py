"""Pairs of public data sets are checked by geometry when they are planned, and stored with their names."""

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
from support.cohorts import run
from support.commands import call

import gpuprep
from gpuprep.config.file import parse_config

pytestmark = pytest.mark.usefixtures("reads_here")

ON_CT = np.array([[-1.0, 0, 0, 40], [0, -1, 0, 30], [0, 0, 2, -90], [0, 0, 0, 1]])
ON_PET = np.array([[-4.0, 0, 0, 80], [0, -4, 0, 70], [0, 0, 4, -70], [0, 0, 0, 1]])
TREES: dict[str, tuple[list[str], str]] = {
    "kits": (["case_00000/imaging"], "case_00000/segmentation"),
    "abdomenatlas": (["BDMAP_00000001/ct"], "BDMAP_00000001/combined_labels"),
    "hecktor": (["imagesTr/CHUM-001__CT", "imagesTr/CHUM-001__PT"], "labelsTr/CHUM-001"),
    "autopet": (["PETCT_0a/1-NA/CTres", "PETCT_0a/1-NA/SUV"], "PETCT_0a/1-NA/SEG"),
    "picai": (
        [f"images/10000/10000_1000000_{one}" for one in ("t2w", "adc", "hbv")],
        "picai_labels/csPCa_lesion_delineations/human_expert/resampled/10000_1000000",
    ),
    "ct-org": (["OrganSegmentations/volume-0"], "OrganSegmentations/labels-0"),
    "amos": (["imagesTr/amos_0001"], "labelsTr/amos_0001"),
    "brats": (
        [f"BraTS-GLI-00000-000/BraTS-GLI-00000-000-{one}" for one in ("t1n", "t1c", "t2w", "t2f")],
        "BraTS-GLI-00000-000/BraTS-GLI-00000-000-seg",
    ),
    "isles22": (
        [
            f"sub-strokecase0001/ses-0001/sub-strokecase0001_ses-0001_{one}"
            for one in ("dwi", "adc")
        ],
        "derivatives/sub-strokecase0001/ses-0001/sub-strokecase0001_ses-0001_msk",
    ),
    "totalsegmentator": (["s0000/ct"], "s0000/segmentations/liver"),
}


def write(root: Path, stem: str, affine: np.ndarray, *, label: bool = False) -> None:
    voxels = np.zeros((6, 5, 7), np.uint8) if label else np.arange(210, dtype=np.int16)
    voxels = voxels.reshape(6, 5, 7)
    if label:
        voxels[2:4, 2:4, 3] = 1
    path = root / f"{stem}.nii.gz"
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(voxels, affine), path)


@pytest.mark.parametrize("layout", TREES)
def test_a_pair_of_one_grid_is_stored_with_its_names(tmp_path: Path, layout: str) -> None:
    images, label = TREES[layout]
    for image in images:
        write(tmp_path / "in", image, ON_CT)
    write(tmp_path / "in", label, ON_CT, label=True)
    config = parse_config({"store": {"fsync": "never"}})
    report = run(tmp_path / "in", tmp_path / "out", config=config, scheduler="serial")
    assert report.exit_code == 0, report.failures
    cohort = gpuprep.open(tmp_path / "out")
    names = cohort.agreement.labels["segmentation"].names
    assert names[1]
    (case,) = (cohort[each] for each in cohort.ids)
    assert int(np.asarray(case.labels["segmentation"]).sum()) == 4


@pytest.mark.parametrize("layout", TREES)
def test_a_label_of_another_grid_is_refused_by_the_plan(tmp_path: Path, layout: str) -> None:
    images, label = TREES[layout]
    for image in images:
        write(tmp_path, image, ON_CT)
    write(tmp_path, label, ON_PET, label=True)
    plan = json.loads(call("plan", tmp_path, "--json", check=1).stdout)
    assert plan["layout"] == layout
    (refused,) = plan["refused"]
    assert refused["code"] == "E_SHAPE_MISMATCH"
