"""Measures of real runs against NumPy over the files that went in."""

from pathlib import Path

import nibabel
import numpy as np
import pytest
from support.cohorts import run, write_pairs

import gpuprep
from gpuprep.quality.cohort_quality import CohortQuality
from gpuprep.quality.measures import STATISTICS

COUNT = 3
CLIP = {"clip": {"low": -740, "high": 60}}


def measured(source: Path, output: Path, *steps: dict, **image) -> tuple[CohortQuality, dict]:
    config = {"image": {"intensity": [CLIP, *steps], "resample": {"spacing": [1, 1, 1.5]}, **image}}
    assert run(source, output, config).exit_code == 0
    cohort = gpuprep.open(output)
    quality = CohortQuality(cohort.table(), cohort.agreement)
    return quality, {name: each.values for name, each in quality.measures.items()}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_pairs(tmp_path / "in", COUNT)


def voxels_of(source: Path, number: int) -> np.ndarray:
    return np.asarray(nibabel.load(source / f"volume-{number}.nii.gz").dataobj)


@pytest.mark.parametrize("as_float", [False, True])
@pytest.mark.parametrize("scale", [2.0, -0.5])
def test_statistics_before_and_after_are_those_of_numpy(source, tmp_path, scale, as_float):
    for number in range(COUNT) if as_float else ():
        file = source / f"volume-{number}.nii.gz"
        image = nibabel.load(file)
        voxels = image.get_fdata().astype(np.float32) + np.float32(0.25)
        nibabel.save(nibabel.Nifti1Image(voxels, image.affine), file)
    _, values = measured(
        source, tmp_path / "out", {"multiply": {"by": scale}}, {"offset": {"by": 7}}
    )
    for number in range(COUNT):
        before = voxels_of(source, number).astype(float)
        after = np.clip(before, -740, 60) * scale + 7
        for voxels, lead in ((before, "statistics."), (after, "after.")):
            told = {
                name: values[f"{lead}channel_0.{name}"][number]
                for name in STATISTICS
                if not (as_float and voxels is after and name in ("mean", "std"))
            }
            known = {
                name: np.percentile(voxels, float(name[1:])) for name in told if name[0] == "p"
            }
            ends = {"min": voxels.min(), "max": voxels.max()}
            known |= ends | {"mean": voxels.mean(), "std": voxels.std()}
            assert told == pytest.approx({name: known[name] for name in told}, abs=0.3)
        shares = 100 * np.mean(before <= -740), 100 * np.mean(before >= 60)
        assert [
            values[f"clipped.channel_0.{end}"][number] for end in ("low", "high")
        ] == pytest.approx(shares)


def test_without_another_look_nothing_is_said_of_a_mean_after(source, tmp_path):
    test_statistics_before_and_after_are_those_of_numpy(source, tmp_path, 2.0, True)
    table = gpuprep.open(tmp_path / "out").table()
    assert "statistics.channel_0.after_mean" not in table


def test_where_the_outside_becomes_zero_nothing_is_said_of_after(source, tmp_path):
    _, values = measured(source, tmp_path / "out", foreground={"where": "label", "outside": "zero"})
    assert not [name for name in values if name.startswith("after.")]
    assert "clipped.channel_0.low" in values


def test_grids_crop_foreground_and_volumes(source, tmp_path):
    quality, values = measured(
        source,
        tmp_path / "out",
        crop={"to": "label", "margin": 2.0},
        foreground={"where": "body", "threshold": -300},
    )
    table = quality.table
    for number in range(COUNT):
        image = nibabel.load(source / f"volume-{number}.nii.gz")
        label = np.asarray(nibabel.load(source / f"segmentation-{number}.nii.gz").dataobj)
        zooms = image.header.get_zooms()
        for axis, size, zoom in zip("xyz", image.shape, zooms, strict=True):
            assert values[f"source_extent_{axis}"][number] == pytest.approx(size * zoom)
        box = [
            (max(0, int(found.min()) - margin), min(size, int(found.max()) + 1 + margin))
            for found, size, margin in zip(np.nonzero(label), label.shape, (3, 3, 2), strict=True)
        ]
        kept = np.prod([stop - start for start, stop in box]) / label.size
        assert values["crop_kept"][number] == pytest.approx(100 * kept)
        part = voxels_of(source, number)[tuple(slice(*ends) for ends in box)]
        assert values["foreground.channel_0"][number] == pytest.approx(100 * np.mean(part > -300))
        for value in (1, 2):
            voxels = table[f"voxels.segmentation.{value}"][number]
            assert values[f"ml.segmentation.{value}"][number] == pytest.approx(voxels * 1.5 / 1000)


def test_orientations_are_those_of_nibabel(source, tmp_path):
    quality, _ = measured(source, tmp_path / "out")
    told = quality.to_json(quality.choose())["orientations"]
    towards = {
        "".join(nibabel.aff2axcodes(nibabel.load(file).affine)) for file in source.glob("v*")
    }
    assert {each["code"] for each in told} == towards
    assert sum(each["cases"] for each in told) == COUNT
