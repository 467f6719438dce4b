"""Folds that divide no patient, and the file that nnU-Net's trainer reads."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.commands import call
from support.nnunet_balls import NAME as BALLS
from support.nnunet_balls import raw_dataset
from support.nnunet_goldens import GOLDENS

from gpuprep.nnunet.folds import FOLDS, split_folds
from gpuprep.nnunet.groups import groups_by_pattern, read_groups
from gpuprep.values.errors import UsageError

NAME = "Dataset704_LungIgnore"


@pytest.mark.parametrize("number", GOLDENS["folds"])
def test_patients_of_one_case_change_nothing(number: str) -> None:
    ids = [f"case_{k:03d}" for k in range(int(number))]
    assert split_folds(ids, {name: f"of {name}" for name in ids}) == GOLDENS["folds"][number]


@given(st.lists(st.integers(1, 6), min_size=FOLDS, max_size=30))
def test_no_patient_is_in_two_folds_and_every_case_validates_once(scans: list[int]) -> None:
    groups = {f"c{p}_{k}": f"p{p}" for p, many in enumerate(scans) for k in range(many)}
    folds = split_folds(list(groups)[::-1], groups)
    held = [case for fold in folds for case in fold["val"]]
    assert sorted(held) == sorted(groups)
    for fold in folds:
        assert sorted(fold["train"] + fold["val"]) == sorted(groups)
        assert fold["val"]
        assert not {groups[case] for case in fold["train"]} & {groups[c] for c in fold["val"]}
    sizes = [len(fold["val"]) for fold in folds]
    assert max(sizes) - min(sizes) <= max(scans)


def test_groups_come_from_a_table_or_a_pattern(tmp_path: Path) -> None:
    table = tmp_path / "patients.csv"
    table.write_text("case_id,site,patient\na1,x,anna\na2,y,anna\nb1,x,ben\n")
    assert read_groups(table, "patient") == {"a1": "anna", "a2": "anna", "b1": "ben"}
    assert read_groups(table, "site") == {"a1": "x", "a2": "y", "b1": "x"}
    assert groups_by_pattern(["a1", "a2", "b1"], "[a-z]") == {"a1": "a", "a2": "a", "b1": "b"}
    with pytest.raises(UsageError, match="no pattern"):
        groups_by_pattern(["a"], "(")
    with pytest.raises(UsageError, match="no column age; there are case_id, site, patient"):
        read_groups(table, "age")
    table.write_text("case_id,patient\na1,anna\na1,ben\n")
    with pytest.raises(UsageError, match="line 3: case 'a1' is there already"):
        read_groups(table, "patient")
    table.write_text("case_id,patient\na1,anna\nb1\n")
    with pytest.raises(UsageError, match="line 3: case 'b1' has no patient"):
        read_groups(table, "patient")


def test_too_few_patients_and_cases_without_one_are_refused() -> None:
    groups = {f"c{k}": f"p{k % 4}" for k in range(12)}
    with pytest.raises(UsageError, match="4 groups are too few"):
        split_folds(list(groups), groups)
    with pytest.raises(UsageError, match="1 of 13 cases have no group: d"):
        split_folds([*groups, "d"], groups)


def test_the_file_is_the_trainers_and_is_not_replaced_unasked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / NAME / "nnUNetPlans_3d_fullres"
    folder.mkdir(parents=True)
    monkeypatch.setenv("nnUNet_preprocessed", str(tmp_path))
    monkeypatch.delenv("nnUNet_raw", raising=False)
    assert "no cases yet" in call("nnunet", "splits", "-d", 704, check=2).stderr
    ids = [f"case_{k:03d}" for k in range(7)]
    for name in ids:
        (folder / f"{name}.b2nd").touch()
        (folder / f"{name}_seg.b2nd").touch()
    told = call("nnunet", "splits", "-d", 704, check=0).stdout
    assert "7 cases, of which 2, 2, 1, 1, 1 validate" in told
    file = tmp_path / NAME / "splits_final.json"
    wanted = json.dumps(GOLDENS["folds"]["7"], sort_keys=True, indent=4)  # nnU-Net's save_json
    assert file.read_text() == wanted
    call("nnunet", "splits", "-d", 704, check=0)
    words = ("nnunet", "splits", "-d", 704)
    assert "1 groups are too few" in call(*words, "--group-pattern", "case", check=2).stderr
    table = tmp_path / "t.csv"
    rows = [f"{name},{max(k, 2)}\n" for k, name in enumerate(ids)]
    table.write_text("case_id,who\n" + "".join(rows))
    grouped = (*words, "--groups", table, "--by", "who")
    assert "exclude one another" in call(*grouped, "--group-pattern", "x", check=2).stderr
    assert "other folds" in call(*grouped, check=2).stderr
    assert file.read_text() == wanted
    folds = json.loads(call(*grouped, "--overwrite", "--json", check=0).stdout)["folds"]
    assert ids[:3] in [fold["val"] for fold in folds]
    assert json.loads(file.read_text()) == folds


def test_cases_are_those_of_the_raw_data_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = raw_dataset(tmp_path / "raw", 6)
    monkeypatch.setenv("nnUNet_raw", str(raw))
    monkeypatch.setenv("nnUNet_preprocessed", str(tmp_path / "pp"))
    (raw / BALLS / "labelsTr" / "ball_005.nii.gz").unlink()  # which is not trained on
    assert not call("nnunet", "splits", "-d", 31, check=0).stderr
    folds = json.loads((tmp_path / "pp" / BALLS / "splits_final.json").read_text())
    assert sorted(case for fold in folds for case in fold["val"]) == [
        f"ball_{number:03d}" for number in range(5)
    ]
    (tmp_path / "pp" / BALLS / "own").mkdir()
    for number in range(4):  # the last one failed
        (tmp_path / "pp" / BALLS / "own" / f"ball_{number:03d}.b2nd").touch()
    note = "names 1 case (ball_004), of which there are no arrays: trainings stop there"
    assert note in call("nnunet", "splits", "-d", 31, check=0).stderr
