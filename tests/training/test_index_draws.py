"""Where samples lie is drawn from the index: rare classes without trying, grids without opening."""

from __future__ import annotations

import json
import pickle
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from support.labelled import Stored, store_labelled

import gpuprep
from gpuprep.store import reader
from gpuprep.store.layout import MANIFEST_FILE
from gpuprep.store.stored_case import StoredCase
from gpuprep.training import Balanced, Foreground, Grid, PatchDataset, Uniform
from gpuprep.values.agreement import Agreement, Classes
from gpuprep.values.errors import UsageError

PATCH = (4, 4, 4)
AGREED = Agreement(("CT",), {"organ": Classes({0: "background"})})
CASES = {f"c{n}": Stored({"organ": (1, 2, 9) if n in (3, 7) else (1, 2)}) for n in range(10)}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return store_labelled(tmp_path, CASES, AGREED)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The cases that a cohort opens."""
    ids: list[str] = []

    class Noted(StoredCase):
        def __init__(self, path: Path, *rest: object, **named: object) -> None:
            ids.append(path.name.removesuffix(".zarr"))
            super().__init__(path, *rest, **named)

    monkeypatch.setattr(reader, "StoredCase", Noted)
    return ids


def draws(dataset: PatchDataset, number: int) -> list[tuple[str, tuple[int, ...]]]:
    return [(case.id, start) for case, start in (dataset.place((0, n)) for n in range(number))]


def test_a_rare_class_is_drawn_from_the_cases_that_have_it(root, opened):
    dataset = PatchDataset(root, patch=PATCH, sampler=Balanced("organ", (9,)), samples=400)
    found = Counter(case for case, _ in draws(dataset, 400))
    assert set(found) == {"c3", "c7"}
    assert set(opened) == {"c3", "c7"}
    assert abs(found["c3"] - 200) < 50  # a coin's, with a thousandth beyond


def test_each_case_with_a_class_is_as_likely_as_any_other(root):
    dataset = PatchDataset(root, patch=PATCH, sampler=Balanced("organ", (2,)), samples=4000)
    found = Counter(case for case, _ in draws(dataset, 4000))
    assert set(found) == set(CASES)
    assert max(abs(number - 400) for number in found.values()) < 80


def test_draws_follow_from_the_seed_wherever_they_are_made(root):
    for sampler in (Uniform(), Foreground("organ"), Balanced("organ", (1, 9)), Grid((3, 3, 3))):
        dataset = PatchDataset(root, patch=PATCH, sampler=sampler, samples=40, seed=3)
        there = pickle.loads(pickle.dumps(dataset))
        assert draws(there, 40) == draws(dataset, 40)


def test_a_list_that_promises_too_much_costs_time_alone(root):
    lines = (root / MANIFEST_FILE).read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    rows[0]["labels"]["organ"] = [0, 1, 2, 9]
    (root / MANIFEST_FILE).write_text("".join(json.dumps(row) + "\n" for row in rows))
    dataset = PatchDataset(root, patch=PATCH, sampler=Balanced("organ", (9,)), samples=60)
    assert {case for case, _ in draws(dataset, 60)} == {"c3", "c7"}
    for row in rows:
        row["labels"]["organ"] = [0, 1, 2, 5]
    (root / MANIFEST_FILE).write_text("".join(json.dumps(row) + "\n" for row in rows))
    dataset = PatchDataset(root, patch=PATCH, sampler=Balanced("organ", (5,)), samples=60)
    with pytest.raises(UsageError, match="no case has class 5"):
        dataset.place((0, 0))


def test_a_grid_opens_no_case_before_it_is_read(cohort_folder, tmp_path, opened):
    from support.cohorts import run

    out = tmp_path / "out"
    run(cohort_folder, out)
    dataset = PatchDataset(out, patch=(8, 8, 8), sampler=Grid())
    assert opened == []
    shapes = {case_id: case.geometry.shape for case_id, case in gpuprep.open(out).items()}
    tiles = {case_id: np.prod(-(-np.array(shape) // 8)) for case_id, shape in shapes.items()}
    assert len(dataset) == sum(tiles.values())
    found = Counter(case for case, _ in draws(dataset, len(dataset)))
    assert found == tiles


def test_the_case_asked_for_longest_ago_is_forgotten_first(root, opened, monkeypatch):
    monkeypatch.setattr(reader, "_CASES_KEPT", 2)
    cohort = gpuprep.open(root)
    for case_id in ("c0", "c1", "c0", "c2", "c0", "c1"):
        assert cohort[case_id].id == case_id
    assert opened == ["c0", "c1", "c2", "c1"]
