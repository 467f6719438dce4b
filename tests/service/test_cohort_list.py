"""The list of all cohorts: each is looked up once, and several are looked at at a time."""

import asyncio
import threading
from pathlib import Path

import pytest
from support.service_app import App
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


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("agreement.json", b"{"),
        ("agreement.json", b"[]"),
        ("withdrawn.json", b"7"),
    ],
)
def test_a_damaged_cohort_leaves_the_others_in_the_list(
    tmp_path: Path, name: str, content: bytes
) -> None:
    app = App(tmp_path / "own")
    for each in ("liver", "lung"):
        root = store_cohort(app.folder / "cohorts" / each)
        (root / "gpuprep.json").write_text("{}")
    client = app.client(Principal("reader", "read"))
    whole = client.get("/v1/cohorts").json()["items"]
    assert [(each["name"], each["problem"]) for each in whole] == [("liver", None), ("lung", None)]
    assert whole[1]["cases"] == 5
    again = App(tmp_path / "own").client(Principal("other", "read"))  # which has seen nothing yet
    (app.folder / "cohorts/liver" / name).write_bytes(content)
    answer = again.get("/v1/cohorts")
    assert answer.status_code == 200
    damaged, other = answer.json()["items"]
    assert other == whole[1]
    assert damaged["name"] == "liver"
    assert damaged["problem"]
    assert damaged["cases"] == 0
    assert str(tmp_path) not in answer.text


def test_a_cohort_that_raises_what_nobody_expected_is_damaged_too(tmp_path, monkeypatch) -> None:
    app = App(tmp_path / "own")
    for each in ("liver", "lung"):
        (store_cohort(app.folder / "cohorts" / each) / "gpuprep.json").write_text("{}")
    look = Shelf.look

    def torn(shelf: Shelf, place: Place) -> Look:
        if place.name == "liver":
            raise KeyError("spacing")
        return look(shelf, place)

    monkeypatch.setattr(Shelf, "look", torn)
    damaged, other = app.client(Principal("reader", "read")).get("/v1/cohorts").json()["items"]
    assert damaged["problem"] == "what lists its cases is damaged"
    assert other["cases"] == 5
