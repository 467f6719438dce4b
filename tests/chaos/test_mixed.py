"""Cohorts as they come: a share of the files is bad, each in its own way, and only those fail."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest
from support.runs import end, start

import gpuprep

pytestmark = pytest.mark.slow

VOXELS = np.random.default_rng(0).integers(-1000, 1000, (12, 11, 10), np.int16)


def save(path: Path, voxels: np.ndarray, origin: float = 0.0) -> None:
    affine = np.diag([0.8, 0.8, 1.5, 1.0])
    affine[:3, 3] = origin
    nibabel.save(nibabel.Nifti1Image(voxels, affine), path)


def cut(image: Path, label: Path) -> None:
    image.write_bytes(image.read_bytes()[:-500])


def flip_sum(image: Path, label: Path) -> None:
    content = bytearray(image.read_bytes())
    content[-6] ^= 1
    image.write_bytes(content)


def bomb(image: Path, label: Path) -> None:
    header = bytearray(gzip.decompress(image.read_bytes()))
    header[42:48] = np.array([30_000] * 3, "<i2").tobytes()
    image.write_bytes(gzip.compress(bytes(header)))


def make_complex(image: Path, label: Path) -> None:
    save(image, VOXELS.astype(np.complex64))


def move_label(image: Path, label: Path) -> None:
    save(label, (VOXELS > 0).astype(np.uint8), origin=40.0)


def halve_labels(image: Path, label: Path) -> None:
    save(label, (VOXELS > 0).astype(np.float32) / 2)


BAD: dict[str, tuple[Callable[[Path, Path], None], str]] = {
    "cut": (cut, "E_TRUNCATED"),
    "sum": (flip_sum, "E_UNREADABLE"),
    "bomb": (bomb, "E_LIMIT"),
    "complex": (make_complex, "E_PIXEL_TYPE"),
    "moved": (move_label, "E_SHAPE_MISMATCH"),
    "halves": (halve_labels, "E_LABEL_VALUES"),
}


def write_cohort(folder: Path, cases: int, bad: int) -> dict[str, str]:
    """A manifest of so many cases, ``bad`` of them damaged in turn; returns the code of each bad one."""
    folder.mkdir()
    expected = {}
    rows = ["case_id,image,label"]
    damage = list(BAD.values())
    for number in range(cases):
        name = f"case_{number:03}"
        image, label = folder / f"{name}.nii.gz", folder / f"{name}_seg.nii.gz"
        save(image, np.roll(VOXELS, number))
        save(label, (VOXELS > 0).astype(np.uint8))
        if bad and number % (cases // bad) == 7:
            ruin, expected[name] = damage[len(expected) % len(damage)]
            ruin(image, label)
        rows.append(f"{name},{image.name},{label.name}")
    (folder / "cases.csv").write_text("\n".join(rows))
    return expected


def failures(output: Path) -> dict[str, str]:
    lines = (output / "failures.jsonl").read_text().splitlines()
    return {row["case"]: row["code"] for row in map(json.loads, lines)}


def test_of_four_hundred_files_exactly_the_bad_ones_fail(tmp_path):
    expected = write_cohort(tmp_path / "in", 400, 20)
    assert len(expected) == 20
    report = gpuprep.run(tmp_path / "in" / "cases.csv", tmp_path / "out", workers=2)
    assert report.exit_code == 1
    assert failures(tmp_path / "out") == expected
    assert report.finished.done == 380
    assert not set(expected) & set(gpuprep.open(tmp_path / "out"))


def test_of_fifty_files_one_that_kills_its_reader_is_poison(tmp_path):
    write_cohort(tmp_path / "in", 50, 0)
    manifest, output = tmp_path / "in" / "cases.csv", tmp_path / "out"
    printed = end(process := start(manifest, output, "local", "in_reader@case_031.=kill"))
    assert process.returncode == 1, printed
    assert failures(output) == {"case_031": "POISON"}
    assert len(gpuprep.open(output)) == 49
