"""What is exported and what is refused: channels, labels, names and places."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from support.exported import config, dice, read_nibabel, read_sitk, write_foreign

from gpuprep.export import export_case
from gpuprep.running.coordinator import run
from gpuprep.values.errors import GpuprepError, UsageError
from gpuprep.values.geometry import Geometry

pytestmark = pytest.mark.usefixtures("reads_here")


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One case of two channels (T1, T2) with a label."""
    folder = tmp_path_factory.mktemp("channels") / "in"
    folder.mkdir()
    geometry = Geometry((6, 7, 8), (1.0, 1.5, 2.0))
    for name, value in (("t1", 10), ("t2", 20), ("seg", 1)):
        voxels = np.full(geometry.shape, value, np.int16)
        voxels[0] = 0
        write_foreign(folder / f"{name}.nii", voxels, geometry)
    (folder / "c.csv").write_text("case_id,image_T1,image_T2,label\nkim,t1.nii,t2.nii,seg.nii\n")
    rules = config()
    report = run(folder / "c.csv", folder.parent / "stored", config=rules, scheduler="serial")
    assert report.exit_code == 0, report.failures
    return folder.parent / "stored"


def test_one_channel_is_exported(cohort: Path, tmp_path: Path) -> None:
    done = export_case(cohort, "kim", tmp_path / "t2.nii", channel=1)
    array, _ = read_nibabel(tmp_path / "t2.nii")
    assert set(np.unique(array)) == {0, 20}
    assert json.loads(json.dumps(done.to_json()))["dtype"] == "float32"


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"file": "x.mhd"}, r"\.nii\.gz"),
        ({"case_id": "lee"}, "kim"),
        ({"label": "tumour"}, "segmentation"),
        ({}, r"0 \(T1\), 1 \(T2\)"),
        ({"channel": 2}, r"0 \(T1\), 1 \(T2\)"),
        ({"channel": 0, "label": "segmentation"}, "no channels"),
        ({"file": "none/x.nii"}, "does not exist"),
        ({"file": "."}, "suffix"),
    ],
)
def test_refusals_list_what_exists(cohort: Path, tmp_path: Path, asked: dict, told: str) -> None:
    file = tmp_path / asked.pop("file", "x.nii")
    case_id = asked.pop("case_id", "kim")
    with pytest.raises(UsageError) as refused:
        export_case(cohort, case_id, file, **asked)
    assert_told(refused.value, told)
    assert not list(tmp_path.iterdir())


def assert_told(error: GpuprepError, told: str) -> None:
    assert re.search(told, f"{error.message} {error.advice}"), (error.message, error.advice)


def test_not_a_cohort(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not a cohort"):
        export_case(tmp_path, "kim", tmp_path / "x.nii")


def test_a_file_is_replaced_only_when_asked(cohort: Path, tmp_path: Path) -> None:
    file = tmp_path / "x.nii.gz"
    file.write_bytes(b"mine")
    with pytest.raises(UsageError, match="exists already"):
        export_case(cohort, "kim", file, channel=0)
    assert file.read_bytes() == b"mine"
    export_case(cohort, "kim", file, channel=0, overwrite=True)
    assert read_nibabel(file)[0].shape == (6, 7, 8)


def test_a_failed_write_leaves_the_old_file(
    cohort: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "x.mha"
    file.write_bytes(b"mine")

    def half_written(_: object, name: str, **__: object) -> None:
        Path(name).write_bytes(b"half")
        raise RuntimeError("disk is full")

    monkeypatch.setattr(sitk, "WriteImage", half_written)
    with pytest.raises(UsageError, match="disk is full"):
        export_case(cohort, "kim", file, channel=0, overwrite=True)
    assert [(entry.name, entry.read_bytes()) for entry in tmp_path.iterdir()] == [
        ("x.mha", b"mine")
    ]


def test_real_scan_returns_to_its_own_grid(scans: Path, tmp_path: Path) -> None:
    folder = scans / "pyradiomics"
    (tmp_path / "c.csv").write_text(
        f"case_id,image,label\nlung,{folder / 'lung1_image.nrrd'},{folder / 'lung1_label.nrrd'}\n"
    )
    rules = config(resample={"spacing": [0.6, 0.6, 2.5], "interpolation": "linear"})
    assert (
        run(tmp_path / "c.csv", tmp_path / "out", config=rules, scheduler="serial").exit_code == 0
    )
    export_case(tmp_path / "out", "lung", tmp_path / "l.mha", label="segmentation", native=True)
    label, on = read_sitk(tmp_path / "l.mha")
    truth, source = read_sitk(folder / "lung1_label.nrrd")
    assert on.distance(source) <= 1e-9
    assert dice(label > 0, truth > 0) >= 0.97
