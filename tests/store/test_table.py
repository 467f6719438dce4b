"""A cohort as a table: what its records say, of the cases that are there now."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.cohorts import run
from support.stored import SHAPES, store_cohort, voxels_of

import gpuprep
from gpuprep.ledger.index import rebuild_manifest
from gpuprep.store import index, known
from gpuprep.store.index import index_of
from gpuprep.store.layout import INDEX_FILE, MANIFEST_FILE, case_folder
from gpuprep.store.record import read_record, write_record
from gpuprep.training import PatchDataset, filter_cases
from gpuprep.values.errors import CohortWarning, UsageError
from gpuprep.values.geometry import Geometry

pytestmark = pytest.mark.usefixtures("reads_here")


@pytest.fixture
def out(cohort_folder: Path, tmp_path: Path) -> Path:
    rows = ["case_id,image,label,site"]
    for number in range(3):
        files = (f"{cohort_folder}/{kind}-{number}.nii.gz" for kind in ("volume", "segmentation"))
        rows.append(f"c{number},{','.join(files)},{'AB'[number % 2]}")
    (tmp_path / "cases.csv").write_text("\n".join(rows))
    assert run(tmp_path / "cases.csv", tmp_path / "out").exit_code == 0
    return tmp_path / "out"


def check(out: Path) -> None:
    """The table against each record."""
    table = gpuprep.open(out).table()
    assert table["case"].tolist() == ["c0", "c1", "c2"]
    for place, case_id in enumerate(table["case"]):
        record = read_record(case_folder(out, case_id))
        row = {name: column[place] for name, column in table.items()}
        for name, lead in (("output", ""), ("source", "source_")):
            grid = record["geometry"][name]
            assert [row[f"{lead}shape_{axis}"] for axis in "zyx"] == grid["shape"]
            assert [row[f"{lead}spacing_{axis}"] for axis in "xyz"] == grid["spacing"]
        counts = {int(v): n for v, n in record["labels"]["segmentation"].items()}
        assert {v: row[f"voxels.segmentation.{v}"] for v in counts} == counts
        assert row["bytes"] == sum(seal["size"] for seal in record["files"].values())
        assert row["source_bytes"] == sum(file["size"] for file in record["source"])
        assert row["channels"] == ", ".join(record["channels"])
        assert row["findings"] == ", ".join(found["code"] for found in record["findings"])
        assert row["attributes.site"] == record["attributes"]["site"]
        told = record["statistics"][0]
        assert row[f"statistics.{row['channels']}.mean"] == told["mean"]
        assert row[f"statistics.{row['channels']}.p99.5"] == told["percentiles"]["99.5"]
        assert (row["digest"], row["input"]) == (record["digest"], record["input"])
        assert row["labels"] == "segmentation"
        assert row["orientation"] == Geometry.from_json(record["geometry"]["source"]).orientation
        assert (row["oblique"], row["kept"]) == (0.0, 1.0)


def test_a_table_says_what_the_records_say(out, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(known, "read_record", None)  # none is read
        table = gpuprep.open(out).table()
    assert table.from_records == ()
    check(out)
    (out / INDEX_FILE).unlink()
    check(out)
    (out / MANIFEST_FILE).unlink()
    check(out)
    assert gpuprep.open(out).table().from_records == ("c0", "c1", "c2")


def as_before(out: Path) -> None:
    """The list as a version left it that did not tell how the sources lie."""
    lines = [json.loads(line) for line in (out / MANIFEST_FILE).read_text().splitlines()]
    for line in lines:
        for name in ("orientation", "oblique", "kept"):
            del line[name]
    (out / MANIFEST_FILE).write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    rows = index_of((out / MANIFEST_FILE).read_bytes())
    columns = {name: rows.columns[name] for name in rows.columns if name not in index._LATER}
    (out / INDEX_FILE).write_bytes(
        replace(rows, columns=columns).to_bytes((out / MANIFEST_FILE).read_bytes())
    )


@pytest.mark.parametrize("packed", [True, False])
def test_a_list_of_an_older_version_is_taken_and_says_less(out, monkeypatch, packed):
    as_before(out)
    if not packed:
        (out / INDEX_FILE).unlink()
    monkeypatch.setattr(known, "read_record", None)
    table = gpuprep.open(out).table()
    assert table["orientation"].tolist() == ["", "", ""]
    assert np.isnan(table["oblique"]).all()
    assert np.isnan(table["kept"]).all()
    assert (table["shape_x"] > 0).all()


def test_a_record_that_does_not_tell_how_its_source_lies_tells_the_rest(out):
    record = read_record(case_folder(out, "c1"))
    del record["geometry"]["oriented"]
    write_record(case_folder(out, "c1"), record)
    table = gpuprep.open(out).table()
    assert table["orientation"][1] == ""
    assert np.isnan(table["kept"][1])
    assert table["source_bytes"][1] > 0


def test_an_index_made_anew_says_all(out):
    as_before(out)
    rebuild_manifest(out)
    check(out)


def test_a_case_that_was_replaced_is_asked_itself(out):
    record = read_record(case_folder(out, "c1"))
    record["attributes"] = {"site": "Z"}
    write_record(case_folder(out, "c1"), record)
    table = gpuprep.open(out).table()
    assert table.from_records == ("c1",)
    assert table["attributes.site"].tolist() == ["A", "Z", "A"]
    shutil.rmtree(case_folder(out, "c0"))
    check_ids = gpuprep.open(out).table()["case"].tolist()
    assert check_ids == ["c1", "c2"]
    assert filter_cases(gpuprep.open(out), lambda r: r["attributes"]["site"] == "Z") == ("c1",)


def test_records_that_tell_little_are_filled_up_from_the_cases(tmp_path):
    table = gpuprep.open(store_cohort(tmp_path)).table()
    assert len(table.from_records) == len(SHAPES)
    shapes = np.stack([table[f"shape_{axis}"] for axis in "zyx"], axis=1)
    assert shapes.tolist() == [list(shape) for shape in SHAPES]
    counts = [np.count_nonzero(voxels_of(number)[1] == 2) for number in range(len(SHAPES))]
    assert table["voxels.organ.2"].tolist() == counts
    assert table["voxels.organ.2"].dtype == np.int64
    assert table["attributes.site"].tolist() == ["B", "A", "B", "A", "B"]


def test_a_map_that_a_case_lacks_has_no_counts(out):
    line = json.loads((out / MANIFEST_FILE).read_text().splitlines()[0])
    line |= {"labels": {"other": [0, 5]}, "voxels": [7, 1]}
    with (out / MANIFEST_FILE).open("a") as lines:
        lines.write(json.dumps(line) + "\n")
    table = gpuprep.open(out).table()
    np.testing.assert_array_equal(table["voxels.other.5"], [1, np.nan, np.nan])
    assert np.isnan(table["voxels.segmentation.1"][0])


def test_many_records_to_read_are_told(out, monkeypatch):
    monkeypatch.setattr(known, "_TOLD_FROM", 3)
    (out / MANIFEST_FILE).unlink()
    for ask in (
        gpuprep.Cohort.table,
        lambda cohort: filter_cases(cohort, lambda record: True),
        lambda cohort: PatchDataset(cohort, patch=(8, 8, 8)),
    ):
        with pytest.warns(CohortWarning, match=r"3 of 3 cases .* gpuprep index"):
            ask(gpuprep.open(out))


def test_a_cohort_without_cases_is_a_table_without_rows(tmp_path):
    (tmp_path / "cases").mkdir()
    table = gpuprep.open(tmp_path).table()
    assert {len(column) for column in table.values()} == {0}


def test_filters_get_the_record(out, monkeypatch):
    seen = []
    filter_cases(gpuprep.open(out), lambda record: seen.append(dict(record)))
    assert seen == [read_record(case_folder(out, case_id)) for case_id in ("c0", "c1", "c2")]
    read: list[str] = []
    monkeypatch.setattr(
        known, "read_record", lambda at, **more: read.append(at.name) or read_record(at, **more)
    )

    def wanted(record):
        grid, counts = record["geometry"]["source"], record["labels"]["segmentation"]
        assert "nothing" not in counts
        return grid["spacing"][2] < 2 and grid["shape"][0] > 20 and counts["1"] > 0

    assert filter_cases(gpuprep.open(out), wanted) == ("c1", "c2")
    assert read == []
    filter_cases(gpuprep.open(out), lambda r: r["geometry"]["source"]["origin"] and r["files"])
    assert read == ["c0.zarr", "c1.zarr", "c2.zarr"]


def test_pandas_gets_every_column(out):
    pandas = pytest.importorskip("pandas")
    table = gpuprep.open(out).table()
    frame = table.to_pandas()
    assert list(frame.columns) == list(table)
    assert frame.groupby("attributes.site")["shape_z"].count().to_dict() == {"A": 2, "B": 1}
    assert pandas.api.types.is_integer_dtype(frame["voxels.segmentation.1"])


def test_polars_gets_every_column(out):
    pytest.importorskip("polars")
    table = gpuprep.open(out).table()
    frame = table.to_polars()
    assert frame.columns == list(table)
    assert frame["case"].to_list() == ["c0", "c1", "c2"]
    assert frame["shape_z"].to_list() == table["shape_z"].tolist()


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_a_library_that_is_not_there_is_named(out, monkeypatch, library):
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(UsageError, match=library) as caught:
        getattr(gpuprep.open(out).table(), f"to_{library}")()
    assert f"pip install {library}" in str(caught.value.advice)
