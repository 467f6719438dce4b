"""Shards are files of their array's folder; those of older versions, in a folder per axis, are read alike."""

from pathlib import Path

import numpy as np
import pytest
import zarr
from support.stored import store_cohort, voxels_of

from gpuprep.store.layout import ArrayLayout
from gpuprep.store.reader import open_cohort
from gpuprep.store.verify import verify_cohort


def shards(root: Path) -> set[str]:
    return {
        path.relative_to(root / "cases/case_1.zarr").as_posix()
        for path in (root / "cases/case_1.zarr").rglob("*")
        if path.is_file() and path.suffix not in (".json", ".npy")
    }


@pytest.mark.parametrize(
    ("separator", "expected"),
    [
        (".", {"0/c.0.0.0.0", "labels/organ/0/c.0.0.0"}),
        ("/", {"0/c/0/0/0/0", "labels/organ/0/c/0/0/0"}),
    ],
)
def test_both_names_are_read(tmp_path, monkeypatch, separator, expected):
    with monkeypatch.context() as older:
        older.setattr(ArrayLayout.__init__, "__defaults__", (separator,))
        store_cohort(tmp_path)
    assert shards(tmp_path) == expected
    case = open_cohort(tmp_path)["case_1"]
    image, label = voxels_of(1)
    np.testing.assert_array_equal(np.asarray(case.image), image)
    np.testing.assert_array_equal(case.image[:, 3:19, 2:7, 1:], image[:, 3:19, 2:7, 1:])
    np.testing.assert_array_equal(np.asarray(case.labels["organ"]), label)
    np.testing.assert_array_equal(zarr.open_array(case.path / "0", mode="r")[...], image)
    assert [row for row in verify_cohort(tmp_path, full=True) if row.case] == []


def test_a_case_of_an_image_and_a_label_map_takes_14_inodes(tmp_path: Path) -> None:
    store_cohort(tmp_path)
    case = tmp_path / "cases/case_1.zarr"
    assert len([case, *case.rglob("*")]) == 14
