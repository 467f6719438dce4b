"""The documents of a run on a store survive a scratch folder that is full, or swept by others."""

import errno
from pathlib import Path

import pytest
from support.cohorts import run

from gpuprep.ledger.hold import Hold, hold
from gpuprep.store.layout import (
    FAILURES_FILE,
    INDEX_FILE,
    LIST_SEAL_FILE,
    MANIFEST_FILE,
    STATISTICS_FILE,
)
from gpuprep.store.objects.path import ObjectPath
from gpuprep.values.errors import RunStopped

pytest.importorskip("obstore")
pytest.importorskip("moto.server")

pytestmark = pytest.mark.usefixtures("reads_here")


@pytest.fixture
def stored(cohort_folder, url, monkeypatch) -> ObjectPath:
    monkeypatch.setattr("gpuprep.store.list_seal._WORTH", 0)
    assert run(cohort_folder, url).exit_code == 0
    return ObjectPath(url)


@pytest.fixture
def full(monkeypatch):
    """Lets the disk run full in the middle of a document."""
    write = Path.write_bytes

    def fill(document: str) -> None:
        def cut(path: Path, content: bytes) -> int:
            if document in path.name:
                write(path, content[: len(content) // 2])
                raise OSError(errno.ENOSPC, "No space left on device")
            return write(path, content)

        monkeypatch.setattr(Path, "write_bytes", cut)

    return fill


def documents(place: ObjectPath) -> dict[str, bytes]:
    names = [name for name, _ in place.files() if "/" not in name and name != LIST_SEAL_FILE]
    return {name: (place / name).read_bytes() for name in names}


def test_a_list_that_could_not_be_brought_stays_on_the_store(stored, full):
    before = documents(stored)
    full(MANIFEST_FILE)
    with hold(stored.url, asked=4) as held:
        assert held.is_sealed
        with pytest.raises(RunStopped, match="No space left"):
            held.unseal()
        held.keep(last=True)
    assert documents(stored) == before


@pytest.mark.parametrize("document", [MANIFEST_FILE, INDEX_FILE, FAILURES_FILE, "gpuprep.json"])
def test_what_could_not_be_fetched_stays_on_the_store(stored, full, tmp_path, document):
    """The thread that keeps documents up may still run once after such a start."""
    (stored / FAILURES_FILE).write(b"{}\n")
    before = documents(stored)
    full(document)
    held = Hold(tmp_path, stored)
    with pytest.raises(RunStopped, match="No space left"):
        held.fetch()
    held.keep(last=True)
    assert documents(stored) == before


def test_only_what_a_run_removes_itself_goes_from_the_store(stored, tmp_path):
    (stored / FAILURES_FILE).write(b"{}\n")
    before = documents(stored)
    held = Hold(tmp_path, stored)
    held.fetch()
    for file in tmp_path.iterdir():
        if file.is_file():
            file.unlink()
    held.keep(last=True)
    assert documents(stored) == {n: text for n, text in before.items() if n != FAILURES_FILE}


def test_a_scratch_folder_that_went_takes_nothing_along(stored, tmp_path):
    (stored / FAILURES_FILE).write(b"{}\n")
    before = documents(stored)
    (tmp_path / "scratch").mkdir()
    held = Hold(tmp_path / "scratch", stored)
    held.fetch()
    (tmp_path / "scratch").rename(tmp_path / "gone")
    held.keep(last=True)
    assert documents(stored) == before


def test_a_file_that_could_not_be_brought_is_not_sent_back_in_part(stored, full, tmp_path):
    (stored / STATISTICS_FILE).write(b"whole")
    full(STATISTICS_FILE)
    held = Hold(tmp_path, stored)
    with pytest.raises(RunStopped, match="No space left"):
        held.bring(STATISTICS_FILE)
    held.send(STATISTICS_FILE)
    assert (stored / STATISTICS_FILE).read_bytes() == b"whole"
