"""How the reader reads: by map or ``pread``, with or without CRCs and threads, and from one case only."""

from __future__ import annotations

import itertools
import os
import pickle
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from gpuprep.store import layout
from gpuprep.store.array import StoredArray
from gpuprep.store.case import write_case
from gpuprep.store.commit import Staging
from gpuprep.store.layout import case_folder
from gpuprep.store.open_shard import ReadPolicy
from gpuprep.store.reader import open_cohort
from gpuprep.store.record import write_record
from gpuprep.store.stored_case import open_case
from gpuprep.values.errors import CorruptStoreError, StoreError, UsageError
from gpuprep.values.geometry import Geometry

SHAPE = (21, 17, 34)
GRID = Geometry(SHAPE, (0.5, 0.75, 2.0), (-10.0, 20.0, 30.5))
IMAGE = np.random.default_rng(0).integers(-1000, 1000, SHAPE).astype("i2")
SHARD = "0/c.0.0.0"


def publish(root: Path, image: np.ndarray) -> None:
    """Put a case of this image, and a label of its first voxel's value, in the place of the last one."""
    label = np.full(SHAPE, abs(int(image[0, 0, 0])) % 251, "u1")
    with Staging(root, "a") as staging:
        files = write_case(
            staging.folder, image=image, labels={"l": label}, geometry=GRID, chunk=8, durable=False
        )
        write_record(staging.folder, {"files": files}, durable=False)
        assert staging.publish(replace=True, durable=False)


@pytest.fixture
def case(tmp_path: Path) -> Path:
    publish(tmp_path, IMAGE)
    return case_folder(tmp_path, "a")


def test_neighbouring_chunks_come_with_one_read(tmp_path, monkeypatch):
    image = IMAGE.copy()
    image[:8, :8, 8:16] = 0  # not stored: its neighbours lie side by side
    image[8:16, 8:16] = 0
    publish(tmp_path, image)
    array = open_case(case_folder(tmp_path, "a"), access="pread").image
    assert array[20, 16, 33] == image[20, 16, 33]
    lengths = []
    pread = os.pread
    monkeypatch.setattr(os, "pread", lambda *words: lengths.append(words[1]) or pread(*words))
    np.testing.assert_array_equal(array[:16, :16, 5:30], image[:16, :16, 5:30])
    assert len([length for length in lengths if length]) == 3  # of 2 × 2 rows of four chunks


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def flip_a_bit(case: Path) -> None:
    """Damage the first chunk where it lies, as a failing disk does."""
    with (case / SHARD).open("r+b") as stream:
        stream.seek(40)
        (byte,) = stream.read(1)
        stream.seek(40)
        stream.write(bytes([byte ^ 16]))


@pytest.mark.parametrize("access", ["mmap", "pread"])
@pytest.mark.parametrize("crc", ["always", "first", "never"])
@pytest.mark.parametrize("threads", [1, 3, 99])
def test_every_way_of_reading_gives_the_same(case, access, crc, threads):
    before = threading.active_count()
    image = open_case(case, crc=crc, access=access, threads=threads).image
    for index in (..., np.s_[3:20, 1:16, 5:33], np.s_[8:16, 8:16, 8:16], np.s_[8, 0:8, :]):
        np.testing.assert_array_equal(image[index], IMAGE[index])
    assert threading.active_count() == before


@pytest.mark.parametrize("access", ["mmap", "pread"])
def test_crc_first_checks_each_chunk_once_in_a_process(case, access):
    first = open_case(case, crc="first", access=access).image
    np.testing.assert_array_equal(first[:8, :8, :8], IMAGE[:8, :8, :8])
    flip_a_bit(case)
    first.read((0, 0, 0), (8, 8, 8))  # was checked: not again
    with pytest.raises(CorruptStoreError, match="CRC32C"):
        open_case(case, crc="always", access=access).image[:8, :8, :8]
    with pytest.raises(CorruptStoreError, match="CRC32C"):
        pickle.loads(pickle.dumps(first))[:8, :8, :8]


