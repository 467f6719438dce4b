"""What the reader says of missing, damaged and hostile files; it never reads outside the case."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from gpuprep.store.array import StoredArray
from gpuprep.store.case import write_case
from gpuprep.store.layout import case_folder
from gpuprep.store.open_shard import ReadPolicy
from gpuprep.store.record import write_record
from gpuprep.store.stored_case import open_case
from gpuprep.values.errors import CorruptStoreError, GpuprepError
from gpuprep.values.geometry import Geometry

SHAPE = (21, 17, 34)
GRID = Geometry(SHAPE, (0.5, 0.75, 2.0), (-10.0, 20.0, 30.5))
IMAGE = np.random.default_rng(0).integers(-1000, 1000, (2, *SHAPE)).astype("i2")
LABEL = (IMAGE[0] > 500).astype("u1")


@pytest.fixture
def case(tmp_path: Path) -> Path:
    folder = case_folder(tmp_path, "a")
    files = write_case(
        folder, image=IMAGE, labels={"liver": LABEL}, geometry=GRID, chunk=8, durable=False
    )
    write_record(folder, {"files": files}, durable=False)
    return folder


def test_missing_shard_is_an_error_not_zeros(case):
    (case / "0/c.0.0.0.0").unlink()
    with pytest.raises(CorruptStoreError, match=r"a\.zarr/0/c\.0\.0\.0\.0: No such file") as caught:
        open_case(case).image[0, 0, 0, 0]
    assert "gpuprep verify" in caught.value.advice


def test_flipped_bit_in_a_chunk_is_found_where_it_is_read(case):
    path = case / "0/c.0.0.0.0"
    shard = bytearray(path.read_bytes())
    shard[40] ^= 4
    path.write_bytes(shard)
    image = open_case(case).image
    with pytest.raises(CorruptStoreError, match=r"a\.zarr/0/c.*byte 0 is damaged.*CRC32C"):
        image[0, :8, :8, :8]
    np.testing.assert_array_equal(image[1], IMAGE[1])


def test_crc_policy_never_does_not_look(case):
    path = case / "0/c.0.0.0.0"
    shard = bytearray(path.read_bytes())
    image = open_case(case, crc="never").image
    length = int(image._open_shard((0, 0, 0, 0)).index[0, 0, 0, 0, 1])
    shard[length - 1] ^= 1  # the stored CRC itself
    path.unlink()
    path.write_bytes(shard)
    with pytest.raises(CorruptStoreError):
        open_case(case, crc="always").image[...]
    np.testing.assert_array_equal(open_case(case, crc="never").image[...], IMAGE)


@pytest.mark.parametrize("name", ["0/c.0.0.0.0", "0/zarr.json", "0", "zarr.json", "record.json"])
def test_symbolic_links_are_not_followed(case, tmp_path, name):
    target = tmp_path / "elsewhere"
    (case / name).rename(target)
    (case / name).symlink_to(target)
    with pytest.raises(CorruptStoreError):
        read_everything(case)


def read_everything(folder: Path) -> None:
    case = open_case(folder, crc="never")
    assert case.record
    case.image[...]


@pytest.mark.parametrize("kind", ["folder", "fifo"])
def test_shards_that_are_no_files(case, kind):
    path = case / "0/c.0.0.0.0"
    path.unlink()
    path.mkdir() if kind == "folder" else os.mkfifo(path)
    with pytest.raises(CorruptStoreError, match="not a plain file"):
        open_case(case).image[...]


HOSTILE = [
    {"shape": [1 << 60] * 4},
    {"shape": [2, 0, 17, 34]},
    {"shape": [2, -1, 17, 34]},
    {"shape": "abc"},
    {"data_type": "object"},
    {"data_type": "complex64"},
    {"data_type": {"name": "x"}},
    {"fill_value": 7},
    {"codecs": []},
    {"codecs": None},
    {"zarr_format": 2},
    {"chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [1, 20, 20, 20]}}},
    {"chunk_key_encoding": {"name": "default", "configuration": {"separator": "_"}}},
]


@pytest.mark.parametrize("change", HOSTILE, ids=str)
def test_hostile_array_documents_are_refused(case, change):
    path = case / "0/zarr.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(GpuprepError):
        open_case(case, crc="never").image[0, 0, 0, 0]


@pytest.mark.parametrize(
    "change",
    [
        {"chunk_shape": [1, 1 << 20, 1 << 20, 1 << 20]},
        {"chunk_shape": [0, 8, 8, 8]},
        {"index_location": "start"},
        {"codecs": [{"name": "bytes"}]},
        {"codecs": [{"name": "bytes"}, {"n`me": "blosc"}, {"name": "crc32c"}]},
        {"codecs": [{"name": "transpose"}, {"name": "bytes"}]},
    ],
    ids=str,
)
def test_hostile_shard_codecs_are_refused(case, change):
    path = case / "0/zarr.json"
    document = json.loads(path.read_text())
    document["codecs"][0]["configuration"] |= change
    path.write_text(json.dumps(document))
    with pytest.raises(GpuprepError):
        open_case(case, crc="never").image[0, 0, 0, 0]


@pytest.mark.parametrize(
    "text",
    [b"", b"[]", b"{}", b'{"zarr_format": 3}', b'{"zarr_format": 3, "attributes": {"gpuprep": 1}}'],
)
def test_damaged_group_documents_are_refused(case, text):
    (case / "zarr.json").write_bytes(text)
    with pytest.raises(CorruptStoreError, match=r"zarr\.json"):
        open_case(case, crc="never")


@pytest.mark.parametrize("name", ["zarr.json", "0/zarr.json", "labels/liver/0/zarr.json"])
def test_changed_documents_are_found_at_open(case, name):
    text = (case / name).read_text()
    (case / name).write_text(text.replace("17", "16").replace("20.0", "21.0"))
    with pytest.raises(CorruptStoreError, match=f"a.zarr/{name}: its CRC32C"):
        open_case(case)


def test_label_names_cannot_leave_the_case(case):
    path = case / "zarr.json"
    document = json.loads(path.read_text())
    document["attributes"]["gpuprep"]["labels"] = ["../../other.zarr/labels/liver"]
    path.write_text(json.dumps(document))
    with pytest.raises(CorruptStoreError, match="label name"):
        open_case(case, crc="never")


def test_every_single_flipped_bit_is_found(case):
    path = case / "0/c.0.0.0.0"
    whole = path.read_bytes()
    for bit in np.random.default_rng(0).choice(8 * len(whole), 400, replace=False).tolist():
        shard = bytearray(whole)
        shard[bit // 8] ^= 1 << bit % 8
        path.unlink()
        path.write_bytes(shard)
        for access in ("mmap", "pread"):
            with pytest.raises(CorruptStoreError, match="damaged"):
                StoredArray(case, "0", ReadPolicy(access=access))[...]
