"""A stream inflated at once gives what a reader of streams gives, and refuses what that one refuses."""

from __future__ import annotations

import gzip
import hashlib
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gpuprep.io import inflate, integrity
from gpuprep.io.integrity import ByteSource
from gpuprep.io.room import ROOM, room_before
from gpuprep.io.rules import ReadRules
from gpuprep.io.sandbox.shared_voxels import SharedMemory, map_voxels
from gpuprep.io.scan import own_memory
from gpuprep.values.errors import InputError

pytest.importorskip("deflate")
SHARED = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
CONTENTS = np.random.default_rng(0).integers(0, 40, 3000, np.uint8).tobytes()


@pytest.fixture
def at_once(monkeypatch) -> list[bool]:
    """For every stream that was tried, whether it was inflated at once."""
    told: list[bool] = []

    def spy(*arguments: object, **how: object) -> bool:
        told.append(inflate.inflate_whole(*arguments, **how))
        return told[-1]

    monkeypatch.setattr(integrity, "inflate_whole", spy)
    return told


def read(path: Path, lead: int, count: int, start: int = 0, encoding: str = "deflate") -> object:
    """Header, voxels and identity as readers take them, or the error."""
    voxels = own_memory((count,), np.dtype("u1"))
    try:
        with ByteSource(path, start=start, encoding=encoding) as source:
            header = source.read(lead)
            source.fill(voxels)
            return header, voxels.tobytes(), source.finish(ReadRules())
    except InputError as error:
        return str(error)


def both_ways(path: Path, monkeypatch, *how: object, **kinds: object) -> tuple[object, object]:
    found = read(path, *how, **kinds)
    with monkeypatch.context() as patch:
        patch.setattr(integrity, "inflate_whole", lambda *_, **__: False)
        return found, read(path, *how, **kinds)


@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress])
@pytest.mark.parametrize("lead", [0, 352, ROOM - 1])
def test_a_sound_stream_is_inflated_at_once(tmp_path, monkeypatch, at_once, pack, lead):
    contents = bytes(lead) + CONTENTS
    raw = b"before" + pack(contents)
    (path := tmp_path / "x").write_bytes(raw)
    found, streamed = both_ways(path, monkeypatch, lead, len(CONTENTS), start=6)
    assert at_once == [True]
    assert found == streamed
    header, voxels, identity = found
    assert (header + voxels, identity.sha256) == (contents, hashlib.sha256(raw).hexdigest())


def test_the_end_of_a_gzip_file_is_kept(tmp_path, at_once):
    (path := tmp_path / "x.gz").write_bytes(gzip.compress(CONTENTS))
    _, _, identity = read(path, 10, len(CONTENTS) - 10, encoding="auto")
    assert at_once == [True]
    told = struct.unpack("<II", bytes.fromhex(identity.gzip))
    assert told == (zlib.crc32(CONTENTS), len(CONTENTS))


def header_sum(contents: bytes) -> bytes:
    """A gzip member whose header has a checksum of its own, which is wrong."""
    plain = gzip.compress(contents)
    return plain[:3] + b"\x02" + plain[4:10] + b"\0\0" + plain[10:]


@pytest.mark.parametrize(
    ("raw", "lead", "count"),
    [
        pytest.param(gzip.compress(CONTENTS) * 2, 0, len(CONTENTS), id="two members alike"),
        pytest.param(gzip.compress(CONTENTS) + gzip.compress(b""), 0, 3000, id="an empty member"),
        pytest.param(gzip.compress(CONTENTS[:9]) + gzip.compress(CONTENTS[9:]), 0, 3000, id="two"),
        pytest.param(gzip.compress(CONTENTS) + b"garbage", 0, 3000, id="garbage behind"),
        pytest.param(gzip.compress(CONTENTS) + bytes(512), 0, 3000, id="zeros behind"),
        pytest.param(gzip.compress(CONTENTS), 0, 2000, id="more than the header says"),
        pytest.param(gzip.compress(CONTENTS), 0, 4000, id="less than the header says"),
        pytest.param(gzip.compress(CONTENTS), ROOM, 0, id="no room for the header"),
        pytest.param(header_sum(CONTENTS), 0, 3000, id="a wrong sum of the header"),
        pytest.param(zlib.compress(CONTENTS) + b"garbage", 0, 3000, id="garbage behind zlib"),
        pytest.param(zlib.compress(CONTENTS), 0, 2000, id="more than the header says in zlib"),
    ],
)
def test_what_is_unusual_is_read_as_a_stream_is(tmp_path, monkeypatch, raw, lead, count):
    (path := tmp_path / "x").write_bytes(raw)
    found, streamed = both_ways(path, monkeypatch, lead, count)
    assert found == streamed


@given(at=st.integers(0, 2000), bit=st.integers(0, 7), keep=st.floats(0.1, 1), lead=st.booleans())
@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress])
@SHARED
def test_damage_is_refused_in_the_same_words(tmp_path, monkeypatch, pack, at, bit, keep, lead):
    raw = bytearray(pack(CONTENTS))
    at = 10 + at % (len(raw) - 10)
    if keep == 1:
        raw[at] ^= 1 << bit
    else:
        del raw[int(keep * len(raw)) :]
    (path := tmp_path / "x").write_bytes(b"before" + raw)
    before = 352 * lead
    found, streamed = both_ways(path, monkeypatch, before, len(CONTENTS) - before, start=6)
    assert isinstance(streamed, str)
    assert found == streamed


@pytest.mark.parametrize("why", ["too large", "no room", "no library", "grows"])
def test_where_it_is_not_worth_it_or_cannot_be(tmp_path, monkeypatch, at_once, why):
    (path := tmp_path / "x.gz").write_bytes(gzip.compress(CONTENTS))
    voxels = own_memory((3000,), np.dtype("u1"))
    if why == "too large":
        monkeypatch.setattr(integrity, "MOST_PACKED", path.stat().st_size - 1)
    elif why == "no room":
        voxels = np.empty(3000, np.uint8)
    elif why == "no library":
        monkeypatch.setattr(inflate, "_library", lambda: None)
    with ByteSource(path) as source:
        if why == "grows":
            with path.open("ab") as file:
                file.write(gzip.compress(b"more"))
        source.fill(voxels)
        assert source.finish(ReadRules()).gzip or why == "grows"
    assert voxels.tobytes() == CONTENTS
    assert at_once == [False] * (why == "no library")


def test_room_lies_only_before_arrays_that_were_made_with_it():
    shape, dtype = (3, 4, 5), np.dtype("i2")
    assert room_before(own_memory(shape, dtype)) == ROOM
    assert room_before(np.empty(shape, dtype)) == 0
    assert room_before(np.zeros(ROOM + 8, np.uint8)[ROOM : ROOM + 4]) == 0
    assert room_before(own_memory(shape, dtype)[1:]) == 0


@pytest.mark.parametrize(("in_memory", "room"), [(None, ROOM), (0, 0)])
def test_shared_voxels_are_what_the_other_side_maps(tmp_path, in_memory, room):
    shared = SharedMemory(in_memory, str(tmp_path))
    voxels = shared.allocate((2, 3, 4), np.dtype("i2"))
    assert room_before(voxels) == room
    voxels[...] = np.arange(24).reshape(2, 3, 4)
    (descriptor,) = shared.take()
    shared._descriptor = None  # handed over
    assert np.array_equal(map_voxels(descriptor, (2, 3, 4), "i2", in_memory), voxels)
