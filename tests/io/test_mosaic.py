"""Siemens mosaics taken apart: geometry and voxels as nibabel and dcm2niix have them, or refused."""

from __future__ import annotations

import gzip
import io
import warnings
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.uid import DeflatedExplicitVRLittleEndian, RLELossless
from support.dicom_series import enhanced
from support.mosaics import (
    COLUMNS,
    ORIENTATIONS,
    ROWS,
    SLICES,
    STEP,
    csa,
    mosaic,
    voxels,
    write_mosaics,
)

from gpuprep.io.dicom.csa import read_csa
from gpuprep.io.reader import peek, read
from gpuprep.io.rules import ReadRules
from gpuprep.io.scan import Scan
from gpuprep.values.case import Source
from gpuprep.values.errors import InputError

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from nibabel.nicom import csareader, dicomwrappers

GOLDENS = np.load(Path(__file__).parents[1] / "goldens/dcm2niix.npz")
PUBLIC = Path(nibabel.__file__).parent / "nicom/tests/data"
FLIP = np.diag([-1.0, -1.0, 1.0, 1.0])


def load(path: Path, several: str = "refuse", **policy: Any) -> Scan:
    return read(Source(str(path)), ReadRules(several_volumes=several, policy=policy))


def public(name: str) -> bytes:
    return gzip.decompress((PUBLIC / f"{name}.dcm.gz").read_bytes())


