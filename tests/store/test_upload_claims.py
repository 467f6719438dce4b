"""A case is never told stored because somebody else is at it: claims of workers that died elsewhere."""

import json
from pathlib import Path

import pytest
from support.stored import store_cohort

from gpuprep.host.owners import mark
from gpuprep.store.layout import RECORD_FILE, case_folder, case_path
from gpuprep.store.objects import upload
from gpuprep.store.objects.claims import Claim
from gpuprep.store.objects.upload import upload_case
from gpuprep.store.places import ObjectPath
from gpuprep.values.errors import StoreError

pytest.importorskip("obstore")
pytest.importorskip("moto.server")


class Clock:
    """Stands in for the module's: what is slept has passed."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(upload, "time", clock)
    return clock


def claim_elsewhere(url: str, case_id: str) -> ObjectPath:
    """The claim of a process on another machine."""
    _, pid, started, number = mark().split("-")
    place = ObjectPath(url)
    claim = place / ".staging" / f"{case_id}.json"
    claim.write(json.dumps({"attempt": f"elsewhere-{pid}-{started}-{number}", "at": 0}).encode())
    return place


def built(tmp_path: Path) -> Path:
    return case_folder(store_cohort(tmp_path / "built"), "case_0")


def test_the_claim_of_a_worker_that_died_elsewhere_passes_on(
    tmp_path, url, clock, monkeypatch
) -> None:
    place = claim_elsewhere(url, "case_0")
    monkeypatch.setattr(upload, "_SILENCE", 0.0)
    assert upload_case(built(tmp_path), place, "case_0")
    assert (place / case_path("case_0") / RECORD_FILE).stat() is not None


def test_while_it_may_live_it_is_waited_for_and_the_case_is_not_told_stored(
    tmp_path, url, clock
) -> None:
    place = claim_elsewhere(url, "case_0")
    with pytest.raises(StoreError, match="another attempt at this case has held"):
        upload_case(built(tmp_path), place, "case_0")
    assert sum(clock.slept) >= 2 * upload._SILENCE
    assert (place / case_path("case_0") / RECORD_FILE).stat() is None


def test_what_another_attempt_stored_meanwhile_is_the_case(
    tmp_path, url, clock, monkeypatch
) -> None:
    folder, place = built(tmp_path), ObjectPath(url)
    claim_elsewhere(url, "case_0")
    record = place / case_path("case_0") / RECORD_FILE
    monkeypatch.setattr(clock, "sleep", lambda _: record.write((folder / RECORD_FILE).read_bytes()))
    assert not upload_case(folder, place, "case_0")


@pytest.fixture
def renewals(monkeypatch) -> list[bool]:
    """What each renewal of a claim came to."""
    told, renew = [], Claim.renew

    def tell(claim: Claim) -> bool:
        told.append(renew(claim))
        return told[-1]

    monkeypatch.setattr(Claim, "renew", tell)
    return told


def slow(monkeypatch, clock, seconds: float, at=lambda name: None) -> None:
    """Let each object of a case take so long."""
    create = ObjectPath.create

    def created(path: ObjectPath, content: bytes) -> str | None:
        if ".zarr/" in path.url:
            clock.now += seconds
            at(path.url)
        return create(path, content)

    monkeypatch.setattr(ObjectPath, "create", created)


@pytest.mark.parametrize(("seconds", "every"), [(7.0, 3), (25.0, 1), (0.1, None)])
def test_an_upload_renews_its_claim_as_it_goes(
    tmp_path, url, clock, monkeypatch, renewals, seconds, every
) -> None:
    folder, place = built(tmp_path), ObjectPath(url)
    slow(monkeypatch, clock, seconds)
    assert upload_case(folder, place, "case_0")
    count = sum(path.is_file() for path in folder.rglob("*"))
    assert renewals == [True] * ((count - 1) // every if every else 0)
    assert (place / case_path("case_0") / RECORD_FILE).stat() is not None
    assert list((place / ".staging").files()) == []


def test_an_upload_whose_claim_passed_on_gives_up(
    tmp_path, url, clock, monkeypatch, renewals
) -> None:
    place, theirs = ObjectPath(url), []

    def lose(name: str) -> None:
        if not theirs:
            theirs.append((place / ".staging/case_0.json").write(b"theirs"))

    slow(monkeypatch, clock, 25.0, lose)
    with pytest.raises(StoreError, match="another attempt at this case is writing here"):
        upload_case(built(tmp_path), place, "case_0")
    assert renewals == [False]
    assert len(list((place / case_path("case_0")).files())) == 1  # theirs, for all we know
    assert (place / ".staging/case_0.json").stat().etag == theirs[0]
