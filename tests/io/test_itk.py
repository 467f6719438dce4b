"""MetaImage and NRRD: our header parser and SimpleITK must see the same file, or it is refused."""

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
from gpuprep.values.geometry import Geometry

RULES = ReadRules()
NONE: set[str] = set()

OUTCOMES: dict[str, str | tuple[int, str, set[str]]] = {
    "nasty_nifti/synthetic/comp.mha": (1, "int16", NONE),
    "nasty_nifti/synthetic/comp.nrrd": (1, "int16", NONE),
    "nasty_nifti/synthetic/n.mha": (1, "float32", {"W_NAN", "W_IDENTITY_AFFINE", "W_FEW_SLICES"}),
    "nasty_nifti/synthetic/n.nrrd": (1, "float32", {"W_NAN", "W_IDENTITY_AFFINE", "W_FEW_SLICES"}),
    "nasty_nifti/synthetic/pair.mhd": "E_UNREADABLE",  # its pair.raw was never there
    "nasty_nifti/synthetic/pairz.mhd": (1, "int16", NONE),
    "nasty_nifti/synthetic/trunc.mha": "E_TRUNCATED",
    "nasty_nifti/synthetic/trunc.nrrd": "E_TRUNCATED",
    "nasty_nifti/synthetic/trunc_u.mha": "E_TRUNCATED",
    "nasty_nifti/synthetic/u.mha": (1, "int16", NONE),
    "nasty_nifti/synthetic/vec2.mha": (2, "int16", {"W_4D"}),
    "nasty_nifti/synthetic/vec2.nrrd": (2, "int16", {"W_4D"}),
    "pyradiomics/brain1_image.nrrd": (1, "int16", NONE),
    "pyradiomics/brain1_label.nrrd": (1, "int32", NONE),
    "pyradiomics/lung1_image.nrrd": (1, "int16", NONE),
    "elastix_lung_ct_mha/3DCT_lung_baseline_small.mha": (1, "int16", NONE),
    "nasty_dicom/ge_pad3024_ct3slice/liver_seg.nrrd": (1, "int16", {"W_FEW_SLICES"}),
}


def itk_geometry(image: sitk.Image) -> Geometry:
    z, y, x = reversed(image.GetSize()[:3])
    return Geometry((z, y, x), image.GetSpacing(), image.GetOrigin(), image.GetDirection())


def load(path: Path, rules: ReadRules = RULES) -> Scan:
    return read(Source(str(path)), rules)


@pytest.mark.parametrize("name", OUTCOMES)
def test_outcome_of_every_file(scans, name):
    expected = OUTCOMES[name]
    if isinstance(expected, str):
        with pytest.raises(InputError) as error:
            load(scans / name)
        assert error.value.code == expected
        return
    scan = load(scans / name)
    codes = {finding.code for finding in scan.findings}
    assert (len(scan.volumes), str(scan.volumes[0].array.dtype), codes) == expected
    image = sitk.ReadImage(str(scans / name))
    assert scan.geometry.distance(itk_geometry(image)) <= 1e-5
    array = sitk.GetArrayFromImage(image)
    array = np.moveaxis(array, -1, 0) if array.ndim == 4 else array[None]
    np.testing.assert_array_equal([volume.array for volume in scan.volumes], array)
    preview = peek(Source(str(scans / name)), RULES)
    assert preview.geometry == scan.geometry
    assert (preview.channels, preview.dtype) == expected[:2]
    assert preview.file_bytes == sum(file.size for file in scan.identity)


def rotated(shape=(4, 5, 6)) -> sitk.Image:
    """A small oblique image with every voxel different."""
    image = sitk.GetImageFromArray(np.arange(np.prod(shape), dtype=np.int16).reshape(shape))
    image.SetSpacing((0.7, 0.8, 2.5))
    image.SetOrigin((-11.5, 20.25, 3))
    turn = sitk.Euler3DTransform((0, 0, 0), 0.3, -0.2, 0.9)
    image.SetDirection(turn.GetMatrix())
    return image


@pytest.mark.parametrize("suffix", ["mha", "mhd", "nrrd", "nhdr"])
@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint32, np.int64, np.float32, np.float64])
def test_what_simpleitk_writes_is_read_the_same(tmp_path, suffix, compressed, dtype):
    image = sitk.GetImageFromArray(sitk.GetArrayFromImage(rotated()).astype(dtype))
    image.CopyInformation(rotated())
    path = tmp_path / f"体积 ü.{suffix}"
    sitk.WriteImage(image, str(path), useCompression=compressed)
    scan = load(path)
    np.testing.assert_array_equal(scan.volumes[0].array, sitk.GetArrayFromImage(image))
    assert scan.geometry.distance(itk_geometry(image)) <= 1e-5
    assert scan.header["stored_dtype"] == np.dtype(dtype).name
    assert len(scan.identity) == (2 if suffix in ("mhd", "nhdr") else 1)


@pytest.mark.parametrize("suffix", ["mha", "nrrd"])
def test_two_and_four_dimensions(tmp_path, suffix):
    flat = sitk.GetImageFromArray(np.arange(20, dtype=np.uint8).reshape(4, 5))
    flat.SetSpacing((0.5, 0.25))
    sitk.WriteImage(flat, str(tmp_path / f"2d.{suffix}"))
    scan = load(tmp_path / f"2d.{suffix}")
    assert scan.geometry.shape == (1, 4, 5)
    assert scan.geometry.spacing == (0.5, 0.25, 1.0)
    unplaced = {"W_NO_AFFINE"} if suffix == "nrrd" else NONE  # ITK names no space for these
    assert {finding.code for finding in scan.findings} == {"W_FEW_SLICES"} | unplaced
    array = np.arange(3 * 4 * 5 * 6, dtype=np.int16).reshape(3, 4, 5, 6)
    image = sitk.GetImageFromArray(array, isVector=False)
    image.SetSpacing((1, 2, 3, 4))
    sitk.WriteImage(image, str(tmp_path / f"4d.{suffix}"))
    scan = load(tmp_path / f"4d.{suffix}")
    assert scan.geometry.spacing == (1, 2, 3)
    np.testing.assert_array_equal([volume.array for volume in scan.volumes], array)


@pytest.mark.parametrize(
    "space", ["right-anterior-superior", "left-anterior-superior", "LPS", "RAS"]
)
def test_nrrd_spaces_become_lps(tmp_path, space):
    header = (
        f"NRRD0004\ntype: short\ndimension: 3\nspace: {space}\nsizes: 2 3 4\nencoding: raw\n"
        "endian: little\nspace directions: (1,0,0) (0,2,0) (0,0,3)\nspace origin: (5,6,7)\n\n"
    )
    path = tmp_path / "x.nrrd"
    path.write_bytes(header.encode() + np.arange(24, dtype="<i2").tobytes())
    assert load(path).geometry.distance(itk_geometry(sitk.ReadImage(str(path)))) <= 1e-9


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
