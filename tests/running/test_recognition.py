"""A case that is done is known by its line and a look: no record is read, and nothing is missed."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from support.cohorts import contents, run

import gpuprep
from gpuprep.ledger import current
from gpuprep.ledger.index import rebuild_manifest
from gpuprep.store.layout import INDEX_FILE, MANIFEST_FILE, RECORD_FILE, case_folder
from gpuprep.store.places import ObjectPath
from gpuprep.store.record import read_record
from gpuprep.training import PatchDataset
from gpuprep.values.events import CaseChanged

pytestmark = pytest.mark.usefixtures("reads_here")


@pytest.fixture
def looked_up(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The cases whose record the resume pass reads."""
    ids: list[str] = []

    def noted(folder: Any) -> dict[str, Any]:
        ids.append(folder.name.removesuffix(".zarr"))
        return read_record(folder)

    monkeypatch.setattr(current, "read_record", noted)
    return ids


@pytest.fixture
def out(cohort_folder: Path, tmp_path: Path) -> Path:
    assert run(cohort_folder, tmp_path / "out").finished.done == 4
    return tmp_path / "out"


def test_no_record_is_read_where_all_is_as_it_was(cohort_folder, out, looked_up):
    assert run(cohort_folder, out).finished.skipped == 4
    (out / INDEX_FILE).unlink()
    assert run(cohort_folder, out).finished.skipped == 4
    assert (out / INDEX_FILE).is_file()
    rebuild_manifest(out)
    assert run(cohort_folder, out).finished.skipped == 4
    assert looked_up == []


def cut(out: Path, source: Path) -> None:
    os.truncate(case_folder(out, "volume-1") / "0/c.0.0.0", 9)


def lose_a_file(out: Path, source: Path) -> None:
    (case_folder(out, "volume-1") / "zarr.json").unlink()


def lose_the_case(out: Path, source: Path) -> None:
    shutil.rmtree(case_folder(out, "volume-1"))


def lose_the_record(out: Path, source: Path) -> None:
    (case_folder(out, "volume-1") / RECORD_FILE).unlink()


def put_another(out: Path, source: Path) -> None:
    shutil.rmtree(case_folder(out, "volume-1"))
    shutil.copytree(case_folder(out, "volume-0"), case_folder(out, "volume-1"))


def change_the_record(out: Path, source: Path) -> None:
    file = case_folder(out, "volume-1") / RECORD_FILE
    file.write_bytes(file.read_bytes().replace(b"volume-1", b"volume-7"))


def change_the_source(out: Path, source: Path) -> None:
    file = source / "volume-1.nii.gz"
    file.write_bytes(file.read_bytes()[:-1] + b"?")


def swap_sources(out: Path, source: Path) -> None:
    one, other = source / "volume-1.nii.gz", source / "segmentation-1.nii.gz"
    content = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(content)


@pytest.mark.parametrize(
    "change", [cut, lose_a_file, lose_the_case, lose_the_record, put_another, change_the_record]
)
def test_what_is_stored_otherwise_is_made_anew(cohort_folder, out, change):
    before = contents(out)
    change(out, cohort_folder)
    assert run(cohort_folder, out).finished.done == 1
    assert contents(out) == before


@pytest.mark.parametrize("change", [change_the_source, swap_sources])
def test_sources_that_changed_are_noticed(cohort_folder, out, looked_up, change):
    change(out, cohort_folder)
    told: list[object] = []
    run(cohort_folder, out, listeners=[told.append])
    assert [event.case_id for event in told if isinstance(event, CaseChanged)] == ["volume-1"]
    assert looked_up == ["volume-1"]


def test_another_config_is_noticed(cohort_folder, out):
    rows = [json.loads(line) for line in (out / MANIFEST_FILE).read_text().splitlines()]
    text = "".join(json.dumps(row | {"digest": "x"}) + "\n" for row in rows)
    (out / MANIFEST_FILE).write_text(text)
    assert run(cohort_folder, out).finished.skipped == 4
    assert gpuprep.open(out).table()["digest"].tolist() == [rows[0]["digest"]] * 4


def test_a_cohort_that_was_moved_is_looked_up_once(cohort_folder, out, tmp_path, looked_up):
    moved = tmp_path / "moved"
    cohort_folder.rename(moved)
    assert run(moved, out).finished.skipped == 4
    assert len(looked_up) == 4
    assert run(moved, out).finished.skipped == 4
    assert len(looked_up) == 4
    swap_sources(out, moved)
    assert run(moved, out).finished.done == 1
    assert looked_up[4:] == ["volume-1"]


def test_a_copy_of_an_output_is_known_by_its_times(cohort_folder, out, tmp_path, looked_up):
    shutil.copytree(out, tmp_path / "copy")
    assert run(cohort_folder, tmp_path / "copy").finished.skipped == 4
    assert looked_up == []
    assert gpuprep.open(tmp_path / "copy").table().from_records == ()


def test_a_store_is_listed_and_not_asked_case_by_case(cohort_folder, url, proxy):
    pytest.importorskip("obstore")
    assert run(cohort_folder, url).finished.done == 4
    proxy.seen.clear()
    assert run(cohort_folder, url).finished.skipped == 4
    assert not [path for method, path, _ in proxy.seen if "/cases/volume" in path]
    listings = sum("list-type=2" in path for _, path, _ in proxy.seen)

    proxy.seen.clear()
    cohort = gpuprep.open(url)
    dataset = PatchDataset(cohort, patch=(8, 8, 8), cases=cohort.ids)
    assert len(dataset) == len(cohort.table()["case"]) == 4
    assert not [path for method, path, _ in proxy.seen if "/cases/volume" in path]
    assert sum("list-type=2" in path for _, path, _ in proxy.seen) == 1
    assert listings < 6

    (ObjectPath(url) / "cases/volume-1.zarr").delete(["0/c.0.0.0"])
    assert run(cohort_folder, url).finished.done == 1


def test_a_few_cases_of_a_large_store_are_asked_one_by_one(cohort_folder, url, proxy, monkeypatch):
    pytest.importorskip("obstore")
    monkeypatch.setattr("gpuprep.store.sighting._LISTED", 1)  # as if a listing told of one object
    assert run(cohort_folder, url, limit=2).finished.done == 2
    proxy.seen.clear()
    assert run(cohort_folder, url, limit=2).finished.skipped == 2
    asked = [path for method, path, _ in proxy.seen if "volume-" in path]
    assert len(asked) == 2
