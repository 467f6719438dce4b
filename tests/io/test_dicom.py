"""DICOM: a series is a volume or it is refused with its millimetres and degrees."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from pydicom.dataset import Dataset
from support.dicom_series import enhanced, write_series

from gpuprep.io.dicom.series import series_of_folder
from gpuprep.io.reader import peek, read
from gpuprep.io.rules import ReadRules
from gpuprep.io.scan import Scan
from gpuprep.values.case import Source
from gpuprep.values.errors import InputError

RULES = ReadRules()


D2N = "nasty_dicom/d2n_failing"


SIX = "nasty_dicom/ct1_6_transfer_syntaxes"


FEW, LOSSY, PADDING = "W_FEW_SLICES", "W_LOSSY", "W_PADDING"


# Folder or file → the error code and what its message must name, or (slices, dtype, finding codes).
OUTCOMES: dict[str, tuple[str, list[str]] | tuple[int, str, set[str]]] = {
    "ge_tilt_varspacing_ct": ("E_SLICE_GAP", ["4.00", "7.00", "1.08 mm", "18.5°", "48.21 mm"]),
    f"{D2N}/gantrytilting/001": ("E_TILT", ["14.0°", "3.63 mm"]),
    f"{D2N}/notavolume/001": ("E_SLICE_DUP", ["4 slices", "1 position"]),
    f"{D2N}/sliceincrement/001": ("E_SLICE_GAP", ["5.00", "10.00 mm"]),
    f"{D2N}/sliceincrement/002": ("E_SLICE_GAP", ["0.75", "1.50 mm", "15.5°"]),
    f"{D2N}/sliceorientation/001": ("E_MIXED_SERIES", ["2 kinds", "0.32 mm", "90.0°"]),
    f"{D2N}/slicecount/001": (2, "uint16", {FEW}),
    SIX: ("E_MIXED_SERIES", ["2 series", "5, 1 files"]),
    f"{SIX}/CT1_J2KI": (1, "int16", {FEW, PADDING, LOSSY}),
    f"{SIX}/CT1_J2KR": (1, "int16", {FEW, PADDING}),
    f"{SIX}/CT1_JLSL": (1, "int16", {FEW, PADDING}),
    f"{SIX}/CT1_JLSN": (1, "int16", {FEW, PADDING, LOSSY}),
    f"{SIX}/CT1_JPLL": (1, "int16", {FEW, PADDING}),
    f"{SIX}/CT1_RLE": (1, "int16", {FEW, PADDING}),
    "nasty_dicom/ge_pad3024_ct3slice": (3, "int16", {FEW, PADDING}),
    "nasty_dicom/lungmask_2slices": (2, "int16", {FEW}),
    "nasty_dicom/philips_enh_mixed_rescale": ("E_MIXED_RESCALE", ["1.27985", "-500", "FIELD_MAP"]),
    "nasty_dicom/philips_enh_mixed_rescale/IM_0027_fMAP.dcm": ("E_MIXED_RESCALE", ["32 slices"]),
    "nasty_dicom/LICENSE.dicom2nifti": ("E_UNREADABLE", ["none of NIfTI, DICOM"]),
    "totalseg/example_ct_dicom": (20, "int16", set()),
}


def load(path: Path, rules: ReadRules = RULES) -> Scan:
    return read(Source(str(path)), rules)


def codes(scan: Scan) -> set[str]:
    return {finding.code for finding in scan.findings}


@pytest.mark.parametrize("name", OUTCOMES)
def test_outcome_of_every_hostile_series(scans, name):
    expected = OUTCOMES[name]
    if isinstance(expected[0], str):
        for action in (peek, read):
            with pytest.raises(InputError) as error:
                action(Source(str(scans / name)), RULES)
            assert error.value.code == expected[0]
            assert all(words in error.value.message for words in expected[1])
            assert str(scans / name) in error.value.path
        return
    scan, preview = load(scans / name), peek(Source(str(scans / name)), RULES)
    array = scan.volumes[0].array
    assert (array.shape[0], str(array.dtype), codes(scan)) == expected
    assert (preview.geometry, preview.channels) == (scan.geometry, 1)
    assert preview.file_bytes == sum(file.size for file in scan.identity)
    assert preview.decoded_bytes == array.nbytes


def test_no_hostile_folder_is_left_out(scans):
    folders = {path.parent for path in (scans / "nasty_dicom").rglob("*") if path.is_file()}
    with_dicom = {
        str(folder.relative_to(scans)) for folder in folders if series_of_folder(folder)[0]
    }
    assert with_dicom <= set(OUTCOMES)


@pytest.mark.parametrize(
    "name", [name for name, outcome in OUTCOMES.items() if isinstance(outcome[0], int)]
)
def test_every_slice_lies_where_dicom_says(scans, name):
    """Index (z, 0, 0) must be the position of the slice whose stored pixels are there."""
    scan = load(scans / name)
    for file in scan.identity:
        header = pydicom.dcmread(file.path, stop_before_pixels=True)
        index = scan.geometry.physical_to_index([float(v) for v in header.ImagePositionPatient])
        np.testing.assert_allclose(index, [np.rint(index[0]), 0, 0], atol=1e-4)
        image = sitk.GetArrayFromImage(sitk.ReadImage(file.path))[0]
        np.testing.assert_array_equal(scan.volumes[0].array[round(index[0])], image)


def test_rescale_is_applied_once_as_pydicom_has_it(scans):
    folder = scans / "nasty_dicom/ge_pad3024_ct3slice"
    scan = load(folder)
    for name in ("01.dcm", "02.dcm", "03.dcm"):
        header = pydicom.dcmread(folder / name)
        index = scan.geometry.physical_to_index([float(v) for v in header.ImagePositionPatient])
        plane = header.pixel_array * float(header.RescaleSlope) + float(header.RescaleIntercept)
        np.testing.assert_array_equal(scan.volumes[0].array[round(index[0])], plane)
    assert scan.header["padding_value"] == -2000 - 1024
    finding = next(item for item in scan.findings if item.code == PADDING)
    assert finding.values["voxels"] == np.count_nonzero(scan.volumes[0].array == -3024)
    assert scan.geometry.spacing[2] == pytest.approx(1.0)  # slices are 1.25 mm thick


def test_series_agree_with_the_series_reader_of_simpleitk(scans):
    folder = scans / "totalseg/example_ct_dicom"
    scan = load(folder)
    image = sitk.ReadImage(sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder)))
    np.testing.assert_array_equal(scan.volumes[0].array, sitk.GetArrayFromImage(image))
    np.testing.assert_allclose(scan.geometry.origin, image.GetOrigin(), atol=1e-9)
    np.testing.assert_allclose(scan.geometry.spacing, image.GetSpacing(), atol=1e-9)
    np.testing.assert_allclose(scan.geometry.direction, image.GetDirection(), atol=1e-9)


def test_header_has_nothing_about_the_patient(scans):
    folder = scans / "nasty_dicom/lungmask_2slices"
    header = pydicom.dcmread(folder / "0.dcm", stop_before_pixels=True)
    scan = load(folder)
    told = str(scan.header) + str(scan.findings)
    private = [header.get(key) for key in ("PatientID", "PatientName", "SeriesInstanceUID")]
    assert not any(str(value) in told for value in private if value)
    assert scan.header["modality"] == ""


def test_the_tilt_and_the_gap_can_be_accepted(scans):
    rules = ReadRules(policy={"E_SLICE_GAP": "warn", "E_TILT": "warn"})
    scan = load(scans / "ge_tilt_varspacing_ct", rules)
    assert codes(scan) >= {"E_SLICE_GAP", "E_TILT"}
    tilt = next(item for item in scan.findings if item.code == "E_TILT")
    assert tilt.values["degrees"] == pytest.approx(18.5, abs=0.05)


def test_the_largest_group_of_a_mixed_series_is_kept_on_request(scans):
    path = scans / "nasty_dicom/philips_enh_mixed_rescale/IM_0027_fMAP.dcm"
    scan = load(path, ReadRules(policy={"E_MIXED_SERIES": "fix"}))
    assert scan.geometry.shape[0] == 32
    assert "E_MIXED_RESCALE" not in codes(scan)
    header = pydicom.dcmread(path)
    group = header.PerFrameFunctionalGroupsSequence[0].PixelValueTransformationSequence[0]
    expected = header.pixel_array[:32] * float(group.RescaleSlope) + float(group.RescaleIntercept)
    np.testing.assert_allclose(scan.volumes[0].array, expected, rtol=1e-6)


def starts(scan: Scan) -> list[float]:
    return scan.volumes[0].array[:, 0, 0].tolist()


def test_slices_are_sorted_by_position_and_spaced_by_it(tmp_path):
    scan = load(write_series(tmp_path / "s", [4, 2, 0, -2, -4, -6]))
    assert starts(scan) == [500, 400, 300, 200, 100, 0]
    assert scan.geometry.spacing == (0.25, 0.5, 2.0)
    assert scan.geometry.origin == (1, 2, -6)
    assert codes(scan) == set()


def test_files_may_be_named_relative_to_the_folder_or_absolute(tmp_path):
    folder = write_series(tmp_path / "s", [0, 2, 4, 6, 8])
    names = tuple(sorted(path.name for path in folder.iterdir()))
    relative = read(Source(str(folder), names), RULES)
    absolute = read(Source(str(folder), tuple(str(folder / name) for name in names)), RULES)
    assert starts(relative) == starts(absolute) == [0, 100, 200, 300, 400]


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        ({"RescaleSlope": lambda n: n + 1, "RescaleIntercept": 0}, "E_MIXED_RESCALE", ["6 diff"]),
        (
            {"Rows": lambda n: 4 if n else 2, "PixelData": bytes(40)},
            "E_MIXED_SERIES",
            ["5×4", "5×2"],
        ),
        (
            {"ImageType": lambda n: ["ORIGINAL", "PRIMARY", "LOCALIZER" if n == 2 else "AXIAL"]},
            "E_MIXED_SERIES",
            ["1 LOCALIZER", "5 AXIAL"],
        ),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "M", "MOSAIC"]}, "E_MOSAIC", ["5×4"]),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "E_PIXEL_TYPE", ["PALETTE COLOR"]),
        (
            {"BitsAllocated": 12, "BitsStored": 12, "PixelData": bytes(30)},
            "E_PIXEL_TYPE",
            ["12 bits up to bit 15 of 12"],
        ),
        ({"ModalityLUTSequence": [Dataset()]}, "E_UNREADABLE", ["LUTDescriptor"]),
        ({"RescaleSlope": 0, "RescaleIntercept": -1024}, "E_UNREADABLE", ["slope is 0"]),
        ({"ImagePositionPatient": None}, "E_NO_GEOMETRY", ["6 of 6 slices have no position"]),
        ({"ImageOrientationPatient": [1, 0, 0, 1, 0, 0]}, "E_NO_GEOMETRY", []),
        ({"ImageOrientationPatient": [1, 0, 0, 0.2, 0.98, 0]}, "E_SHEAR", ["°"]),
        ({"PixelSpacing": [0.5, 0]}, "E_NO_GEOMETRY", []),
        ({"ImagePositionPatient": lambda n: [0, 0, n // 2]}, "E_MIXED_SERIES", ["2 volumes"]),
        ({"ImagePositionPatient": lambda n: [0, 0, min(n, 4)]}, "E_SLICE_DUP", ["only 5"]),
        ({"ImagePositionPatient": lambda n: [0, n, 10 * n]}, "E_TILT", ["5.7°", "5.00 mm"]),
        ({"Rows": 60_000, "Columns": 60_000}, "E_LIMIT", []),
        ({"Rows": 400, "Columns": 400}, "E_TRUNCATED", ["320,000 bytes"]),
    ],
)
def test_every_refusal_names_its_numbers(tmp_path, change, code, words):
    folder = write_series(tmp_path / "s", [0, 1, 2, 3, 4, 5], **change)
    with pytest.raises(InputError) as error:
        peek(Source(str(folder)), RULES)
    assert error.value.code == code
    assert all(word in error.value.message for word in words)


def test_each_slice_gets_its_own_line_on_request(tmp_path):
    folder = write_series(
        tmp_path / "s", [0, 1, 2, 3, 4], RescaleSlope=lambda n: n + 1, RescaleIntercept=-7
    )
    scan = load(folder, ReadRules(policy={"E_MIXED_RESCALE": "fix"}))
    assert starts(scan) == [100 * n * (n + 1) - 7 for n in range(5)]
    assert codes(scan) == {"E_MIXED_RESCALE"}


def test_of_different_slices_at_one_position_the_first_is_kept_under_warn_alone(tmp_path):
    folder = write_series(tmp_path / "s", [0, 1, 2, 3, 4, 4])
    scan = load(folder, ReadRules(policy={"E_SLICE_DUP": "warn"}))
    assert starts(scan) == [0, 100, 200, 300, 400]
    with pytest.raises(InputError, match=r"E_SLICE_DUP.*with different pixels"):
        load(folder, ReadRules(policy={"E_SLICE_DUP": "fix"}))


@pytest.mark.parametrize(
    ("line", "dtype"),
    [((1, -1024), "int16"), ((2, 0), "int32"), ((0.5, 1), "float32"), ((None, None), "uint16")],
)
def test_rescaled_dtypes(tmp_path, line, dtype):
    tags = {"RescaleSlope": line[0], "RescaleIntercept": line[1]} if line[0] else {}
    top = np.full(20, 30_000, "<u2").tobytes()
    folder = write_series(tmp_path / "s", [0, 1, 2, 3, 4], PixelData=top, **tags)
    array = load(folder).volumes[0].array
    slope, intercept = (line[0] or 1), (line[1] or 0)
    assert str(array.dtype) == dtype
    assert (array == 30_000 * slope + intercept).all()


def test_enhanced_frames_are_sorted_and_rescaled(tmp_path):
    path = enhanced(tmp_path / "e.dcm", [4, 2, 0, 8, 6], [(2, -10)] * 5)
    scan = load(path)
    assert starts(scan) == [100 * n * 2 - 10 for n in (2, 1, 0, 4, 3)]
    assert scan.geometry.spacing == (0.25, 0.5, 2.0)
    assert scan.geometry.origin == (1, 2, 0)
    shared = load(enhanced(tmp_path / "f.dcm", [0, 2, 4, 6, 8], None, (2, -10)))
    assert starts(shared) == [200 * n - 10 for n in range(5)]


def test_enhanced_frames_with_lines_of_their_own(tmp_path):
    lines = [(2, -10), (1, 0), (0.5, 3), (4, 1), (3, -500)]
    path = enhanced(tmp_path / "e.dcm", [0, 2, 4, 6, 8], lines)
    with pytest.raises(InputError, match="E_MIXED_RESCALE"):
        load(path)
    scan = load(path, ReadRules(policy={"E_MIXED_RESCALE": "fix"}))
    assert starts(scan) == [100 * n * slope + inter for n, (slope, inter) in enumerate(lines)]
