"""``input.reader: itk``: the voxels and the grid of the checked reader, or a refusal that says why."""

from __future__ import annotations

import gzip
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
from support.dicom_series import dataset, enhanced, write_series
from support.scans import assert_equal_scans

from gpuprep.config.input import Input
from gpuprep.config.model import Config
from gpuprep.io.dicom.series import series_in
from gpuprep.io.reader import peek, read
from gpuprep.io.rules import ReadRules
from gpuprep.io.sandbox.parent import Sandbox
from gpuprep.io.scan import Scan
from gpuprep.values.case import Source
from gpuprep.values.errors import InputError
from gpuprep.values.findings import CODES

ITK = ReadRules(reader="itk")
TAKEN_BY_THE_CHECKED_READER = ReadRules(reader="itk", policy={"E_ITK": "fix"})
VOLUMES = (".nii", ".nii.gz", ".mha", ".mhd", ".nrrd", ".nhdr", ".hdr")


def load(path: Path, rules: ReadRules = ITK) -> Scan:
    return read(Source(str(path)), rules)


def sources(folder: Path) -> Iterator[Source]:
    """Every volume and every series below a folder."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    volumes = [path for path in files if path.name.lower().endswith(VOLUMES)]
    yield from (Source(str(path)) for path in volumes)
    for series in series_in(str(path) for path in files if path not in volumes):
        yield Source(series.folder, tuple(series.files))


def tried(source: Source, rules: ReadRules) -> Scan | InputError:
    try:
        return read(source, rules)
    except InputError as error:
        return error


@pytest.mark.parametrize(
    "policy", ["error", *(pytest.param(each, marks=pytest.mark.slow) for each in ("warn", "fix"))]
)
def test_both_readers_give_equal_voxels_on_every_accepted_file_of_the_test_data(scans, policy):
    taken = {code: policy for code, row in CODES.items() if row.takes(policy) and code[0] == "E"}
    taken.pop("E_ITK", None)
    outcomes: Counter[str] = Counter()
    for source in sources(scans):
        checked = tried(source, ReadRules(policy=taken))
        seen = tried(source, ReadRules(reader="itk", policy=taken))
        if isinstance(checked, InputError):  # ITK lets nothing in
            assert isinstance(seen, InputError), source
            assert seen.code in (checked.code, "E_ITK")
            outcomes["refused"] += 1
        elif isinstance(seen, InputError):
            assert seen.code == "E_ITK", seen
            outcomes[seen.message.partition(", but ")[2][:24]] += 1
            repaired = read(source, ReadRules(reader="itk", policy={**taken, "E_ITK": "fix"}))
            assert repaired.findings[0].severity == "fix"
            assert "reader" not in repaired.header
            assert_equal_scans(repaired, checked)
        else:
            outcomes["equal"] += 1
            assert_equal_scans(seen, checked)
            assert seen.header["reader"].startswith("SimpleITK 2.")
            assert seen.identity == checked.identity
            assert [f.code for f in seen.findings] == [f.code for f in checked.findings]
    assert outcomes["equal"] >= 180, outcomes
    assert {"it reads no NIfTI-2", "it dies of files of five"} <= set(outcomes)


def nifti(path: Path, array: np.ndarray, line: tuple[float, float] | None = None) -> Path:
    image = nibabel.Nifti1Image(array, np.diag([-1.0, -2.0, 3.0, 1.0]))
    if line:
        image.header.set_slope_inter(*line)
    nibabel.save(image, path)
    return path


@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2", "u4", "i4", "i8", "f4", "f8"])
@pytest.mark.parametrize("line", [None, (2, -1024), (0.5, 3)])
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".hdr"])
def test_rescaled_voxels_have_the_values_and_the_dtype_of_the_checked_reader(
    tmp_path, dtype, line, suffix
):
    array = np.arange(4 * 5 * 6).reshape(4, 5, 6).astype(dtype)
    kind = nibabel.Nifti1Pair if suffix == ".hdr" else nibabel.Nifti1Image
    image = kind(array, np.diag([-1.0, -2.0, 3.0, 1.0]), dtype=array.dtype)
    if line:
        image.header.set_slope_inter(*line)
    nibabel.save(image, tmp_path / f"a{suffix}")
    path = tmp_path / f"a{suffix}"
    if line and dtype in ("u4", "i4", "i8"):
        with pytest.raises(InputError, match=r"E_ITK.*to float32 before it applies the slope"):
            peek(Source(str(path)), ITK)
        return
    assert_equal_scans(load(path), load(path, ReadRules()))


def test_volumes_of_a_row_are_channels_and_one_may_be_named(tmp_path):
    array = np.arange(4 * 5 * 6 * 3, dtype=np.int16).reshape(4, 5, 6, 3)
    path = nifti(tmp_path / "a.nii.gz", array)
    assert_equal_scans(load(path), load(path, ReadRules()))
    source = Source(str(path), volume="t2")
    one = read(source, ITK)
    assert_equal_scans(one, read(source, ReadRules()))
    np.testing.assert_array_equal(one.volumes[0].array, array[..., 2].T)


@pytest.mark.parametrize("name", ["a.mha", "a.mhd", "a.nrrd", "a.nhdr"])
@pytest.mark.parametrize("packed", [False, True])
def test_text_formats_are_equal_and_their_sums_are_compared(tmp_path, name, packed):
    image = sitk.GetImageFromArray(np.random.default_rng(0).integers(-9, 9, (6, 7, 8), np.int16))
    image.SetSpacing((1, 2, 3))
    sitk.WriteImage(image, tmp_path / name, useCompression=packed)
    assert_equal_scans(load(tmp_path / name), load(tmp_path / name, ReadRules()))
    voxels = max(tmp_path.iterdir(), key=lambda path: path.stat().st_size)
    voxels.write_bytes(voxels.read_bytes()[:-6])
    with pytest.raises(InputError, match=r"E_TRUNCATED|E_UNREADABLE"):
        load(tmp_path / name)


def test_what_breaks_off_never_reaches_itk(tmp_path):
    """Which gives zeros for what is not there."""
    path = nifti(tmp_path / "a.nii", np.ones((4, 5, 6), np.int16))
    whole = path.read_bytes()
    path.write_bytes(whole[:-10])
    with pytest.raises(InputError, match=r"E_TRUNCATED"):
        load(path)
    packed = bytearray(gzip.compress(whole))
    packed[-6] ^= 1
    (tmp_path / "b.nii.gz").write_bytes(packed)
    with pytest.raises(InputError, match=r"E_UNREADABLE.*compressed stream is damaged"):
        load(tmp_path / "b.nii.gz")


def test_what_is_not_finite_would_be_zero(tmp_path):
    array = np.ones((4, 5, 6), np.float32)
    array[1, 2, 3], array[0, 0, 0] = np.nan, np.inf
    path = nifti(tmp_path / "a.nii.gz", array)
    with pytest.raises(InputError, match=r"E_ITK.*makes 0 of the 2 voxels") as error:
        load(path)
    assert "E_ITK: fix" in error.value.advice
    scan = load(path, TAKEN_BY_THE_CHECKED_READER)
    assert [f.code for f in scan.findings] == ["E_ITK", "W_NAN"]
    np.testing.assert_array_equal(scan.volumes[0].array, array.T)


def test_where_itk_takes_another_affine_it_is_told_in_mm(tmp_path):
    image = nibabel.Nifti1Image(np.ones((4, 5, 6), np.int16), np.diag([-1.0, -2.0, 3.0, 1.0]))
    image.set_sform(np.diag([-1.0, -2.0, 3.0, 1.0]), 2)
    moved = np.diag([-1.0, -2.0, 3.0, 1.0])
    moved[:3, 3] = [7, 0, 0]
    image.set_qform(moved, 1)
    nibabel.save(image, tmp_path / "a.nii")
    theirs = sitk.ReadImage(str(tmp_path / "a.nii")).GetOrigin()
    ours = load(tmp_path / "a.nii", ReadRules()).geometry.origin
    if np.allclose(theirs, ours):
        assert load(tmp_path / "a.nii").geometry.origin == ours
        return
    with pytest.raises(InputError, match=r"E_ITK.*places voxels up to 7 mm elsewhere"):
        load(tmp_path / "a.nii")


@pytest.mark.parametrize("line", [(1, 0), (1, -1024), (-2, 7), (0.25, -3), (70_000, 1)])
@pytest.mark.parametrize(("signed", "bits"), [(0, 16), (1, 16), (0, 12), (1, 12)])
def test_slices_are_equal_whatever_their_line(tmp_path, line, signed, bits):
    low = -(1 << (bits - 1)) * signed
    pixels = np.linspace(low, low + (1 << bits) - 1, 20).round()
    folder = write_series(
        tmp_path / "s", [0, 2, 4, 6, 8], PixelRepresentation=signed, BitsStored=bits,
        HighBit=bits - 1, RescaleSlope=line[0], RescaleIntercept=line[1],
        PixelData=pixels.astype("<i2" if signed else "<u2").tobytes(),
    )  # fmt: skip
    assert_equal_scans(load(folder), load(folder, ReadRules()))


REFUSED = {
    "inverts MONOCHROME1": {"PhotometricInterpretation": "MONOCHROME1"},
    "12 bits up to bit 15 of 16 wrongly": {"BitsStored": 12, "HighBit": 15},
}


@pytest.mark.parametrize("reason", REFUSED)
def test_what_itk_reads_otherwise_is_refused_by_its_header(tmp_path, reason):
    dataset(**REFUSED[reason], PixelData=bytes(40)).save_as(
        tmp_path / "a.dcm", enforce_file_format=True
    )
    for ask in (peek, read):
        with pytest.raises(InputError, match=f"E_ITK.*{reason}"):
            ask(Source(str(tmp_path / "a.dcm")), ITK)
    checked = load(tmp_path / "a.dcm", ReadRules())
    assert_equal_scans(load(tmp_path / "a.dcm", TAKEN_BY_THE_CHECKED_READER), checked)


def test_frames_with_lines_of_their_own_are_refused(tmp_path):
    path = enhanced(tmp_path / "e.dcm", [0, 2, 4, 6, 8], [(3, 1)] * 5, (2, -7))
    with pytest.raises(InputError, match=r"E_ITK.*this one has several"):
        load(path)


def test_undeclared_bits_are_told_all_the_same(tmp_path):
    stored = np.full(20, 5000, "<u2").tobytes()
    folder = write_series(
        tmp_path / "s", [0, 1, 2, 3, 4], BitsStored=12, HighBit=11, PixelData=stored
    )
    with pytest.raises(InputError, match=r"E_PIXEL_TYPE"):
        load(folder)
    warn = {"E_PIXEL_TYPE": "warn"}
    assert_equal_scans(
        load(folder, ReadRules(reader="itk", policy=warn)), load(folder, ReadRules(policy=warn))
    )


def test_the_sandbox_reads_so_too(tmp_path):
    path = nifti(tmp_path / "a.nii.gz", np.arange(120, dtype=np.int16).reshape(4, 5, 6))
    with Sandbox(ITK) as sandbox:
        assert_equal_scans(sandbox.read(Source(str(path))), load(path, ReadRules()))


def test_the_reader_is_in_the_digest_only_where_it_is_asked_for():
    asked = Config(input=Input(reader="itk"))
    assert asked.digest != Config().digest == Config(input=Input(reader="checked")).digest
    assert ReadRules.of(asked).reader == "itk"
