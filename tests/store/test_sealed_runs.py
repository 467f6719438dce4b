"""A run under a sealed list: what it takes the list's word for, and what it notices all the same."""

import json
import os

import pytest
from support.cohorts import CONFIG, run

import gpuprep
from gpuprep.ledger.index import rebuild_manifest
from gpuprep.store.index import read_index
from gpuprep.store.layout import GROUP_FILE, LIST_SEAL_FILE, RECORD_FILE
from gpuprep.store.list_seal import Seal
from gpuprep.store.objects.path import ObjectPath
from gpuprep.store.verify import verify_cohort
from gpuprep.values.errors import UsageError
from gpuprep.values.events import CaseDone, Notice

pytest.importorskip("obstore")
pytest.importorskip("moto.server")

SHARD = "cases/volume-1.zarr/0/c.0.0.0"


@pytest.fixture
def stored(cohort_folder, url, monkeypatch):
    """Four cases under a seal that is trusted, few as they are."""
    monkeypatch.setattr("gpuprep.store.list_seal._WORTH", 0)
    assert run(cohort_folder, url).exit_code == 0
    return ObjectPath(url)


def seal_of(place):
    return Seal.of((place / LIST_SEAL_FILE).content())


def counts(report):
    return report.finished.done, report.finished.skipped, report.by_list


def damage(place, how):
    if how in ("lost", "unfinished"):
        place.delete([SHARD if how == "lost" else f"cases/volume-1.zarr/{RECORD_FILE}"])
    else:
        (place / SHARD).write((place / SHARD).read_bytes()[:-1])


def test_the_seal_tells_the_documents_as_they_are(stored):
    seal = seal_of(stored)
    _, etags = stored.entries()
    assert (seal.manifest, seal.index) == (etags["manifest.jsonl"], etags["index.npz"])
    assert (seal.cases, seal.objects) == (4, len(list((stored / "cases").files())) - 1)
    assert {"gpuprep.json", "agreement.json", "inputs.json", GROUP_FILE} <= seal.documents.keys()
    for name, (etag, text) in seal.documents.items():
        assert (text.encode(), etag) == (stored / name).versioned()


def test_a_run_without_work_changes_nothing_and_says_what_it_did_not_look_at(stored, cohort_folder):
    before = {name: etag for name, _, etag in stored.objects()}
    heard = []
    report = run(cohort_folder, stored.url, listeners=[heard.append])
    assert counts(report) == (0, 4, 4)
    changed = {name for name, _, etag in stored.objects() if before.get(name) != etag}
    assert changed <= {"report.json", ".gpuprep/status.json"}
    assert json.loads((stored / "report.json").read_bytes())["by_list"] == 4
    told = [event.message for event in heard if isinstance(event, Notice)]
    assert any("4 cases skipped by the word of the sealed list" in text for text in told)
    assert gpuprep.status(stored.url).state == "finished"


@pytest.mark.parametrize("how", ["lost", "cut"])
def test_damage_inside_a_case_is_for_verify_and_for_a_run_that_checks(stored, cohort_folder, how):
    damage(stored, how)
    assert counts(run(cohort_folder, stored.url)) == (0, 4, 4)
    (problem,) = verify_cohort(stored.url)
    assert (problem.case, problem.file) == ("volume-1", "0/c.0.0.0")
    checking = {**CONFIG, "run": {"sealed_list": "check"}}
    assert counts(run(cohort_folder, stored.url, checking)) == (1, 3, 0)
    assert verify_cohort(stored.url) == []
    assert counts(run(cohort_folder, stored.url)) == (0, 4, 4)


def test_the_advice_of_verify_helps_under_the_seal(stored, cohort_folder):
    """Delete the case's folder and run again."""
    damage(stored, "cut")
    case = stored / "cases/volume-1.zarr"
    case.delete([name for name, _ in case.files()])
    assert counts(run(cohort_folder, stored.url)) == (1, 3, 3)
    assert verify_cohort(stored.url) == []


@pytest.mark.parametrize("how", ["lost", "cut", "unfinished"])
def test_a_list_is_not_sealed_over_damage(stored, cohort_folder, how):
    stored.delete([LIST_SEAL_FILE])
    damage(stored, how)
    run(cohort_folder, stored.url, only=["volume-2"])
    assert seal_of(stored) is None
    assert counts(run(cohort_folder, stored.url)) == (1, 3, 0)
    assert seal_of(stored) is not None


