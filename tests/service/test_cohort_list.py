"""The list of all cohorts: each is looked up once, and several are looked at at a time."""

import asyncio
import threading
from pathlib import Path

from support.stored import store_cohort

from gpuprep.service.cohorts import Cohorts
from gpuprep.service.door.tokens import Principal
from gpuprep.service.places import Places
from gpuprep.service.settings import Settings
from gpuprep.service.shelf import Look, Shelf
from gpuprep.store.places import Place


def test_cohorts_are_looked_at_side_by_side(tmp_path: Path, monkeypatch) -> None:
    places = Places(tmp_path, Settings())
    for name in ("liver", "lung", "own"):
        root = store_cohort(tmp_path / "cohorts" / name)
        (root / "gpuprep.json").write_text("{}")
    asked: list[str] = []
    found, look = places.cohort, Shelf.look
    together = threading.Barrier(2, timeout=30)

    def noting(name: str) -> Place | None:
        asked.append(name)
        return found(name)

    def waiting(shelf: Shelf, place: Place) -> Look:
        together.wait()  # for the other one
        return look(shelf, place)

    monkeypatch.setattr(places, "cohort", noting)
    monkeypatch.setattr(Shelf, "look", waiting)
    cohorts = Cohorts(places, ())
    looks = asyncio.run(cohorts.all(Principal("reader", cohorts=("l*",))))
    assert list(looks) == ["liver", "lung"]
    assert asked == ["liver", "lung"]
    assert all(look.places for look in looks.values())


def test_without_cohorts_the_list_is_empty(tmp_path: Path) -> None:
    cohorts = Cohorts(Places(tmp_path, Settings()), ())
    assert asyncio.run(cohorts.all(Principal("reader"))) == {}
