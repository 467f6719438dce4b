"""A written case: which files, what they say, what the record guards, and what is refused."""

from __future__ import annotations

import json
import math
from pathlib import Path

import google_crc32c
import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st
from zarr.codecs import BloscCodec, Crc32cCodec, ZstdCodec

from gpuprep.store.case import write_case
from gpuprep.store.codecs import PRESETS
from gpuprep.store.layout import case_folder, check_case_id, check_label_name
from gpuprep.store.record import read_record, write_record
from gpuprep.values.case import natural_key
from gpuprep.values.errors import CorruptStoreError, StoreError, UsageError
from gpuprep.values.geometry import Geometry

SHAPE = (9, 10, 11)
GRID = Geometry(SHAPE, (0.5, 0.75, 2.0), (-10.0, 20.0, 30.5))
CT = np.random.default_rng(0).normal(size=SHAPE).astype("f2")
LIVER = (CT > 0).astype("u1")


def write(folder: Path, **changes: object) -> dict[str, dict[str, int]]:
    settings = {"image": CT, "labels": {"liver": LIVER}, "geometry": GRID, "durable": False}
    return write_case(folder, **(settings | changes))


def attributes(folder: Path, group: str = "") -> dict:
    return json.loads((folder / group / "zarr.json").read_text())["attributes"]


def test_files_and_their_seals(tmp_path):
    sealed = write(tmp_path)
    found = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")}
    assert set(sealed) == {name for name in found if (tmp_path / name).is_file()}
    assert set(sealed) == {
        "zarr.json",
        "0/zarr.json",
        "0/c.0.0.0",
        "labels/zarr.json",
        "labels/liver/zarr.json",
        "labels/liver/0/zarr.json",
        "labels/liver/0/c.0.0.0",
        "labels/liver/0/locations.npy",
    }
    for name, seal in sealed.items():
        content = (tmp_path / name).read_bytes()
        assert seal == {"size": len(content), "crc32c": google_crc32c.value(content)}


def test_writing_twice_gives_the_same_bytes(tmp_path):
    assert write(tmp_path / "a", threads=1) == write(tmp_path / "b", threads=3)


def test_spacing_and_origin_of_an_lps_grid(tmp_path):
    write(tmp_path)
    (multiscale,) = attributes(tmp_path)["ome"]["multiscales"]
    assert [axis["name"] for axis in multiscale["axes"]] == ["z", "y", "x"]
    assert {axis["unit"] for axis in multiscale["axes"]} == {"millimeter"}
    assert multiscale["datasets"][0]["coordinateTransformations"] == [
        {"type": "scale", "scale": [2.0, 0.75, 0.5]},
        {"type": "translation", "translation": [30.5, 20.0, -10.0]},
    ]
    assert (
        attributes(tmp_path, "labels/liver")["ome"]["multiscales"][0]["datasets"]
        == (multiscale["datasets"])
    )


def test_grid_that_ome_cannot_place_gets_no_translation(tmp_path):
    ras, _ = GRID.reorient("RAS")
    write(tmp_path, geometry=ras)
    (dataset,) = attributes(tmp_path)["ome"]["multiscales"][0]["datasets"]
    assert [step["type"] for step in dataset["coordinateTransformations"]] == ["scale"]
    assert attributes(tmp_path)["gpuprep"]["oblique"] is False


@pytest.mark.parametrize(("degrees", "oblique"), [(0.0, False), (1e-5, False), (0.5, True)])
def test_oblique_grids_are_flagged(tmp_path, degrees, oblique):
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    turned = Geometry(SHAPE, GRID.spacing, GRID.origin, (c, -s, 0, s, c, 0, 0, 0, 1))
    write(tmp_path, geometry=turned)
    own = attributes(tmp_path)["gpuprep"]
    assert own["oblique"] is oblique
    assert Geometry.from_json(own["geometry"]) == turned


def test_channels(tmp_path):
    image = np.stack([CT, CT + 1])
    write(tmp_path, image=image, channel_names=["T1", "T2"])
    (multiscale,) = attributes(tmp_path)["ome"]["multiscales"]
    assert multiscale["axes"][0] == {"name": "c", "type": "channel"}
    assert multiscale["datasets"][0]["coordinateTransformations"][0]["scale"] == [1, 2.0, 0.75, 0.5]
    assert attributes(tmp_path)["gpuprep"]["channels"] == ["T1", "T2"]
    assert zarr.open_array(tmp_path / "0", mode="r").chunks == (1, 32, 32, 32)


def test_labels_only(tmp_path):
    write(tmp_path, image=None)
    assert "ome" not in attributes(tmp_path)
    assert attributes(tmp_path, "labels")["ome"]["labels"] == ["liver"]
    assert attributes(tmp_path, "labels/liver")["ome"]["image-label"] == {}