@pytest.mark.parametrize("threads", [1, 4])
def test_damage_is_named_by_every_thread(case, threads):
    flip_a_bit(case)
    with pytest.raises(CorruptStoreError, match=r"0/c\.0\.0\.0.*byte 0 is damaged"):
        open_case(case, threads=threads).image[...]


@pytest.mark.parametrize("access", ["mmap", "pread"])
def test_closing_gives_every_file_back(case, access):
    before = descriptors()
    with open_cohort(case.parents[1], access=access) as cohort, cohort["a"] as opened:
        for array in (opened.image, *opened.labels.values()):
            array[...]
        assert descriptors() == before + 2
        opened.close()
        assert descriptors() == before
        np.testing.assert_array_equal(opened.image[...], IMAGE)  # opens again
    assert descriptors() == before
    with StoredArray(case, "0", ReadPolicy(access=access)) as array:
        array[...]
    assert descriptors() == before


def test_a_shard_that_cannot_be_opened_leaves_no_file_open(case):
    (case / SHARD).write_bytes(b"short")
    before = descriptors()
    for _ in range(3):
        with pytest.raises(CorruptStoreError, match="it was cut"):
            open_case(case).image[...]
    assert descriptors() == before


def test_a_file_cut_under_pread_is_an_error_and_no_signal(case):
    image = open_case(case, access="pread").image
    np.testing.assert_array_equal(image[:8, :8, :8], IMAGE[:8, :8, :8])
    os.truncate(case / SHARD, 100)
    with pytest.raises(CorruptStoreError, match="damaged"):
        image[...]


def test_a_disk_that_gives_by_halves_gives_all(case, monkeypatch):
    whole = os.pread
    monkeypatch.setattr(os, "pread", lambda file, size, at: whole(file, -(-size // 2), at))
    np.testing.assert_array_equal(open_case(case, access="pread").image[...], IMAGE)


def test_an_open_array_stays_with_its_case(case, tmp_path):
    """What is open reads the old case, what is not says so, and opening anew gives the new case."""
    old = open_case(case)
    np.testing.assert_array_equal(old.image[...], IMAGE)
    publish(tmp_path, IMAGE + 1)
    np.testing.assert_array_equal(old.image[...], IMAGE)
    for read in (lambda: old.labels["l"][...], lambda: old.record):
        with pytest.raises(StoreError, match="replaced") as caught:
            read()
        assert "open the cohort again" in caught.value.advice
    np.testing.assert_array_equal(open_case(case).image[...], IMAGE + 1)


@pytest.fixture
def replaced_case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A case of one number, the same in image and label, replaced over and over by the next number."""
    monkeypatch.setattr(layout, "SHARD_LIMIT", 1000)  # several shards, so that a mix could be
    monkeypatch.setattr(layout, "SHARD_EDGE", 16)
    stop = threading.Event()

    def replace() -> None:
        for turn in itertools.count(2):
            if stop.is_set():
                return
            publish(tmp_path, np.full(SHAPE, turn % 251, "i2"))

    publish(tmp_path, np.full(SHAPE, 1, "i2"))
    thread = threading.Thread(target=replace)
    thread.start()
    yield case_folder(tmp_path, "a")
    stop.set()
    thread.join()


def numbers_in(case: Path) -> set[int]:
    """The numbers of a case as it is read now; none where it was just giving way to the next."""
    try:
        opened = open_case(case)
        return {int(n) for n in (*opened.image[...].flat, *opened.labels["l"][...].flat)}
    except StoreError as error:
        if "replaced" in str(error) or "not a finished case" in str(error):
            return set()
        raise


def test_a_reader_beside_a_writer_sees_one_case_or_an_error(replaced_case):
    seen: set[int] = set()
    while len(seen) < 12:
        numbers = numbers_in(replaced_case)
        assert len(numbers) <= 1
        seen |= numbers


@pytest.mark.parametrize(
    ("words", "match"),
    [
        ({"crc": "sometimes"}, "always, first, never"),
        ({"access": "http"}, "mmap, pread"),
        ({"threads": 0}, "1 or more"),
    ],
)
def test_unknown_words_are_refused(case, words, match):
    with pytest.raises(UsageError, match=match):
        open_case(case, **words)
