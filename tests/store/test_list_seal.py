"""The seal of a list on an object store: given only when it is true, and gone before a case changes."""

import pickle

import pytest
from support.cohorts import run

import gpuprep
from gpuprep.ledger.hold import hold
from gpuprep.ledger.index import rebuild_manifest
from gpuprep.store.layout import LIST_SEAL_FILE, RECORD_FILE
from gpuprep.store.objects.path import ObjectPath
from gpuprep.values.errors import StoreError
from gpuprep.values.events import CaseDone

pytest.importorskip("obstore")
pytest.importorskip("moto.server")

RECORD = f"cases/volume-1.zarr/{RECORD_FILE}"


@pytest.fixture
def stored(cohort_folder, url):
    assert run(cohort_folder, url).exit_code == 0
    return ObjectPath(url)


def is_sealed(place):
    return (place / LIST_SEAL_FILE).is_file()


def ids_and_ways(place, proxy):
    """The ids of a cohort, and how the store was asked for its cases."""
    proxy.seen.clear()
    ids = gpuprep.open(place).ids
    ways = {
        "delimiter" if "delimiter" in path else "list" if "list-type" in path else method
        for method, path, _ in proxy.seen
        if "cases" in path
    }
    return [int(case_id[-1]) for case_id in ids], ways


def test_under_the_seal_objects_are_not_listed(stored, proxy):
    assert ids_and_ways(stored, proxy) == ([0, 1, 2, 3], {"delimiter"})
    stored.delete([LIST_SEAL_FILE])
    assert ids_and_ways(stored, proxy) == ([0, 1, 2, 3], {"list"})


def test_there_is_no_seal_during_a_run_and_after_one_that_failed(stored, cohort_folder):
    seen = []

    def look(event):
        if isinstance(event, CaseDone):
            seen.append(is_sealed(stored))

    run(cohort_folder, stored.url, listeners=[look], overwrite=True, only=["volume-2"])
    assert seen == [False]
    assert is_sealed(stored)
    with pytest.raises(ZeroDivisionError), hold(stored.url):
        _ = 1 / 0
    assert not is_sealed(stored)


def test_a_run_without_work_seals_again_without_a_look(stored, cohort_folder, proxy):
    proxy.seen.clear()
    assert run(cohort_folder, stored.url).finished.skipped == 4
    assert is_sealed(stored)
    assert sum("list-type" in path and "cases" in path for _, path, _ in proxy.seen) == 1


def test_a_list_with_a_line_of_another_record_is_not_sealed(stored, cohort_folder, proxy):
    """As a killed ``--overwrite`` leaves it: the record is new, its line was never uploaded."""
    stored.delete([LIST_SEAL_FILE])
    (stored / RECORD).write((stored / RECORD).read_bytes() + b" ")
    run(cohort_folder, stored.url, only=["volume-2"])
    assert not is_sealed(stored)
    assert ids_and_ways(stored, proxy) == ([0, 1, 2, 3], {"list"})
    run(cohort_folder, stored.url)
    assert is_sealed(stored)


def test_a_list_that_is_not_the_sealed_one_is_passed_over(stored, proxy):
    lines = (stored / "manifest.jsonl").read_bytes()
    (stored / "manifest.jsonl").write(lines + lines.splitlines(keepends=True)[0])
    assert ids_and_ways(stored, proxy) == ([0, 1, 2, 3], {"list"})


@pytest.mark.parametrize(("listed", "way"), [(1000, "list"), (1, "HEAD")])
def test_cases_that_went_or_came_are_seen_under_the_seal(stored, proxy, monkeypatch, listed, way):
    monkeypatch.setattr("gpuprep.store.list_seal._LISTED", listed)
    case, other = stored / "cases/volume-1.zarr", stored / "cases/volume-7.zarr"
    for name, _ in case.files():
        case.copy(name, other / name)
    case.delete([name for name, _ in case.files()])
    (stored / "cases/volume-8.zarr/0/zarr.json").write(b"{}")  # without a record, so no case
    assert ids_and_ways(stored, proxy) == ([0, 2, 3, 7], {"delimiter", way})


@pytest.mark.parametrize("crc", ["always", "never"])
@pytest.mark.parametrize("change", ["replaced", "removed"])
def test_a_case_that_another_tool_changed_is_refused_and_listed_anew(stored, crc, change):
    if change == "replaced":
        (stored / RECORD).write((stored / RECORD).read_bytes() + b" ")
    else:
        stored.delete([RECORD])
    cohort = gpuprep.open(stored, crc=crc)
    assert "volume-1" in cohort.ids
    for opened in (cohort, pickle.loads(pickle.dumps(cohort))):
        with pytest.raises(StoreError, match=r"volume-1.zarr: not the case") as refused:
            opened["volume-1"]
        assert f"gpuprep index {stored}" in refused.value.advice
    rebuild_manifest(stored.url)
    assert is_sealed(stored)
    assert ("volume-1" in gpuprep.open(stored, crc=crc)) == (change == "replaced")
