"""``gpuprep suggest --datastats``: MONAI's files for Auto3DSeg, by its own numbers."""

import gzip
import json
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import yaml
from support.auto3dseg_cases import SETS, check, write_set
from support.cohorts import write_pairs
from support.commands import call

GOLDENS = json.loads(
    gzip.decompress((Path(__file__).parents[1] / "goldens/auto3dseg.json.gz").read_bytes())
)


def written(folder: Path, *flags: object) -> tuple[Any, Any]:
    """Both files of the cohort in ``folder/raw``, paths below it."""
    call("suggest", folder / "raw", "--datastats", folder / "stats", *flags, check=0)
    trees = []
    for name in ("datastats", "datastats_by_case"):
        text = (folder / f"stats/{name}.yaml").read_text()
        trees.append(yaml.safe_load(text.replace(f"{folder / 'raw'}/", "")))
    return trees[0], trees[1]


@pytest.mark.parametrize("name", SETS)
def test_keys_and_numbers_are_monais(name: str, tmp_path: Path) -> None:
    write_set(tmp_path / "raw", name)
    whole, by_case = written(tmp_path, "--components")
    check(by_case, GOLDENS[name])
    check(whole, {**GOLDENS[name], "stats_by_cases": []})


def test_components_are_left_out_unless_asked_for(tmp_path: Path) -> None:
    write_set(tmp_path / "raw", "ct")
    _, by_case = written(tmp_path)
    golden = GOLDENS["ct"]
    for rows in (golden["stats_summary"], *golden["stats_by_cases"]):
        for row in rows["label_stats"]["label"]:
            row.pop("shape", None)
            row.pop("ncomponents", None)
    check(by_case, golden)


def test_cases_without_a_label_or_a_voxel_above_zero_are_left_out_and_told(tmp_path: Path) -> None:
    raw = write_pairs(tmp_path / "raw", 3)
    (raw / "segmentation-1.nii.gz").unlink()
    dark = nibabel.Nifti1Image(np.full((8, 8, 8), -5, np.int16), np.eye(4))
    nibabel.save(dark, raw / "volume-7.nii.gz")
    done = call("suggest", tmp_path / "raw", "--datastats", tmp_path / "stats", check=0)
    assert "volume-1 is not in" in done.stderr
    assert "no label map" in done.stderr
    assert "volume-7 is not in" in done.stderr
    tree = yaml.safe_load((tmp_path / "stats/datastats.yaml").read_text())
    assert tree["stats_summary"]["n_cases"] == 2


def test_a_cohort_without_labels_has_no_label_stats(tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    image = np.random.RandomState(0).randint(0, 99, (9, 8, 7)).astype(np.int16)
    for number in range(2):
        nibabel.save(nibabel.Nifti1Image(image, np.eye(4)), tmp_path / f"raw/a{number}.nii.gz")
    whole, by_case = written(tmp_path)
    assert list(whole["stats_summary"]) == ["image_stats", "n_cases"]
    assert by_case["stats_by_cases"][0]["label_filepath"] == "None"


def test_headers_alone_do_not_tell_them(tmp_path: Path) -> None:
    write_set(tmp_path / "raw", "ct")
    done = call("suggest", tmp_path / "raw", "--headers-only", "--datastats", tmp_path, check=2)
    assert "needs the voxels" in done.stderr