def indices_of(scan: Scan, affine: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Where the voxels of a NIfTI grid lie in a scan: ``3, x, y, z``, every one of them at a voxel."""
    way = np.linalg.inv(scan.geometry.affine) @ FLIP @ affine
    grid = np.indices(shape).reshape(3, -1)
    found = way[:3, :3] @ grid + way[:3, 3:]
    assert np.abs(found - np.rint(found)).max() < 1e-3  # cosines of six digits are a little short
    return np.rint(found).astype(int).reshape(3, *shape)


def assert_same(scan: Scan, affine: np.ndarray, expected: np.ndarray) -> None:
    """Every volume ``x, y, z, c`` lies where it lies in the scan, and holds the same."""
    x, y, z = indices_of(scan, affine, expected.shape[:3])
    for number, volume in enumerate(scan.volumes):
        np.testing.assert_array_equal(volume.array[z, y, x], expected[..., number])


@pytest.mark.parametrize("along", [1, -1])
@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_a_series_of_mosaics_is_what_dcm2niix_makes_of_it(tmp_path, orientation, along):
    key = f"{orientation}{along:+d}"
    folder = write_mosaics(tmp_path / "s", 2, orientation=orientation, along=along)
    scan = load(folder, "channels")
    assert scan.header["volumes"] == ["t0", "t1"]
    assert scan.geometry.shape == (SLICES, ROWS, COLUMNS)
    assert_same(scan, GOLDENS[f"{key} affine"], GOLDENS[f"{key} voxels"])


@pytest.mark.parametrize("along", [1, -1])
@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_one_mosaic_is_what_nibabel_makes_of_it(tmp_path, orientation, along):
    one = mosaic(orientation, along=along, count_tag=False)
    one.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    other = dicomwrappers.wrapper_from_data(pydicom.dcmread(tmp_path / "a.dcm"))
    assert other.is_mosaic
    scan = load(tmp_path / "a.dcm")
    order = [1, 0, 2]  # nibabel's first index runs along columns
    affine = FLIP @ other.affine[:, [*order, 3]]  # and its space is DICOM's
    assert_same(scan, affine, other.get_data().transpose(order)[..., None])
    assert scan.geometry.spacing[2] == pytest.approx(STEP)


@pytest.mark.parametrize("along", [1, -1])
def test_the_older_form_of_the_header_says_the_same(tmp_path, along):
    """Lengths count from the items of the first entry, as SPM reads them; nibabel fails on these."""
    scans = []
    for newer in (True, False):
        one = mosaic("oblique", along=along, newer=newer, count_tag=False)
        one.save_as(tmp_path / f"{newer}.dcm", enforce_file_format=True)
        scans.append(load(tmp_path / f"{newer}.dcm"))
    assert scans[0].geometry == scans[1].geometry
    np.testing.assert_array_equal(scans[0].volumes[0].array, scans[1].volumes[0].array)


@pytest.mark.parametrize("name", ["siemens_dwi_0", "siemens_dwi_1000"])
def test_a_scanner_s_mosaic_lies_where_nibabel_and_dcm2niix_have_it(tmp_path, name):
    """Its pixels were blanked before it was published; here they are drawn."""
    one = pydicom.dcmread(io.BytesIO(public(name)))
    drawn = np.random.default_rng(1).integers(0, 4000, (one.Rows, one.Columns), np.uint16)
    one.PixelData = drawn.tobytes()
    one.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    scan = load(tmp_path / "a.dcm")
    other = dicomwrappers.wrapper_from_data(one)
    affine = FLIP @ other.affine[:, [1, 0, 2, 3]]
    assert_same(scan, affine, other.get_data().transpose(1, 0, 2)[..., None])
    shape = (128, 128, 48)
    x, y, z = indices_of(scan, GOLDENS[f"{name} affine"], shape)
    assert {tuple(np.unique(each)[[0, -1]]) for each in (x, y)} == {(0, 127)}
    assert (z.min(), z.max()) == (0, 47)


def test_diffusion_of_a_scanner_is_told_apart_by_its_private_b_values(tmp_path):
    for name in ("siemens_dwi_1000", "siemens_dwi_0"):
        (tmp_path / f"{name}.dcm").write_bytes(public(name))
    with pytest.raises(InputError, match=r"E_MIXED_SERIES.*DiffusionBValue 1000") as refused:
        load(tmp_path)
    assert "takes apart its volumes: b0, b1000" in refused.value.advice
    assert load(tmp_path, "channels").header["volumes"] == ["b0", "b1000"]


def test_a_time_series_of_mosaics_is_no_volume(tmp_path):
    folder = write_mosaics(tmp_path / "s", 3)
    with pytest.raises(
        InputError, match=r"E_MIXED_SERIES: 3 slices at each of 7 positions"
    ) as refused:
        load(folder)
    assert "takes apart its volumes: t0, t1, t2." in refused.value.advice
    scan = load(folder, "first")
    np.testing.assert_array_equal(scan.volumes[0].array, voxels(0))
    assert [
        (item.code, item.values["volumes"]) for item in scan.findings if item.code == "W_4D"
    ] == [("W_4D", ["t0", "t1", "t2"])]


def test_mosaics_that_moved_are_volumes_of_their_own_and_never_one(tmp_path):
    """By half a step: their slices would lie evenly one between the other."""
    folder = write_mosaics(tmp_path / "s", 2)
    moved = pydicom.dcmread(folder / "1.dcm")
    moved.ImagePositionPatient = [-7.5, 11.25, 20 + STEP / 2]
    moved.save_as(folder / "1.dcm")
    with pytest.raises(InputError, match=r"E_MIXED_SERIES: the series mixes 2 kinds of slices"):
        load(folder)
    with pytest.raises(InputError, match=r"E_MIXED_SERIES: volumes t0 and t1 .* different grids"):
        load(folder, "channels")
    for number in range(2):
        source = Source(str(folder), volume=f"t{number}")
        scan = read(source, ReadRules(several_volumes="cases"))
        np.testing.assert_array_equal(scan.volumes[0].array, voxels(number))
        assert scan.geometry.origin[2] == 20 + number * STEP / 2


def test_a_second_copy_of_a_mosaic_is_dropped_as_copies_of_slices_are(tmp_path):
    folder = write_mosaics(tmp_path / "s", 1)
    (folder / "copy.dcm").write_bytes((folder / "0.dcm").read_bytes())
    with pytest.raises(InputError, match=r"E_SLICE_DUP.*copies of one another"):
        load(folder)
    np.testing.assert_array_equal(load(folder, E_SLICE_DUP="fix").volumes[0].array, voxels(0))


@pytest.mark.parametrize("syntax", [RLELossless, DeflatedExplicitVRLittleEndian])
def test_a_compressed_mosaic_is_taken_apart_after_it_is_decoded(tmp_path, syntax):
    one = mosaic("oblique", RescaleSlope=2, RescaleIntercept=-3)
    if syntax == DeflatedExplicitVRLittleEndian:
        one.file_meta.TransferSyntaxUID = syntax
    else:
        one.compress(syntax)
    one.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    expected = voxels().astype(int) * 2 - 3
    np.testing.assert_array_equal(load(tmp_path / "a.dcm").volumes[0].array, expected)


def test_frames_that_were_taken_apart_before_are_what_they_are(tmp_path):
    """Newer scanners leave the word in the image type of an enhanced file."""
    types = ["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"]
    path = enhanced(tmp_path / "e.dcm", [0, 2, 4, 6, 8], top={"ImageType": types})
    assert load(path).volumes[0].array[:, 0, 0].tolist() == [0, 100, 200, 300, 400]


def test_headers_alone_promise_what_is_read(tmp_path):
    folder = write_mosaics(tmp_path / "s", 3)
    rules = ReadRules(several_volumes="channels")
    told, scan = peek(Source(str(folder)), rules), read(Source(str(folder)), rules)
    assert (told.channels, told.geometry, told.findings) == (3, scan.geometry, scan.findings)
    assert told.decoded_bytes == sum(volume.array.nbytes for volume in scan.volumes)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"entries": {}}, "to which side its slices go"),
        ({"entries": {}, "count_tag": False}, "how many slices it holds and to which side"),
        ({"SpacingBetweenSlices": None}, "the spacing between slices"),
        ({"entries": {"SliceNormalVector": ["1", "0", "0"]}}, "not along their own normal"),
        ({"entries": {"SliceNormalVector": ["0", "0", "nan"]}}, "to which side"),
        ({"entries": {"SliceNormalVector": ["0", "x", "1"]}}, "to which side"),
        ({"Rows": 13}, "cannot be 3×3 tiles of one size"),
    ],
)
def test_a_mosaic_that_its_header_does_not_take_apart_is_refused(tmp_path, change, words):
    tags = {key: value for key, value in change.items() if key in ("entries", "count_tag")}
    one = mosaic(**tags)
    for key in change.keys() - tags.keys():
        if change[key] is None:
            delattr(one, key)
        else:
            setattr(one, key, change[key])
            one.PixelData = bytes(2 * one.Rows * one.Columns)
    one.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    with pytest.raises(InputError, match=f"E_MOSAIC.*{words}"):
        load(tmp_path / "a.dcm")
    with pytest.raises(InputError, match="E_MOSAIC"):
        peek(Source(str(tmp_path / "a.dcm")), ReadRules())


def test_two_numbers_of_slices_are_one_too_many(tmp_path):
    """The tag that was read first would take 7 tiles for the corners of 4."""
    told = {"NumberOfImagesInMosaic": ["4"], "SliceNormalVector": ["0", "0", "1"]}
    mosaic(entries=told).save_as(tmp_path / "a.dcm", enforce_file_format=True)
    with pytest.raises(InputError, match=r"E_UNREADABLE.*it is 4, and \(0019,100A\) says 7"):
        load(tmp_path / "a.dcm")


@pytest.mark.parametrize("file", ["csa2_b0.bin", "csa2_b1000.bin", "csa_str_valid.bin"])
def test_csa_headers_are_read_as_nibabel_reads_them(file):
    held = (PUBLIC / file).read_bytes()
    tags = csareader.read(held)["tags"]
    found = read_csa(held, tags.keys())
    assert found.keys() == tags.keys()
    for name, texts in found.items():
        other = [each for each in tags[name]["items"] if each != ""]
        assert len(texts) == len(other)
        for text, value in zip(texts, other, strict=True):
            assert text == value if isinstance(value, str) else float(text) == value


@given(st.binary(max_size=600), st.booleans(), st.integers(0, 400))
def test_no_bytes_break_the_reader_of_csa_headers(noise, newer, at):
    """Cut, or with bytes exchanged, a header gives less, or other texts; never an error."""
    held = csa({"SliceNormalVector": ["0", "0", "1"]}, newer=newer)
    for damaged in (noise, held[:at], held[:at] + noise[:8] + held[at + 8 :]):
        found = read_csa(damaged, ["SliceNormalVector"])
        assert set(found) <= {"SliceNormalVector"}


def test_more_slices_than_an_axis_may_have_are_refused_before_they_are_made(tmp_path: Path) -> None:
    told = {"NumberOfImagesInMosaic": ["90000"], "SliceNormalVector": ["0", "0", "1"]}
    one = mosaic(entries=told, count_tag=False)
    one.Rows = one.Columns = 300
    one.PixelData = bytes(2 * 300 * 300)
    one.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    with pytest.raises(InputError, match="90,000 slices") as refused:
        peek(Source(str(tmp_path / "a.dcm")), ReadRules())
    assert refused.value.code == "E_LIMIT"