@pytest.mark.parametrize("codec", PRESETS)
@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2", "i4", "f2", "f4"])
def test_documents_equal_those_of_zarr_python(tmp_path, codec, dtype):
    write(tmp_path / "ours", image=CT.astype(dtype), codec=codec)
    (sharding,) = json.loads((tmp_path / "ours/0/zarr.json").read_text())["codecs"]
    _, words, _ = sharding["configuration"]["codecs"]
    compressor = {"blosc": BloscCodec, "zstd": ZstdCodec}[words["name"]](**words["configuration"])
    theirs = zarr.create_group(tmp_path / "theirs", attributes=attributes(tmp_path / "ours"))
    theirs.create_array(
        "0",
        shape=SHAPE,
        dtype=dtype,
        chunks=(32, 32, 32),
        shards=(32, 32, 32),
        compressors=[compressor, Crc32cCodec()],
        fill_value=0,
        dimension_names=["z", "y", "x"],
        chunk_key_encoding={"name": "default", "separator": "."},
    )
    for name in ("zarr.json", "0/zarr.json"):
        ours = json.loads((tmp_path / "ours" / name).read_text())
        assert ours == json.loads((tmp_path / "theirs" / name).read_text())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image": CT[:, :, :5]}, r"shape \(9, 10, 5\).*grid \(9, 10, 11\)"),
        ({"image": CT, "channel_names": ["a", "b"]}, "2 channel names"),
        ({"labels": {"liver": LIVER[:4]}}, r"labels/liver/0.*\(4, 10, 11\)"),
        ({"labels": {"liver": CT}}, "must hold integers"),
        ({"label_names": {"liver": {1: "\udcff"}}}, r"liver/zarr\.json: an attribute is not JSON"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_written(tmp_path, changes, message):
    with pytest.raises(StoreError, match=message):
        write(tmp_path / "case", **changes)
    assert not (tmp_path / "case").exists()


BAD_NAMES = [
    "",
    ".",
    "..",
    ".hidden",
    "a/b",
    "a\\b",
    "a\0b",
    "a\nb",
    "x" * 201,
    "ä" * 101,
    "\udcff",
]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_unsafe_names_are_refused(tmp_path, name):
    with pytest.raises(UsageError, match="case id"):
        case_folder(tmp_path, name)
    with pytest.raises(UsageError, match="label name"):
        write(tmp_path / "case", labels={name: LIVER})


@pytest.mark.parametrize("name", ["zarr.json", "__private"])
def test_label_names_that_zarr_reserves_are_refused(name):
    check_case_id(name)
    with pytest.raises(UsageError, match="reserved by Zarr"):
        check_label_name(name)


@given(st.text(min_size=1, max_size=30))
def test_accepted_ids_stay_inside_the_cases_folder(name):
    try:
        folder = case_folder("/out", name)
    except UsageError:
        return
    assert folder.parent == Path("/out/cases")
    assert folder.name == f"{name}.zarr"


def test_ids_sort_as_people_count():
    names = ["case_10", "case_9b", "case_9", "b2", "10", "9"]
    assert sorted(names, key=natural_key) == ["9", "10", "b2", "case_9", "case_9b", "case_10"]


RECORDS = st.dictionaries(
    st.text(max_size=5) | st.integers(),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.floats(-1e9, 1e9),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=6,
    ),
    max_size=4,
)


@given(RECORDS)
def test_record_round_trip(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("case")
    try:
        text = json.dumps({**rows, "files": {}}, sort_keys=True)
    except TypeError:
        with pytest.raises(StoreError, match="not JSON"):  # keys that do not compare
            write_record(folder, {**rows, "files": {}}, durable=False)
        return
    write_record(folder, {**rows, "files": {}}, durable=False)
    assert read_record(folder) == json.loads(text)


def test_any_flipped_bit_of_a_record_is_found(tmp_path):
    write_record(tmp_path, {"files": {"0/c.0.0.0": {"size": 1, "crc32c": 2}}, "x": [1.5, "ü"]})
    path = tmp_path / "record.json"
    text = path.read_bytes()
    for bit in range(8 * len(text)):
        flipped = bytearray(text)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        with pytest.raises(CorruptStoreError, match="changed after it was written"):
            read_record(tmp_path)
    for other in (text[:-1], text + b"\n", b"", b"[]", b"{}", b"null"):
        path.write_bytes(other)
        with pytest.raises(CorruptStoreError):
            read_record(tmp_path)


def test_records_without_files_or_with_nan_are_refused(tmp_path):
    with pytest.raises(StoreError, match="needs 'files'"):
        write_record(tmp_path, {"case": "a"})
    with pytest.raises(StoreError, match="not JSON"):
        write_record(tmp_path, {"files": {}, "mean": math.nan})
    with pytest.raises(CorruptStoreError, match=r"record\.json: No such file"):
        read_record(tmp_path)
