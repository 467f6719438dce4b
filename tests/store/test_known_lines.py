"""What a cohort knows of its cases: when the list is read, and whom it keeps alive."""

from __future__ import annotations

import gc
import os
import weakref
from pathlib import Path

import pytest
from support.cohorts import run

import gpuprep
from gpuprep.ledger.index import write_index
from gpuprep.store.layout import INDEX_FILE, MANIFEST_FILE, case_folder
from gpuprep.store.local import LocalPath
from gpuprep.store.record import read_record, write_record
from gpuprep.training import Grid, PatchDataset

pytestmark = pytest.mark.usefixtures("reads_here")


@pytest.fixture
def out(cohort_folder: Path, tmp_path: Path) -> Path:
    assert run(cohort_folder, tmp_path / "out").exit_code == 0
    return tmp_path / "out"


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files of the list that are read."""
    names: list[str] = []
    content = LocalPath.content
    listed = (MANIFEST_FILE, INDEX_FILE)

    def told(self: LocalPath) -> bytes | None:
        names.extend({self.name}.intersection(listed))
        return content(self)

    monkeypatch.setattr(LocalPath, "content", told)
    return names


def table(out: Path) -> tuple[list[str], tuple[str, ...]]:
    told = gpuprep.open(out).table()
    return told["digest"].tolist(), told.from_records


def test_a_manifest_of_the_size_and_time_of_the_index_is_not_read(out, read):
    expected = table(out)
    assert read == [INDEX_FILE]
    manifest = out / MANIFEST_FILE
    os.utime(manifest, ns=(1, 1))
    assert table(out) == expected
    assert read == [INDEX_FILE, INDEX_FILE, MANIFEST_FILE]
    write_index(out)  # as a run does at its end
    assert table(out) == expected
    assert read[3:] == [INDEX_FILE]


def test_a_manifest_that_was_changed_is_read(out, read):
    manifest, (digests, _) = out / MANIFEST_FILE, table(out)
    before = manifest.stat()
    changed = manifest.read_bytes().replace(digests[0].encode(), b"0" * len(digests[0]))
    manifest.write_bytes(changed)
    os.utime(manifest, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    assert table(out)[0] == ["0" * len(digests[0])] * len(digests)
    with manifest.open("ab") as lines:
        lines.write(manifest.read_bytes().splitlines(keepends=True)[0])
    os.utime(manifest, ns=(before.st_atime_ns, before.st_mtime_ns))  # of the size it is not
    assert table(out)[0] == ["0" * len(digests[0])] * len(digests)
    assert MANIFEST_FILE in read
    manifest.unlink()
    assert table(out) == (digests, tuple(gpuprep.open(out)))


def test_a_cohort_goes_when_nobody_has_it(out):
    cohort = gpuprep.open(out)
    cohort.table()
    dataset = PatchDataset(cohort, patch=(8, 8, 8), sampler=Grid())
    assert dataset[0]["case"] == "volume-0"
    gone = weakref.ref(cohort)
    gc.disable()
    try:
        del cohort, dataset
        assert gone() is None
    finally:
        gc.enable()


def test_a_grid_takes_the_shape_of_a_case_that_was_changed_from_the_case(out):
    expected = len(PatchDataset(out, patch=(8, 8, 8), sampler=Grid()))
    folder = case_folder(out, "volume-1")
    lines = (out / MANIFEST_FILE).read_bytes()
    write_record(folder, read_record(folder) | {"input": "another"})
    cohort = gpuprep.open(out)
    dataset = PatchDataset(cohort, patch=(8, 8, 8), sampler=Grid())
    assert len(dataset) == expected
    shapes = [cohort[case_id].geometry.shape for case_id in cohort]
    assert dataset.pool.shapes.tolist() == [list(shape) for shape in shapes]
    assert (out / MANIFEST_FILE).read_bytes() == lines
    assert cohort.table().from_records == ("volume-1",)
