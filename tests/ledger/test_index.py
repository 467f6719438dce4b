"""The list of cases is made anew from the cases; what a killed process left is told from work in hand."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.cohorts import run

from gpuprep.host.scratch import make_scratch
from gpuprep.ledger.hold import lock
from gpuprep.ledger.index import rebuild_manifest
from gpuprep.values.errors import StoreError, UsageError

pytestmark = pytest.mark.usefixtures("reads_here")


def rows(output: Path) -> list[dict[str, str]]:
    lines = (output / "manifest.jsonl").read_text().splitlines()
    return sorted(map(json.loads, lines), key=lambda row: row["case"])


def test_a_lost_list_is_made_anew(cohort_folder, tmp_path):
    output = tmp_path / "out"
    run(cohort_folder, output)
    before = rows(output)
    (output / "manifest.jsonl").unlink()
    assert rebuild_manifest(output) == (4, ())
    assert rows(output) == before
    (output / "cases/volume-1.zarr/record.json").unlink()
    assert rebuild_manifest(output) == (3, ("volume-1",))
    assert run(cohort_folder, output).finished.done == 1
    for row in (*before, *(after := rows(output))):
        row.pop("record")  # its time, for one of them was written anew
    assert after == before


def test_a_list_is_not_made_under_a_run_or_of_nothing(cohort_folder, tmp_path):
    with pytest.raises(StoreError, match="no gpuprep output"):
        rebuild_manifest(cohort_folder)
    run(cohort_folder, tmp_path / "out", limit=1)
    with lock(tmp_path / "out"), pytest.raises(UsageError, match="another run"):
        rebuild_manifest(tmp_path / "out")


def test_scratch_of_the_dead_is_cleared_by_the_next(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    script = "import os; from gpuprep.host.scratch import make_scratch as make;"
    script += " print(make('x-'), flush=True); os._exit(0)"
    environment = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)}
    line = [sys.executable, "-c", script]
    left = subprocess.run(line, env=environment, capture_output=True, text=True, check=True).stdout
    assert [str(path) for path in tmp_path.iterdir()] == [left.strip()]
    (tmp_path / "x-of-some-body-else").mkdir()
    mine = make_scratch("x-")
    other = make_scratch("x-")
    assert {path.name for path in tmp_path.iterdir()} == {
        "x-of-some-body-else",
        Path(mine).name,
        Path(other).name,
    }
