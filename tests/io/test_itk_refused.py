"""MetaImage and NRRD headers that lead elsewhere, contradict themselves or their files."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gpuprep.io.reader import peek, read
from gpuprep.io.rules import ReadRules
from gpuprep.io.scan import Scan
from gpuprep.values.case import Source
from gpuprep.values.errors import CaseError, InputError

RULES = ReadRules()


def load(path: Path, rules: ReadRules = RULES) -> Scan:
    return read(Source(str(path)), rules)


META = """ObjectType = Image
NDims = 3
BinaryData = True
BinaryDataByteOrderMSB = False
CompressedData = {compressed}
TransformMatrix = {matrix}
Offset = 0 0 0
ElementSpacing = {spacing}
DimSize = {size}
ElementType = {type}
ElementDataFile = {file}
"""


def meta(path: Path, contents: bytes = bytes(48), **fields: str) -> Path:
    values = {
        "compressed": "False", "matrix": "1 0 0 0 1 0 0 0 1", "spacing": "1 2 3", "size": "2 3 4",
        "type": "MET_SHORT", "file": "LOCAL",
    }  # fmt: skip
    path.write_bytes(META.format(**{**values, **fields}).encode() + contents)
    return path


def nrrd(path: Path, contents: bytes = bytes(48), encoding: str = "raw", **fields: str) -> Path:
    lines = {"type": "short", "dimension": "3", "sizes": "2 3 4", "endian": "little", **fields}
    text = "".join(f"{name.replace('_', ' ')}: {value}\n" for name, value in lines.items())
    path.write_bytes(f"NRRD0004\n{text}encoding: {encoding}\n\n".encode() + contents)
    return path


@pytest.mark.parametrize("target", ["/etc/passwd", "../../../../../../etc/passwd", "link.raw"])
def test_detached_headers_cannot_read_other_files(tmp_path, target):
    (tmp_path / "link.raw").symlink_to("/etc/passwd")
    for path in (
        meta(tmp_path / "x.mhd", b"", type="MET_UCHAR", file=target),
        nrrd(tmp_path / "x.nhdr", b"", type="uchar", data_file=target),
    ):
        for action in (read, peek):
            with pytest.raises(InputError) as error:
                action(Source(str(path)), RULES)
            assert error.value.code == "E_UNSAFE_PATH"


@pytest.mark.parametrize(
    "trick",
    [
        "ElementDataFile\n = /etc/passwd",  # MetaIO reads across the line end
        "DimSize: 900 900 900 = 1",  # MetaIO splits at the colon
        "DimSize = 9 9 9",  # twice
        "Comment = ElementDataFile = x.raw",
    ],
)
def test_ambiguous_meta_headers_are_refused(tmp_path, trick):
    path = meta(tmp_path / "x.mha")
    text = path.read_bytes()
    path.write_bytes(text.replace(b"DimSize", trick.encode() + b"\nDimSize", 1))
    with pytest.raises(InputError, match="E_UNREADABLE"):
        load(path)


@pytest.mark.parametrize("skip", [-1, 5])
def test_voxels_behind_a_foreign_header(tmp_path, skip):
    """HeaderSize -1 means the last bytes of the file, however long the header before them."""
    voxels = np.arange(24, dtype="<i2").reshape(4, 3, 2)
    (tmp_path / "x.raw").write_bytes(b"12345" + voxels.tobytes())
    path = meta(tmp_path / "x.mhd", b"", spacing=f"1 2 3\nHeaderSize = {skip}", file="x.raw")
    np.testing.assert_array_equal(load(path).volumes[0].array, voxels)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(sitk.ReadImage(str(path))), voxels)


def test_twice_the_same_nrrd_field_is_refused(tmp_path):
    path = nrrd(tmp_path / "x.nrrd")
    path.write_bytes(path.read_bytes().replace(b"sizes", b"sizes: 9 9 9\nsizes", 1))
    with pytest.raises(InputError, match=r"E_UNREADABLE.*twice"):
        load(path)


@pytest.mark.parametrize(
    ("build", "code"),
    [
        (lambda path: meta(path, size="2048 2048 2048", type="MET_FLOAT"), "E_LIMIT"),
        (lambda path: meta(path, size="1000 1000 1000"), "E_TRUNCATED"),
        (
            lambda path: meta(path, zlib.compress(bytes(9)), size="999 999 9", compressed="True"),
            "E_TRUNCATED",
        ),
        (lambda path: meta(path, size="2 3"), "E_UNREADABLE"),
        (lambda path: meta(path, size="2 3 -4"), "E_NOT_VOLUME"),
        (lambda path: meta(path, size="2 3 1e400"), "E_UNREADABLE"),
        (lambda path: meta(path, type="MET_FLOAT_ARRAY"), "E_PIXEL_TYPE"),
        (lambda path: meta(path, spacing="1 0 3"), "E_NO_GEOMETRY"),
        (lambda path: meta(path, spacing="1 nan 3"), "E_NO_GEOMETRY"),
        (lambda path: meta(path, matrix="1 0 0 0 1 0.3 0 0 1"), "E_SHEAR"),
        (lambda path: meta(path, matrix="1 0 0 1 0 0 0 0 1"), "E_NO_GEOMETRY"),
        (lambda path: meta(path, file="LIST"), "E_UNREADABLE"),
        (lambda path: meta(path, file="x%03d.raw 1 4 1"), "E_UNREADABLE"),
        (lambda path: nrrd(path, sizes="2048 2048 2048", type="float"), "E_LIMIT"),
        (lambda path: nrrd(path, sizes="1000 1000 1000"), "E_TRUNCATED"),
        (
            lambda path: nrrd(path, gzip.compress(bytes(9)), "gzip", sizes="999 999 9"),
            "E_TRUNCATED",
        ),
        (lambda path: nrrd(path, sizes="2 3"), "E_UNREADABLE"),
        (lambda path: nrrd(path, type="block"), "E_PIXEL_TYPE"),
        (lambda path: nrrd(path, kinds="RGB-color domain domain"), "E_PIXEL_TYPE"),
        (lambda path: nrrd(path, data_file="x%03d.raw 1 4 1"), "E_UNREADABLE"),
        (lambda path: nrrd(path, byte_skip="-1"), "E_UNREADABLE"),
        (lambda path: nrrd(path, encoding="A" * 5000), "E_UNREADABLE"),  # ITK dies of it
        (lambda path: nrrd(path, encoding="bzip2"), "E_UNREADABLE"),
        (lambda path: nrrd(path, bytes(95), "hex"), "E_TRUNCATED"),
        (lambda path: nrrd(path, bytes(46), "ascii"), "E_TRUNCATED"),
        (lambda path: meta(path, spacing="1 2 3\nHeaderSize = 9"), "E_UNREADABLE"),
        (lambda path: meta(path, spacing="1 2 3\nHeaderSize = -2", file="x.raw"), "E_UNREADABLE"),
        (lambda path: nrrd(path, spacings="1 two 3"), "E_UNREADABLE"),
        (lambda path: nrrd(path, space_directions="(1,0,0) (0,1,0)"), "E_UNREADABLE"),
        (lambda path: nrrd(path, endian="middle"), "E_UNREADABLE"),
    ],
)
def test_hostile_headers_are_refused_before_anything_is_read(tmp_path, build, code):
    path = build(tmp_path / "x")
    for action in (peek, read):
        with pytest.raises(InputError) as error:
            action(Source(str(path)), RULES)
        assert error.value.code == code
        assert str(path) in str(error.value)


def test_a_flipped_bit_in_compressed_voxels_is_refused(tmp_path):
    contents = np.random.default_rng(1).integers(0, 30, 2 * 3 * 4, np.int16).tobytes()
    packed = bytearray(zlib.compress(contents))
    packed[len(packed) // 2] ^= 8
    with pytest.raises(InputError, match=r"E_UNREADABLE.*damaged"):
        load(meta(tmp_path / "x.mha", bytes(packed), compressed="True"))
    packed = bytearray(gzip.compress(contents))
    packed[len(packed) // 2] ^= 8
    with pytest.raises(InputError, match=r"E_UNREADABLE.*damaged"):
        load(nrrd(tmp_path / "x.nrrd", bytes(packed), "gzip"))


def test_damage_that_simpleitk_reads_without_a_word(tmp_path):
    """Why MetaImage voxels do not go through SimpleITK; when this fails, ITK has learned to check."""
    contents = np.random.default_rng(1).integers(0, 30, (4, 3, 2), np.int16)
    packed = bytearray(zlib.compress(contents.tobytes()))
    packed[len(packed) // 2] ^= 8
    path = meta(tmp_path / "x.mha", bytes(packed), compressed="True")
    assert not np.array_equal(sitk.GetArrayFromImage(sitk.ReadImage(str(path))), contents)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("build", [meta, nrrd])
def test_both_byte_orders(tmp_path, build, order):
    voxels = np.arange(-500, 1900, 100, dtype=f"{order}i2").reshape(4, 3, 2)
    path = build(tmp_path / ("x.mha" if build is meta else "x.nrrd"), voxels.tobytes())
    text = path.read_bytes()
    if order == ">":
        text = text.replace(b"MSB = False", b"MSB = True").replace(
            b"endian: little", b"endian: big"
        )
        path.write_bytes(text)
    np.testing.assert_array_equal(load(path).volumes[0].array, voxels)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(sitk.ReadImage(str(path))), voxels)


def test_rare_encodings_go_through_simpleitk(tmp_path):
    voxels = np.arange(24, dtype=np.int16).reshape(4, 3, 2)
    text = " ".join(map(str, voxels.ravel())).encode() + b"\n"
    path = meta(tmp_path / "x.mha", text)
    path.write_bytes(path.read_bytes().replace(b"BinaryData = True", b"BinaryData = False"))
    np.testing.assert_array_equal(load(path).volumes[0].array, voxels)
    place = {"space": "LPS", "space_directions": "(1,0,0) (0,2,0) (0,0,3)"}
    hexed = voxels.astype("<i2").tobytes().hex().encode()
    for encoding, contents in (("ascii", text), ("hex", hexed)):
        path = nrrd(tmp_path / "x.nrrd", contents, encoding, **place)
        np.testing.assert_array_equal(load(path).volumes[0].array, voxels)


@pytest.mark.parametrize("kind", ["vector", "time", "list"])
@pytest.mark.parametrize("place", range(4))
def test_nrrd_components_may_be_any_axis(tmp_path, place, kind):
    channels = np.arange(48, dtype="<i2").reshape(2, 4, 3, 2)  # c, z, y, x
    kinds, sizes = ["domain"] * 3, ["2", "3", "4"]
    kinds.insert(place, kind)
    sizes.insert(place, "2")
    stored = np.moveaxis(channels, 0, 3 - place)
    path = nrrd(
        tmp_path / "x.nrrd", stored.tobytes(), dimension="4",
        sizes=" ".join(sizes), kinds=" ".join(kinds),
    )  # fmt: skip
    np.testing.assert_array_equal([volume.array for volume in load(path).volumes], channels)


def test_a_bare_nrrd_tells_that_its_place_is_unknown(tmp_path):
    scan = load(nrrd(tmp_path / "x.nrrd", spacings="1 2 3"))
    assert {finding.code for finding in scan.findings} == {"W_NO_AFFINE", "W_FEW_SLICES"}
    assert scan.geometry.spacing == (1, 2, 3)


@given(at=st.integers(0, 400), junk=st.binary(min_size=1, max_size=6))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@pytest.mark.parametrize("build", [meta, nrrd])
def test_damaged_headers_are_judged_without_native_code(tmp_path, build, at, junk):
    path = build(tmp_path / "x")
    contents = bytearray(path.read_bytes())
    contents[at % len(contents) : at % len(contents) + len(junk)] = junk
    path.write_bytes(bytes(contents))
    try:
        preview = peek(Source(str(path)), RULES)
    except CaseError:
        return
    assert preview.decoded_bytes <= RULES.max_bytes