def test_changed_sources_and_configs_are_noticed(stored, cohort_folder):
    with pytest.raises(UsageError, match="another config"):
        run(cohort_folder, stored.url, {})
    assert seal_of(stored) is not None
    volume, other = (cohort_folder / f"volume-{n}.nii.gz" for n in (1, 2))
    label, other_label = (cohort_folder / f"segmentation-{n}.nii.gz" for n in (1, 2))
    volume.write_bytes(other.read_bytes())
    label.write_bytes(other_label.read_bytes())
    report = run(cohort_folder, stored.url)
    assert counts(report) == (1, 3, 3)
    assert report.changed.cases == 1


@pytest.mark.parametrize("name", ["gpuprep.json", "agreement.json", GROUP_FILE, "cases/zarr.json"])
@pytest.mark.parametrize("how", ["gone", "torn"])
def test_documents_that_another_tool_changed_are_mended(stored, cohort_folder, name, how):
    whole = (stored / name).read_bytes()
    if how == "gone":
        stored.delete([name])
    else:
        (stored / name).write(b"{")
    assert run(cohort_folder, stored.url).finished.skipped == 4
    assert json.loads((stored / name).read_bytes()) == json.loads(whole)
    etag, _ = seal_of(stored).documents[name]
    assert etag == (stored / name).stat().etag


@pytest.mark.parametrize("name", ["manifest.jsonl", "index.npz"])
def test_another_list_is_not_the_sealed_one(stored, cohort_folder, name):
    (stored / name).write((stored / name).read_bytes() + b"\n")
    assert counts(run(cohort_folder, stored.url)) == (0, 4, 0)
    assert counts(run(cohort_folder, stored.url)) == (0, 4, 4)


@pytest.mark.parametrize("taken", [False, True])
def test_an_unbroken_seal_tells_new_documents_unless_it_was_taken_away(
    stored, cohort_folder, taken
):
    before = seal_of(stored)
    for file in cohort_folder.glob("*-3.nii.gz"):
        file.unlink()

    def take(event):
        if isinstance(event, CaseDone) and taken:
            stored.delete([LIST_SEAL_FILE])

    report = run(cohort_folder, stored.url, listeners=[take])
    assert (*counts(report), report.standing.withdrawn) == (0, 3, 3, ("volume-3",))
    if taken:
        assert seal_of(stored) is None
    else:
        assert seal_of(stored).manifest == before.manifest
        assert seal_of(stored).documents.keys() - before.documents.keys() == {"withdrawn.json"}


def test_a_line_that_is_added_goes_into_the_whole_list(stored, cohort_folder):
    os.utime(cohort_folder / "volume-1.nii.gz", (5, 5))
    report = run(cohort_folder, stored.url)
    assert (*counts(report), report.recognised) == (0, 4, 3, 1)
    assert set(read_index(stored).ids) == {f"volume-{number}" for number in range(4)}
    assert counts(run(cohort_folder, stored.url)) == (0, 4, 4)


def test_what_a_dead_attempt_left_is_swept_before_a_case_is_made(stored, cohort_folder):
    case = stored / "cases/volume-1.zarr"
    case.delete(["record.json"])
    (stored / ".staging/volume-1.json").write(b'{"attempt": "0123456789ab-1-1-feed", "at": 0}')
    assert rebuild_manifest(stored.url) == (3, ("volume-1",))
    assert seal_of(stored) is not None
    assert counts(run(cohort_folder, stored.url)) == (1, 3, 3)
    assert verify_cohort(stored.url) == []
    assert list((stored / ".staging").files()) == []


def test_a_run_is_seen_at_work_before_it_changes_a_case(stored, cohort_folder):
    seen = []

    def look(event):
        if isinstance(event, CaseDone) and not event.skipped:
            seen.append((gpuprep.status(stored.url).state, seal_of(stored)))

    run(cohort_folder, stored.url, listeners=[look], overwrite=True, only=["volume-2"])
    assert seen == [("running", None)]


def test_half_a_copy_of_a_cohort_is_looked_at_in_full(stored, cohort_folder):
    """All etags are those of the sealed list's cohort, and each case's folder is there."""
    half = ObjectPath(f"{stored.url}-half")
    for name, _, etag in stored.objects():
        is_lost = "/0/c." in name and not name.startswith(("cases/volume-0", "cases/volume-2"))
        if not is_lost:
            stored.copy(name, half / name)
            assert (half / name).stat().etag == etag
    assert seal_of(half) == seal_of(stored)
    assert counts(run(cohort_folder, half.url)) == (2, 2, 0)
    assert verify_cohort(half.url) == []
    assert seal_of(half).place == half.url
    assert counts(run(cohort_folder, half.url)) == (0, 4, 4)
