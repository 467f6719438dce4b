"""Many cases that do nothing: every one comes back, and the coordinator's memory does not grow with them."""

import sys
from pathlib import Path
from typing import Any

import pytest

import gpuprep

pytestmark = pytest.mark.slow

BENCHMARKS = Path(gpuprep.__file__).parents[1] / "benchmarks"
MIB = 1 << 20


@pytest.fixture
def scale(monkeypatch) -> Any:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import scale

    yield scale
    for name in ("scale", "timing"):
        sys.modules.pop(name, None)


def measured(scale: Any, folder: Path, cases: int, **request: Any) -> dict[str, Any]:
    manifest = scale.write_manifest(folder, cases)
    return scale.measure({**request, "input": str(manifest), "output": str(folder / "out")})


def test_dask_forgets_the_cases_that_are_done(scale, tmp_path):
    row = measured(scale, tmp_path, 5_000, cluster="dask", workers=2, faults=0.0)
    assert (row["done"], row["failed"]) == (5_000, 0)
    assert row["growth_bytes"] < 50 * MIB


def test_a_thousand_simulated_workers_are_kept_busy(scale, tmp_path):
    row = measured(scale, tmp_path, 20_000, cluster="simulated", workers=1000, faults=0.01)
    assert row["done"] + row["failed"] == 20_000
    assert row["growth_bytes"] < 64 * MIB  # up to 32 cases of each worker are in hand
    assert not list((tmp_path / "out").rglob("lost-*.json"))
