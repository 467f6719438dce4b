"""Cases that come, go, move and change between runs: what left is named, what moved is not done again."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.cohorts import CONFIG, contents, run, write_pair

import gpuprep
from gpuprep.ledger.index import rebuild_manifest
from gpuprep.ledger.statistics import CaseStatistics
from gpuprep.store.verify import verify_cohort
from gpuprep.values.events import CaseChanged, Notice

pytestmark = pytest.mark.usefixtures("reads_here")

COHORT = {"image": {"intensity": [{"zscore": {"over": "cohort"}}]}}


class Heard:
    """What a run told of cases that were there before."""

    def __init__(self) -> None:
        self.notices: list[str] = []
        self.changes: dict[str, str] = {}

    def __call__(self, event: object) -> None:
        if isinstance(event, Notice):
            self.notices.append("\n".join((event.message, *event.paths)))
        elif isinstance(event, CaseChanged):
            self.changes[event.case_id] = event.change


def again(source: Path, output: Path, config=CONFIG, **options):
    heard = Heard()
    return run(source, output, config, listeners=[heard], **options), heard


def take_away(folder: Path, number: int) -> None:
    for name in ("volume", "segmentation"):
        (folder / f"{name}-{number}.nii.gz").unlink()


def counts(report) -> tuple[int, int]:
    return report.finished.done, report.finished.skipped


def test_a_case_that_left_is_named_until_it_is_back(cohort_folder, tmp_path):
    out = tmp_path / "out"
    run(cohort_folder, out)
    take_away(cohort_folder, 0)
    report, heard = again(cohort_folder, out)
    assert (report.exit_code, counts(report)) == (0, (0, 3))
    assert report.standing.withdrawn == ("volume-0",)
    (notice,) = heard.notices
    assert "volume-0" in notice
    assert f"gpuprep prune {out}" in notice
    assert json.loads((out / "report.json").read_text())["withdrawn"] == ["volume-0"]
    with pytest.warns(gpuprep.CohortWarning, match="volume-0"):
        cohort = gpuprep.open(out)
    assert cohort.withdrawn == ("volume-0",)
    assert again(cohort_folder, out, only=["volume-1"])[0].standing.withdrawn == ("volume-0",)

    write_pair(cohort_folder, 0)
    report, heard = again(cohort_folder, out)
    assert report.standing.withdrawn == ()
    assert gpuprep.open(out).withdrawn == ()
    assert not (out / "withdrawn.json").exists()


def test_choosing_cases_makes_none_of_the_others_leave(cohort_folder, tmp_path):
    run(cohort_folder, tmp_path / "out")
    for options in ({"only": ["volume-1"]}, {"limit": 1}):
        report, heard = again(cohort_folder, tmp_path / "out", **options)
        assert report.standing.withdrawn == ()
        assert not heard.notices


def test_a_second_input_takes_no_case_from_the_first(cohort_folder, tmp_path):
    out, other = tmp_path / "out", tmp_path / "other"
    other.mkdir()
    for number in (7, 8):
        write_pair(other, number)
    run(cohort_folder, out)
    take_away(cohort_folder, 1)
    report, _ = again(other, out)
    assert report.standing.withdrawn == ()  # the first input was not looked at
    take_away(other, 7)
    assert again(cohort_folder, out)[0].standing.withdrawn == ("volume-1",)
    assert again(other, out)[0].standing.withdrawn == ("volume-1", "volume-7")
    assert sorted(gpuprep.store.reader.Cohort(out).ids)[0] == "volume-0"


def test_a_case_that_two_inputs_list_stays_while_one_does(cohort_folder, tmp_path):
    out, single = tmp_path / "out", cohort_folder / "volume-0.nii.gz"
    run(cohort_folder, out)
    rows = ["case_id,image", f"volume-0,{single}"]
    (tmp_path / "one.csv").write_text("\n".join(rows))
    again(tmp_path / "one.csv", out)
    rows[1] = f"volume-1,{cohort_folder / 'volume-1.nii.gz'}"
    (tmp_path / "one.csv").write_text("\n".join(rows))
    assert again(tmp_path / "one.csv", out)[0].standing.withdrawn == ()
    (cohort_folder / "volume-0.nii.gz").unlink()
    (cohort_folder / "segmentation-0.nii.gz").unlink()
    assert again(cohort_folder, out)[0].standing.withdrawn == ("volume-0",)


def test_a_file_that_was_an_input_by_itself_is_part_of_its_folder(cohort_folder, tmp_path):
    out = tmp_path / "out"
    run(cohort_folder / "volume-0.nii.gz", out)
    run(cohort_folder, out)
    take_away(cohort_folder, 0)
    assert again(cohort_folder, out)[0].standing.withdrawn == ("volume-0",)


@pytest.mark.parametrize("lost", ["nothing", "inputs.json", "manifest.jsonl"])
def test_what_left_is_found_from_the_cases_themselves(cohort_folder, tmp_path, lost):
    """The folder is the truth: without its lists, a record still says which input a case came from."""
    out, listing = tmp_path / "out", tmp_path / "cases.csv"
    rows = [f"volume-{n},{cohort_folder}/volume-{n}.nii.gz" for n in range(3)]
    listing.write_text("\n".join(["case_id,image", *rows]))
    run(listing, out)
    (out / lost).unlink(missing_ok=True)
    if lost == "manifest.jsonl":
        rebuild_manifest(out)
    listing.write_text("\n".join(["case_id,image", *rows[1:]]))
    assert again(listing, out)[0].standing.withdrawn == ("volume-0",)


def test_a_new_id_is_a_case_that_left_and_a_new_one(cohort_folder, tmp_path):
    out = tmp_path / "out"
    run(cohort_folder, out)
    for name in ("volume", "segmentation"):
        (cohort_folder / f"{name}-0.nii.gz").rename(cohort_folder / f"{name}-10.nii.gz")
    report, _ = again(cohort_folder, out)
    assert (counts(report), report.standing.withdrawn) == ((1, 3), ("volume-0",))


@pytest.mark.parametrize("config", [CONFIG, COHORT], ids=["plain", "cohort"])
@pytest.mark.parametrize("times", ["kept", "new"])
def test_a_cohort_that_was_moved_is_not_done_again(
    cohort_folder, tmp_path, config, times, monkeypatch
):
    out, moved = tmp_path / "out", tmp_path / "elsewhere" / "in"
    run(cohort_folder, out, config)
    before = contents(out)
    shutil.copytree(
        cohort_folder, moved, copy_function=shutil.copy2 if times == "kept" else shutil.copy
    )
    shutil.rmtree(cohort_folder)
    take_away(moved, 0) if config is CONFIG else None
    rest = 3 if config is CONFIG else 4
    monkeypatch.setattr("gpuprep.executors.task.measure_case", pytest.fail)
    report, heard = again(moved, out, config)
    assert (counts(report), report.recognised) == ((0, rest), rest)
    assert any(f"{rest} cases recognised" in notice for notice in heard.notices)
    assert contents(out) == before
    # its old folder is gone, and most of its cases are here: that was a move, and one case was left behind
    assert report.standing.withdrawn == (("volume-0",) if config is CONFIG else ())
    monkeypatch.setattr(
        "gpuprep.ledger.sources._sum", pytest.fail
    )  # and the files are read only once
    report, heard = again(moved, out, config)
    assert (counts(report), report.recognised) == ((0, rest), 0)


@pytest.mark.slow
def test_statistics_are_taken_anew_when_one_file_differs(cohort_folder, tmp_path):
    run(cohort_folder, tmp_path / "out", COHORT)
    moved = cohort_folder.rename(tmp_path / "moved")
    write_pair(tmp_path, 9)
    (tmp_path / "volume-9.nii.gz").replace(moved / "volume-3.nii.gz")
    (tmp_path / "segmentation-9.nii.gz").replace(moved / "segmentation-3.nii.gz")
    report, heard = again(moved, tmp_path / "out", COHORT)
    assert counts(report) == (4, 0)
    assert set(heard.changes) == {f"volume-{n}" for n in range(4)}
    run(moved, tmp_path / "new", COHORT)
    voxels = [
        np.asarray(gpuprep.open(tmp_path / name)["volume-0"].image) for name in ("out", "new")
    ]
    np.testing.assert_array_equal(*voxels)


def test_statistics_of_files_that_changed_before_they_were_stored_are_taken_anew(
    cohort_folder, tmp_path
):
    """Records tell what was stored, statistics what was measured: between the two a file can change."""
    kept = tmp_path / "out" / "statistics.jsonl"
    run(cohort_folder, tmp_path / "out", COHORT)
    right = [CaseStatistics.of_line(line) for line in kept.read_bytes().splitlines()]
    wrong = [replace(each, files="0" * 64) for each in right]
    kept.write_bytes(b"".join(each.to_line() for each in wrong))
    moved = cohort_folder.rename(tmp_path / "moved")
    assert counts(run(moved, tmp_path / "out", COHORT)) == (0, 4)
    after = [CaseStatistics.of_line(line) for line in kept.read_bytes().splitlines()][len(wrong) :]
    assert {each.case_id: each.files for each in after} == {
        each.case_id: each.files for each in right
    }


def test_two_normalisations_in_one_store_are_named(cohort_folder, tmp_path):
    out, other = tmp_path / "out", tmp_path / "other"
    other.mkdir()
    write_pair(other, 8)
    run(cohort_folder, out, COHORT)
    report, heard = again(other, out, COHORT)
    assert report.standing.outdated == tuple(f"volume-{n}" for n in range(4))
    assert any("other statistics" in notice for notice in heard.notices)
    with pytest.warns(gpuprep.CohortWarning, match="other statistics"):
        assert len(gpuprep.open(out).outdated) == 4
    shutil.copytree(cohort_folder, other, dirs_exist_ok=True)
    assert again(other, out, COHORT)[0].standing.outdated == ()
    assert not verify_cohort(out)
    assert len({case.record["digest"] for case in gpuprep.open(out).values()}) == 1


def test_it_is_said_what_changed_of_a_case(cohort_folder, tmp_path):
    out = tmp_path / "out"
    run(cohort_folder, out)
    write_pair(tmp_path, 9)
    size = [(cohort_folder / "segmentation-0.nii.gz").stat().st_size]
    (tmp_path / "segmentation-9.nii.gz").replace(cohort_folder / "segmentation-0.nii.gz")
    size.append((cohort_folder / "segmentation-0.nii.gz").stat().st_size)
    (cohort_folder / "segmentation-1.nii.gz").unlink()
    os.utime(cohort_folder / "volume-2.nii.gz")
    shard = next((out / "cases/volume-3.zarr").rglob("c.0.0.0"))
    shard.unlink()
    report, heard = again(cohort_folder, out)
    assert heard.changes == {
        "volume-0": "segmentation-0.nii.gz changed ({:,} → {:,} bytes)".format(*size),
        "volume-1": "its label segmentation was taken away (segmentation-1.nii.gz)",
        "volume-3": "what is stored of it is damaged or not whole",
    }
    assert report.changed.cases == 3
    assert counts(report) == (2, 1)  # the label of volume-0 is another's, and does not fit
    assert any("3 cases had changed" in notice for notice in heard.notices)
    assert "its label segmentation was taken away" in (out / "report.json").read_text()
    log = sorted((out / "logs").glob("*.jsonl"))[-1].read_text()
    assert [json.loads(line)["cause"] for line in log.splitlines() if "case.changed" in line] == [
        *("source", "source", "stored")
    ]
    assert "segmentation-0" not in log
    write_pair(cohort_folder, 1)
    _, heard = again(cohort_folder, out)
    assert heard.changes["volume-1"] == "its label segmentation was added (segmentation-1.nii.gz)"


def test_a_manifest_that_says_something_else_of_a_case_is_told(cohort_folder, tmp_path):
    out, listing = tmp_path / "out", tmp_path / "cases.csv"
    listing.write_text(f"case_id,image,split,age\na,{cohort_folder}/volume-0.nii.gz,train,54\n")
    run(listing, out)
    listing.write_text(f"case_id,image,split\na,{cohort_folder}/volume-0.nii.gz,test\n")
    report, heard = again(listing, out)
    assert counts(report) == (0, 1)
    (notice,) = heard.notices
    assert "a: age '54' → None, split 'train' → 'test'" in notice
    assert again(listing, out, overwrite=True, only=["a"])[1].notices == []
    assert gpuprep.open(out)["a"].attributes == {"split": "test"}
    assert again(listing, out)[1].notices == []
