"""The report: one document that asks for nothing, shows what was measured, and lets nothing of a name out."""

import base64
import csv
import hashlib
import io
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from support.cohorts import run, write_pairs
from support.measured_tables import planted, usual

import gpuprep
from gpuprep.quality import report_data
from gpuprep.quality.case_rows import case_columns, to_csv
from gpuprep.quality.cohort_quality import CohortQuality
from gpuprep.quality.pictures import Pictures, sample
from gpuprep.quality.report import report_of
from gpuprep.quality.report_data import ReportContent
from gpuprep.quality.report_page import render
from gpuprep.store.table import CaseTable

COUNT = 5
HOSTILE = "</script><img src=x onerror=alert(1)>\"'&amp;"


class Document(HTMLParser):
    """What a browser finds in a document: elements with their attributes, and the text of each kind."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self._inside = ""
        self.feed(page.decode())

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        self._inside = tag

    def handle_data(self, data):
        self.texts.append((self._inside, data))

    def handle_endtag(self, tag):
        self._inside = ""

    def every(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]

    def inside(self, tag: str) -> list[str]:
        return [text for name, text in self.texts if name == tag]

    @property
    def data(self):
        return json.loads(next(t for t in self.inside("script") if t.startswith("{")))


@pytest.fixture(scope="module")
def output(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    write_pairs(folder / "in", COUNT)
    (folder / "in/volume-9.nii.gz").write_bytes(b"no volume")
    (folder / "in/segmentation-9.nii.gz").write_bytes(b"no label")
    assert run(folder / "in", folder / "out").exit_code == 1
    return folder / "out"


def content_of(table: CaseTable, **more) -> ReportContent:
    return ReportContent("liver", "2026-11-26T15:50:00Z", CohortQuality(table), **more)


def test_it_asks_for_nothing(output):
    document = Document(report_of(output).html())
    for tag, attributes in document.found:
        assert tag not in ("link", "iframe", "object", "embed", "base", "form")
        assert not [name for name in attributes if name.startswith("on") or name == "style"], tag
        for name in ("src", "href", "srcset", "data"):
            told = attributes.get(name) or ""
            assert not told or told.startswith(("data:image/jpeg;base64,", "#")), (tag, told)
    assert "url(" not in document.inside("style")[0]
    assert "@import" not in document.inside("style")[0]


def test_its_policy_runs_its_own_script_alone(output):
    document = Document(report_of(output).html())
    policy = next(m["content"] for m in document.every("meta") if "http-equiv" in m)
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == "'none'"
    assert rules["img-src"] == "data:"
    scripts = [text for text in document.inside("script") if not text.startswith("{")]
    for kind, texts in (("style-src", document.inside("style")), ("script-src", scripts)):
        sums = [hashlib.sha256(text.encode()).digest() for text in texts]
        assert rules[kind] == " ".join(f"'sha256-{base64.b64encode(s).decode()}'" for s in sums)


def test_it_has_the_numbers_of_every_case(output):
    data = Document(report_of(output).html()).data
    table = gpuprep.open(output).table()
    assert data["ids"] == table["case"].tolist()
    for name in ("source_shape_x", "source_spacing_z", "statistics.channel_0.p50"):
        column = np.frombuffer(base64.b64decode(data["columns"][name]), "<f4")
        np.testing.assert_array_equal(column, table[name].astype(np.float32))
    assert {each["name"] for each in data["qc"]["measures"]} == set(data["columns"])
    assert data["failures"][0]["cases"] == ["volume-9"]
    assert base64.b64decode(data["classes"]["segmentation 1"]) == b"\1" * COUNT


def test_without_scripts_it_shows_all_there_is(output):
    page = report_of(output).html()
    document = Document(page)
    shown = page.decode().split('<script type="application/json"')[0]
    assert "E_UNREADABLE" in shown
    assert {each["alt"] for each in document.every("img")} == {f"volume-{n}" for n in range(COUNT)}
    plots = [each for each in document.every("svg")]
    assert len(plots) == len(document.data["qc"]["measures"])
    assert f"spacing z, before: {COUNT} cases" in shown
    assert "pictures of 5 of 5 cases" in shown


def test_a_name_stays_a_text():
    table, _ = planted()
    for row in (0, 3, 7):  # the first, and two outliers
        table.columns["case"][row] = f"{HOSTILE}{row}"
    table.columns["findings"][0] = HOSTILE
    content = content_of(table, pictures=Pictures({f"{HOSTILE}0": "data:image/jpeg;base64,AAAA"}))
    page = render(content)
    document = Document(page)
    assert len(document.every("script")) == 2
    assert [each["src"] for each in document.every("img")] == ["data:image/jpeg;base64,AAAA"]
    assert document.every("img")[0]["alt"] == f"{HOSTILE}0"
    assert document.data["ids"][3] == f"{HOSTILE}3"
    assert any(HOSTILE in text for text in document.inside("td"))


def test_an_id_that_is_no_unicode_does_not_break_it():
    table = CaseTable(usual(12))
    table.columns["case"][0] = "case_\udcff"
    document = Document(render(content_of(table)))
    assert document.data["ids"][0] == "case_\udcff"


def test_of_very_many_cases_it_has_fewer_measures_and_says_so(monkeypatch):
    content = content_of(CaseTable(usual(400)))
    whole = report_data.report_data(content)
    monkeypatch.setattr(report_data, "_MOST_BYTES", 400 * 16 / 3 * 20)
    part = report_data.report_data(content)
    assert len(part["columns"]) == 20 < len(whole["columns"])
    assert {"source_spacing_x", "ml.segmentation.1", "statistics.CT.p50"} <= part["columns"].keys()
    assert any("20 of" in note and "cohort.csv has all" in note for note in part["qc"]["notes"])


def test_pictures_are_of_outliers_and_of_others_evenly():
    table, places = planted(count=60)
    quality = CohortQuality(table)
    assert sorted(sample(quality, 1000)) == sorted(quality.ids)
    chosen = sample(quality, 20)
    assert len(set(chosen)) == 20
    assert set(chosen[:6]) == set(places.values())
    rows = [quality.ids.index(case_id) for case_id in chosen[6:]]
    assert max(np.diff(rows)) <= 7
    assert len(sample(quality, 4)) == 4
    assert sample(quality, 0) == []


def test_a_case_that_cannot_be_read_is_named(output, tmp_path):
    shutil.copytree(output, tmp_path / "out")
    for file in (tmp_path / "out/cases/volume-2.zarr").rglob("c.*"):
        file.write_bytes(b"torn")
    made = report_of(tmp_path / "out")
    assert len(made.content.pictures.urls) == COUNT - 1
    assert "no picture could be made of volume-2" in made.html().decode()


def test_rows_have_every_number(output):
    quality = report_of(output, pictures=0).quality
    rows = list(csv.DictReader(io.StringIO(to_csv(quality).decode())))
    table = gpuprep.open(output).table()
    assert [row["case"] for row in rows] == table["case"].tolist()
    for name, column in table.items():
        told = [row[name] for row in rows]
        if column.dtype == object:
            assert told == ["" if value is None else value for value in column]
        else:
            np.testing.assert_array_equal([float(each or "nan") for each in told], column)
    for name, measure in quality.measures.items():
        if name != "findings":
            told = [float(row[name] or "nan") for row in rows]
            np.testing.assert_array_equal(told, measure.values)


def test_no_text_of_the_csv_file_is_a_formula(output):
    table = gpuprep.open(output).table()
    formulas = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"]
    table.columns["input"][:3], table.columns["digest"][:3] = formulas[:3], formulas[3:]
    table.columns["input"][3:] = "a=1", "'"
    table.columns["source_spacing_z"][:2] = -2.5, 3.0
    quality = CohortQuality(table)
    rows = list(csv.DictReader(io.StringIO(to_csv(quality).decode(), newline="")))
    told = [row[name] for name in ("input", "digest") for row in rows[:3]]
    assert told == [f"'{text}" for text in formulas]
    assert [row["input"] for row in rows[3:]] == ["a=1", "'"]
    assert [row["source_spacing_z"] for row in rows[:2]] == ["-2.5", "3.0"]
    assert case_columns(quality)["input"].tolist() == [*formulas[:3], "a=1", "'"]


def test_parquet_has_the_same_columns(output):
    parquet = pytest.importorskip("pyarrow.parquet")
    made = report_of(output, pictures=0)
    found = parquet.read_table(io.BytesIO(made.parquet()))
    rows = list(csv.reader(io.StringIO(made.csv().decode())))
    assert found.column_names == rows[0]
    assert found["case"].to_pylist() == [row[0] for row in rows[1:]]
    spacing = found["source_spacing_z"].to_pylist()
    assert spacing == [float(row[rows[0].index("source_spacing_z")]) for row in rows[1:]]


def test_a_cohort_without_a_case(tmp_path):
    (tmp_path / "out/cases").mkdir(parents=True)
    (tmp_path / "out/agreement.json").write_text('{"channels": [], "labels": {}}')
    (tmp_path / "out/gpuprep.json").write_text("{}")
    page = report_of(tmp_path / "out").html().decode()
    assert re.search(r"<dt>cases</dt><dd>0</dd>", page)


def test_numbers_beyond_float32_are_its_largest():
    table = CaseTable(usual(12))
    table.columns["statistics.CT.p95"][3] = 1e300
    quality = CohortQuality(table)
    json.dumps(quality.to_json(quality.choose()), allow_nan=False)
    assert quality.case_json(3)["values"]["statistics.CT.p95"] == float(np.finfo(np.float32).max)
    data = Document(render(content_of(table))).data
    assert np.isfinite(
        np.frombuffer(base64.b64decode(data["columns"]["statistics.CT.p95"]), "<f4")
    ).all()
