"""Bytes are read once, whole, hashed, and never trusted further than the file reaches."""

from __future__ import annotations

import gzip
import hashlib
import itertools
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from gpuprep.io.hashed import file_identity
from gpuprep.io.integrity import ByteSource
from gpuprep.io.limits import beside, check_capacity, check_limits
from gpuprep.io.placeholders import pointer
from gpuprep.io.rules import ReadRules
from gpuprep.values.errors import InputError

RULES = ReadRules()
SHARED = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def whole(path: Path, skip: int, count: int, **how) -> tuple[bytes, str]:
    """Skip, fill and finish, as the readers do."""
    voxels = np.empty(count, np.uint8)
    with ByteSource(path, **how) as source:
        source.skip(skip)
        source.fill(voxels)
        return voxels.tobytes(), source.finish(RULES).sha256


@given(
    contents=st.binary(min_size=1, max_size=5000),
    cuts=st.lists(st.integers(0, 5000), max_size=3),
    packed=st.booleans(),
    part=st.tuples(st.floats(0, 1), st.floats(0, 1)),
)
@SHARED
def test_contents_and_hash_of_plain_and_multi_member_gzip(tmp_path, contents, cuts, packed, part):
    edges = sorted({0, len(contents), *(cut for cut in cuts if cut < len(contents))})
    members = [contents[a:b] for a, b in itertools.pairwise(edges)]
    raw = b"".join(map(gzip.compress, members)) if packed else contents
    path = tmp_path / "file.bin"
    assume(packed or not (raw[:2] == b"\x1f\x8b" or pointer(path, raw)))
    path.write_bytes(raw)
    start, stop = sorted(int(edge * len(contents)) for edge in part)
    read, digest = whole(path, start, stop - start)
    assert read == contents[start:stop]
    assert digest == hashlib.sha256(raw).hexdigest() == file_identity(path).sha256


@given(size=st.integers(100, 3000), keep=st.floats(0, 0.999))
@SHARED
def test_every_cut_gzip_is_refused(tmp_path, size, keep):
    raw = gzip.compress(np.random.default_rng(size).bytes(size))
    path = tmp_path / "cut.gz"
    path.write_bytes(raw[: max(2, int(keep * len(raw)))])
    with pytest.raises(InputError) as error:
        whole(path, 0, size)
    assert error.value.code in ("E_TRUNCATED", "E_UNREADABLE")


@given(at=st.integers(0, 2000), bit=st.integers(0, 7))
@pytest.mark.parametrize(("pack", "header"), [(gzip.compress, 10), (zlib.compress, 2)])
@SHARED
def test_every_flipped_bit_is_refused(tmp_path, pack, header, at, bit):
    contents = np.random.default_rng(0).integers(0, 40, 3000, np.uint8).tobytes()
    raw = bytearray(pack(contents))
    raw[header + at % (len(raw) - header)] ^= 1 << bit
    path = tmp_path / "flipped"
    path.write_bytes(b"before" + bytes(raw))
    with pytest.raises(InputError) as error:
        whole(path, 0, len(contents), start=6, encoding="deflate")
    assert error.value.code in ("E_TRUNCATED", "E_UNREADABLE")


def test_a_short_plain_file_names_both_lengths(tmp_path):
    path = tmp_path / "short.raw"
    path.write_bytes(bytes(700))
    with pytest.raises(InputError, match=r"E_TRUNCATED.*700.*1,000.*short\.raw"):
        whole(path, 0, 1000)


def test_trailing_bytes_are_bounded(tmp_path):
    path = tmp_path / "endless.gz"
    path.write_bytes(gzip.compress(bytes(5_000_000)))
    with ByteSource(path) as source, pytest.raises(InputError, match="E_LIMIT"):
        source.finish(ReadRules(max_bytes=1_000_000))


@given(members=st.lists(st.binary(max_size=50), min_size=1, max_size=3), head=st.booleans())
@SHARED
def test_the_end_of_a_gzip_file_is_kept_only_where_it_tells_of_all(tmp_path, members, head):
    path = tmp_path / "packed"
    path.write_bytes(b"head" * head + b"".join(map(gzip.compress, members)))
    with ByteSource(path, start=4 * head) as source:
        told = source.finish(RULES).gzip
    contents = b"".join(members)
    if told:
        assert not head
        crc, length = struct.unpack("<II", bytes.fromhex(told))
        assert (crc, length) == (zlib.crc32(contents), len(contents))
    else:
        assert head or len(members) > 1
    assert file_identity(path).gzip == ""


