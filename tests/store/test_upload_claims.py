"""A case is never told stored because somebody else is at it: claims of workers that died elsewhere."""

import json
from pathlib import Path

import pytest
from support.stored import store_cohort

from gpuprep.host.owners import mark
from gpuprep.store.layout import RECORD_FILE, case_folder, case_path
from gpuprep.store.objects import upload
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
