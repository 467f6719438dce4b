"""A conversion that broke off goes on; what is something else is refused before anything is looked at."""

import json
import os
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from support.cohorts import run

from gpuprep.export import convert_cohort
from gpuprep.export import msd as writing
from gpuprep.export.selection import Selection
from gpuprep.store.stored_case import StoredCase
from gpuprep.values.errors import UsageError

pytestmark = pytest.mark.usefixtures("reads_here")


@pytest.fixture
def output(cohort_folder: Path, tmp_path: Path) -> Path:
    assert run(cohort_folder, tmp_path / "out").exit_code == 0
    return tmp_path / "out"


def contents(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(file.relative_to(folder)): (file.stat().st_mtime_ns, file.read_bytes())
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


@pytest.fixture
def broken_off(output: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two of four cases are written, and part of the third."""
    write, written = writing.write_exported, []

    def failing(*arguments: Any) -> Any:
        written.append(arguments)
        if len(written) > 5:
            raise KeyboardInterrupt
        return write(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(writing, "write_exported", failing)
        patch.setattr("gpuprep.export.convert.available_cores", lambda: 1)
        with pytest.raises(KeyboardInterrupt):
            convert_cohort(output, tmp_path / "msd", "msd")
    (tmp_path / "msd/imagesTr/.77-volume-3.nii.gz").write_bytes(b"of a call that was killed")
    return tmp_path / "msd"


def test_a_second_call_goes_on_and_the_result_is_that_of_one(output, tmp_path, broken_off):
    before = contents(broken_off)
    assert "dataset.json" not in before
    told: list[int] = []
    convert_cohort(output, broken_off, "msd", on_case=told.append)
    after = contents(broken_off)
    assert told == [4] * 4
    for number in (0, 1):
        name = f"imagesTr/volume-{number}.nii.gz"
        assert after[name] == before[name]
    convert_cohort(output, tmp_path / "whole/msd", "msd")
    whole = contents(tmp_path / "whole/msd")
    assert {name: data for name, (_, data) in after.items()} == {
        name: data for name, (_, data) in whole.items()
    }
    convert_cohort(output, broken_off, "msd")
    assert {n: t for n, (t, _) in contents(broken_off).items() if n != "dataset.json"} == {
        n: t for n, (t, _) in after.items() if n != "dataset.json"
    }


def test_what_is_lost_cut_or_made_anew_is_written_again(output, cohort_folder, tmp_path):
    convert_cohort(output, tmp_path / "msd", "msd")
    before = contents(tmp_path / "msd")
    (tmp_path / "msd/labelsTr/volume-0.nii.gz").unlink()
    os.truncate(tmp_path / "msd/imagesTr/volume-1.nii.gz", 100)
    source = nibabel.load(cohort_folder / "volume-2.nii.gz")
    voxels = np.asarray(source.dataobj) + np.int16(1)
    nibabel.save(nibabel.Nifti1Image(voxels, source.affine), cohort_folder / "volume-2.nii.gz")
    assert run(cohort_folder, output).exit_code == 0
    convert_cohort(output, tmp_path / "msd", "msd")
    after = contents(tmp_path / "msd")
    changed = {name for name in before if before[name][1] != after[name][1]}
    assert changed == {"imagesTr/volume-2.nii.gz"}
    same = {name for name in before if before[name] == after[name]}
    assert same == {"imagesTr/volume-3.nii.gz", "labelsTr/volume-3.nii.gz"}


def test_something_else_is_refused_at_once(output, cohort_folder, tmp_path, broken_off):
    before = contents(broken_off)
    other = tmp_path / "other"
    config = {"image": {"resample": {"spacing": [2, 2, 2]}}}
    assert run(cohort_folder, other, config=config).exit_code == 0
    with pytest.raises(UsageError, match="from cases of config"):
        convert_cohort(other, broken_off, "msd")
    with pytest.raises(UsageError, match="holds 2 cases that are not to be converted now"):
        convert_cohort(output, broken_off, "msd", cases=["volume-3"])
    with pytest.raises(UsageError, match="not empty"):
        convert_cohort(output, broken_off, "nnunet")
    (broken_off / "mine.txt").touch()
    with pytest.raises(UsageError, match=r"holds mine\.txt"):
        convert_cohort(output, broken_off, "msd")
    assert {n for n in contents(broken_off) if "/.77" not in n} == {
        "mine.txt",
        *(n for n in before if "/.77" not in n),
    }


def test_a_full_folder_is_refused_before_any_case_is_opened(output, tmp_path, monkeypatch):
    (tmp_path / "full").mkdir()
    (tmp_path / "full/mine.txt").touch()
    monkeypatch.setattr(Selection, "of", None)
    with pytest.raises(UsageError, match="not empty"):
        convert_cohort(output, tmp_path / "full", "msd")
    assert [path.name for path in tmp_path.glob(".*")] == []


def test_cases_are_opened_one_at_a_time_and_closed(output, tmp_path, monkeypatch):
    opened: list[StoredCase] = []
    most: list[int] = []
    begin, close = StoredCase.__init__, StoredCase.close

    def opening(case: StoredCase, *arguments: Any, **options: Any) -> None:
        begin(case, *arguments, **options)
        opened.append(case)
        most.append(len(opened))

    def closing(case: StoredCase) -> None:
        close(case)
        opened.remove(case)

    monkeypatch.setattr(StoredCase, "__init__", opening)
    monkeypatch.setattr(StoredCase, "close", closing)
    monkeypatch.setattr("gpuprep.export.convert.available_cores", lambda: 1)
    convert_cohort(output, tmp_path / "msd", "msd")
    assert max(most) == 1
    assert not opened
    assert len(json.loads((tmp_path / "msd/dataset.json").read_text())["training"]) == 4