@pytest.mark.timeout(10)
@pytest.mark.parametrize("kind", ["fifo", "folder", "device", "absent", "nul"])
def test_what_is_no_regular_file_is_refused_without_hanging(tmp_path, kind):
    path = tmp_path / "thing"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "device":
        path = Path("/dev/zero")
    elif kind == "nul":
        path = Path("a\0b")
    with pytest.raises(InputError, match="E_MISSING" if kind == "absent" else "E_UNREADABLE"):
        file_identity(path)


@pytest.mark.parametrize(
    ("shape", "itemsize", "key"),
    [
        ((1, 2, 2, 70_000), 1, "scanner"),
        ((1, 60_000, 60_000, 2), 1, "input.limits.voxels"),
        ((1, 3_000, 1_000, 1_000), 8, "input.limits.bytes"),
    ],
)
def test_limits_name_the_key_to_raise(shape, itemsize, key):
    with pytest.raises(InputError, match="E_LIMIT") as error:
        check_limits("x.nii", shape, itemsize, RULES)
    assert key in error.value.advice
    check_limits("x.nii", (2, 3, 4, 5), 4, RULES)


def test_no_deflate_stream_expands_beyond_the_bound():
    zeros = bytes(50_000_000)
    packed = len(gzip.compress(zeros, 9))
    check_capacity("x", len(zeros), packed, deflated=True)
    with pytest.raises(InputError, match="E_TRUNCATED"):
        check_capacity("x", 2 * len(zeros), packed, deflated=True)
    with pytest.raises(InputError, match=r"11 bytes.*10"):
        check_capacity("x", 11, 10)


@pytest.mark.parametrize(
    "name", ["/etc/passwd", "../secret.raw", "a/../../secret.raw", "out.raw", "b\\x"]
)
def test_a_detached_file_outside_the_folder_is_unsafe(tmp_path, name):
    folder = tmp_path / "cohort"
    folder.mkdir()
    (tmp_path / "secret.raw").write_bytes(b"secret")
    (folder / "out.raw").symlink_to(tmp_path / "secret.raw")
    with pytest.raises(InputError, match="E_UNSAFE_PATH"):
        beside(folder / "x.mhd", name)


def test_a_detached_file_inside_the_folder_is_found(tmp_path):
    (tmp_path / "raw").mkdir()
    for name in ("x.raw", "raw/x.raw", "体积 ü.raw"):
        (tmp_path / name).write_bytes(b"voxels")
        assert beside(tmp_path / "x.mhd", name).read_bytes() == b"voxels"
    with pytest.raises(InputError, match=r"E_UNREADABLE.*missing"):
        beside(tmp_path / "x.mhd", "gone.raw")
    with pytest.raises(InputError, match=r"E_UNREADABLE.*missing"):
        beside(tmp_path / "x.mhd", "x" * 300)  # more than a name may have


def test_a_linked_header_finds_its_voxels_beside_the_real_one(tmp_path):
    real, links = tmp_path / "real", tmp_path / "links"
    real.mkdir()
    links.mkdir()
    (real / "x.mhd").write_bytes(b"")
    (real / "x.raw").write_bytes(b"voxels")
    (links / "x.mhd").symlink_to(real / "x.mhd")
    (links / "x.raw").symlink_to(real / "x.raw")
    assert beside(links / "x.mhd", "x.raw").read_bytes() == b"voxels"


@pytest.mark.parametrize("step", [1, 7, 352, 2999])
def test_a_zlib_stream_holds_bytes_back_between_reads(tmp_path, step):
    contents = np.random.default_rng(0).integers(0, 40, 3000, np.uint8).tobytes()
    (path := tmp_path / "x").write_bytes(zlib.compress(contents))
    assert whole(path, step, 3000 - step, encoding="deflate")[0] == contents[step:]
