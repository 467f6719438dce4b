"""How many requests a cohort on an object store costs, counted in front of a real S3 service."""

from collections import Counter
from pathlib import Path

import pytest
from support.cohorts import run
from support.stored import store_cohort

import gpuprep
from gpuprep.ledger.hold import Hold
from gpuprep.store.layout import CONFIG_FILE, MANIFEST_FILE, RECORD_FILE, case_folder
from gpuprep.store.objects.path import ObjectPath
from gpuprep.store.objects.upload import upload_case
from gpuprep.store.record import read_record
from gpuprep.training.folds import choose_cases

pytest.importorskip("obstore")
pytest.importorskip("moto.server")


@pytest.fixture
def stored(tmp_path: Path, url: str) -> str:
    root = store_cohort(tmp_path / "stored")
    (ObjectPath(url) / "gpuprep.json").write(b"{}")
    for number in range(5):
        assert upload_case(case_folder(root, f"case_{number}"), ObjectPath(url), f"case_{number}")
    return url


def test_choosing_among_listed_cases_asks_for_none_of_them(stored, proxy):
    cohort = gpuprep.open(stored)
    proxy.seen.clear()
    assert choose_cases(cohort, ["case_1", "case_3"]) == ("case_1", "case_3")
    assert not [path for _, path, _ in proxy.seen if RECORD_FILE in path]


def test_a_record_tells_its_version_in_the_request_that_reads_it(stored, proxy):
    place = ObjectPath(stored) / "cases/case_1.zarr"
    version = place.version()
    proxy.seen.clear()
    read_record(place, version=version)
    assert [method for method, *_ in proxy.seen] == ["GET"]


def test_lines_are_asked_for_once_there_or_not(stored, proxy):
    (ObjectPath(stored) / "some.jsonl").write(b"{}\n{}\n")
    proxy.seen.clear()
    assert len(list((ObjectPath(stored) / "some.jsonl").lines())) == 2
    assert list((ObjectPath(stored) / "none.jsonl").lines()) == []
    assert [method for method, *_ in proxy.seen] == ["GET", "GET"]


def test_documents_of_an_earlier_run_are_asked_for_once(cohort_folder, url, proxy):
    assert run(cohort_folder, url, limit=1).exit_code == 0
    proxy.seen.clear()
    assert run(cohort_folder, url, limit=1).finished.skipped == 1
    asked = Counter(path for method, path, _ in proxy.seen if method in ("GET", "HEAD"))
    assert max(asked.values()) == 1
    assert not [path for path in asked if path.endswith((MANIFEST_FILE, CONFIG_FILE))]
    proxy.seen.clear()
    assert run(cohort_folder, url).finished.done == 3
    asked = Counter(path for method, path, _ in proxy.seen if method == "GET")
    assert asked[f"/scans/{url.rpartition('/')[2]}/{MANIFEST_FILE}"] == 1


def test_a_long_list_is_uploaded_when_it_has_grown_and_at_the_end(
    tmp_path, url, proxy, monkeypatch
):
    monkeypatch.setattr("gpuprep.ledger.hold._SMALL", 100)
    held = Hold(tmp_path, ObjectPath(url))
    sent = []
    for rows in range(1, 101):
        (tmp_path / MANIFEST_FILE).write_bytes(b"one row of the list\n" * rows)
        proxy.seen.clear()
        held.keep()
        if any(method == "PUT" for method, *_ in proxy.seen):
            sent.append(rows)
    assert sent[:5] == [1, 2, 3, 4, 5]
    assert len(sent) < 20
    assert (ObjectPath(url) / MANIFEST_FILE).stat().size == 20 * sent[-1] < 2000
    held.keep(last=True)
    assert (ObjectPath(url) / MANIFEST_FILE).stat().size == 2000
    (tmp_path / MANIFEST_FILE).write_bytes(b"made anew\n" * 12)
    held.keep()
    assert (ObjectPath(url) / MANIFEST_FILE).stat().size == 120
