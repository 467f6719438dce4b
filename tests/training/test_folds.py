"""Folds: every case validates once, groups stay together, files of nnU-Net are read."""

from __future__ import annotations

import itertools
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuprep.training import (
    Fold,
    read_folds,
    split_cases,
    write_folds,
)
from gpuprep.values.errors import StoreError, UsageError


@given(st.integers(2, 6), st.integers(6, 30), st.integers(0, 99))
def test_every_case_validates_once_and_groups_stay_together(folds, count, seed):
    ids = [f"case_{number}" for number in range(count)]
    groups = {case_id: f"patient {number % 7}" for number, case_id in enumerate(ids)}
    cut = split_cases(ids, min(folds, 6), seed=seed, groups=groups)
    assert sorted(itertools.chain.from_iterable(fold.val for fold in cut)) == sorted(ids)
    for fold in cut:
        assert set(fold.train) | set(fold.val) == set(ids)
        assert not {groups[c] for c in fold.train} & {groups[c] for c in fold.val}
    assert cut == split_cases(ids[::-1], min(folds, 6), seed=seed, groups=groups)


def test_folds_come_back_from_their_file(tmp_path):
    folds = split_cases(["a", "b", "ü"], 3)
    write_folds(tmp_path / "folds.json", folds)
    assert read_folds(tmp_path / "folds.json") == folds
    (tmp_path / "theirs.json").write_text('[{"train": ["a"], "val": ["b"]}]', "utf-8")
    assert read_folds(tmp_path / "theirs.json") == (Fold(("a",), ("b",)),)


@pytest.mark.parametrize("text", ["{", "3", '[{"train": []}]'])
def test_a_file_that_is_no_list_of_folds_is_refused(tmp_path, text):
    (tmp_path / "folds.json").write_text(text, "utf-8")
    with pytest.raises(StoreError, match="folds"):
        read_folds(tmp_path / "folds.json")
    with pytest.raises(UsageError):
        split_cases(["a"], 2)


def test_importing_imports_neither_torch_nor_monai():
    script = (
        "import gpuprep.training, gpuprep.training.monai, sys;"
        "sys.exit(bool({'torch', 'monai'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
