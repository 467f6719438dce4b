"""What the audit says of slices that make no even volume, and what ``fix`` makes of them in a record."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from pydicom.dataset import Dataset
from pydicom.uid import MediaStorageDirectoryStorage, MRImageStorage, RLELossless
from support.dicom_series import dataset, enhanced, write_series

from gpuprep.config.model import Config
from gpuprep.io.reader import peek, read
from gpuprep.io.rules import ReadRules
from gpuprep.running.coordinator import run
from gpuprep.values.case import Source
from gpuprep.values.errors import InputError
from gpuprep.values.findings import Finding

pytestmark = pytest.mark.usefixtures("reads_here")


def finding(folder: Path, code: str) -> Finding:
    """The finding of a code, under a policy that goes on."""
    rules = ReadRules(policy={code: "warn"})
    return next(item for item in peek(Source(str(folder)), rules).findings if item.code == code)


@pytest.mark.parametrize(
    ("heights", "words", "missing"),
    [
        (
            [0, 2, 4, 8, 10, 12],
            "gaps 2.00, 4.00 mm (4×, 1×); 1 missing between (1.00, 2.00, 4.00) mm and (1.00, 2.00, 8.00) mm",
            [1],
        ),
        (
            [0, 2, 8, 10, 12, 14, 18, 20],
            "2 missing between (1.00, 2.00, 2.00) mm and (1.00, 2.00, 8.00) mm; 1 missing between "
            "(1.00, 2.00, 14.00) mm and (1.00, 2.00, 18.00) mm",
            [2, 1],
        ),
        (
            [0, 2, 4, 6, 9, 11],
            "another gap between (1.00, 2.00, 6.00) mm and (1.00, 2.00, 9.00) mm",
            [0],
        ),
    ],
)
def test_a_gap_is_told_with_its_place(tmp_path, heights, words, missing):
    told = finding(write_series(tmp_path / "s", heights), "E_SLICE_GAP")
    assert words in told.message
    assert [place["missing"] for place in told.values["places"]] == missing
    first = told.values["places"][0]
    assert first["after_mm"][2] in heights
    assert first["before_mm"][2] in heights


def test_many_gaps_are_counted_and_few_are_told(tmp_path):
    heights = np.cumsum([0, 1, 1, 1, 1, 1, 1, 1, 1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1]).tolist()
    told = finding(write_series(tmp_path / "s", heights), "E_SLICE_GAP")
    assert told.message.count("2 missing between") == 4
    assert told.message.endswith("; and 1 more places")
    assert len(told.values["places"]) == 5


def test_gaps_that_are_nearly_alike_may_not_add_up(tmp_path):
    heights = np.cumsum([0.0] + [2.0] * 30 + [2.019] * 30)
    told = finding(write_series(tmp_path / "s", heights.round(3).tolist()), "E_SLICE_GAP")
    assert told.values["largest_mm"] == pytest.approx(30 * 0.019 / 2, abs=1e-6)


@pytest.mark.parametrize("copies", [True, False])
def test_repeated_slices_are_told_with_place_and_likeness(tmp_path, copies):
    heights = [0.0, 2.0, 2.0, 4.0, 6.0, 8.0]
    tags: dict[str, Any] = {"PixelData": bytes(40)} if copies else {}
    told = finding(write_series(tmp_path / "s", heights, **tags), "E_SLICE_DUP")
    likeness = "copies of one another" if copies else "with different pixels"
    assert told.message == (f"6 slices at only 5 positions: 2 at (1.00, 2.00, 2.00) mm, {likeness}")
    assert told.values["repeated_mm"] == [[1, 2, 2]]


def test_unequal_numbers_of_repetitions_are_no_volumes(tmp_path):
    """Three slices at one place and one at the other are not two volumes of two."""
    folder = write_series(tmp_path / "s", [0, 0, 0, 2])
    with pytest.raises(InputError, match=r"E_SLICE_DUP.*3 at \(1.00, 2.00, 0.00\)"):
        peek(Source(str(folder)), ReadRules())


def record_of(folder: Path, output: Path, policy: dict[str, str]) -> dict[str, Any]:
    """The record of the one case that a folder of slices makes."""
    config = Config.model_validate({"input": {"policy": policy}, "image": {"orientation": "keep"}})
    report = run(folder, output, config=config, scheduler="serial")
    assert not report.failures
    (record,) = (output / "cases").glob("*/record.json")
    return json.loads(record.read_text())


@pytest.mark.parametrize(
    ("code", "heights", "tags", "slices"),
    [
        ("E_SLICE_DUP", [0, 2, 2, 4, 6, 8], {"PixelData": bytes(40)}, 5),
        ("E_SLICE_GAP", [0, 2, 4, 8, 10, 12], {}, 7),
        ("E_MIXED_SERIES", [0, 2, 4, 6, 8, 10], {"Rows": lambda n: 4 if n else 2, "PixelData": bytes(40)}, 5),
        ("E_MIXED_RESCALE", [0, 2, 4, 6, 8], {"RescaleSlope": lambda n: n + 1, "RescaleIntercept": 0}, 5),
        ("E_TILT", [0, 2, 4, 6, 8], {"ImagePositionPatient": lambda n: [0, n / 4, 2 * n]}, 5),
    ],
)  # fmt: skip
def test_a_repair_is_in_the_record(tmp_path, code, heights, tags, slices):
    folder = write_series(tmp_path / "in", heights, **tags)
    record = record_of(folder, tmp_path / "out", {code: "fix"})
    (told,) = (item for item in record["findings"] if item["code"] == code)
    assert told["severity"] == "fix"
    assert told["values"]
    assert record["geometry"]["output"]["shape"][0] == slices


def test_frames_of_an_enhanced_file_are_audited_one_by_one(tmp_path):
    told = finding(enhanced(tmp_path / "x.dcm", [0, 2, 4, 8, 10, 12]), "E_SLICE_GAP")
    assert "1 missing between (1.00, 2.00, 4.00) mm" in told.message
    told = finding(enhanced(tmp_path / "x.dcm", [0, 2, 2, 4, 6]), "E_SLICE_DUP")
    assert "2 at (1.00, 2.00, 2.00) mm" in told.message


@pytest.mark.filterwarnings("ignore:Invalid value for VR")
def test_a_directory_of_files_is_not_followed(tmp_path):
    """What a DICOMDIR names is found by looking into the folder, never by its word."""
    directory = dataset(MediaStorageDirectoryStorage, Rows=None, Columns=None, PixelData=None)
    directory.DirectoryRecordSequence = [Dataset()]
    directory.DirectoryRecordSequence[0].ReferencedFileID = ["..", "..", "etc", "passwd"]
    folder = write_series(tmp_path / "s", [0, 2, 4, 6, 8])
    directory.save_as(folder / "DICOMDIR", enforce_file_format=True)
    with pytest.raises(InputError, match=r"E_UNREADABLE.*Media Storage Directory"):
        read(Source(str(folder / "DICOMDIR")), ReadRules())
    assert read(Source(str(folder)), ReadRules()).geometry.shape[0] == 5


def test_compressed_slices_are_those_that_were_compressed(tmp_path):
    planes = np.random.default_rng(0).integers(0, 4000, (5, 32, 32), np.uint16)
    for z, plane in enumerate(planes):
        one = dataset(
            MRImageStorage, Modality="MR", Rows=32, Columns=32, PixelData=plane.tobytes(),
            ImagePositionPatient=[0, 0, 2 * z],
        )  # fmt: skip
        if z % 2:
            one.compress(RLELossless)
        one.save_as(tmp_path / f"{z}.dcm", enforce_file_format=True)
    scan = read(Source(str(tmp_path)), ReadRules())
    np.testing.assert_array_equal(scan.volumes[0].array, planes)
    for z, plane in enumerate(planes):
        one = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / f"{z}.dcm")))
        np.testing.assert_array_equal(one[0], plane)


@pytest.mark.parametrize(
    ("signed", "stored", "told"), [(True, -2000, -3024), (False, 63536, 62512)]
)
def test_padding_is_found_after_rescaling(tmp_path, signed, stored, told):
    """The padding value is of the stored pixels, and of their sign."""
    pixels = np.arange(20, dtype="<i2" if signed else "<u2")
    pixels[:7] = stored
    tags = {
        "PixelRepresentation": int(signed), "PixelPaddingValue": stored, "RescaleSlope": 1,
        "RescaleIntercept": -1024, "PixelData": pixels.tobytes(),
    }  # fmt: skip
    folder = write_series(tmp_path / "s", [0, 1, 2, 3, 4], **tags)
    scan = read(Source(str(folder)), ReadRules())
    assert scan.header["padding_value"] == told
    (padding,) = (item for item in scan.findings if item.code == "W_PADDING")
    assert padding.values == {"voxels": 35, "value": told}


def test_a_tilt_with_gaps_names_both_codes_and_both_keys(tmp_path):
    folder = write_series(tmp_path / "s", [0, 2, 4, 8], ImagePositionPatient=leaning)
    with pytest.raises(InputError) as error:
        peek(Source(str(folder)), ReadRules())
    assert "E_SLICE_GAP: slices are uneven" in str(error.value)
    assert "E_TILT: the gantry was tilted by 14.0°" in str(error.value)
    assert "input.policy {E_SLICE_GAP: fix, E_TILT: fix}" in error.value.advice
    with pytest.raises(InputError) as error:
        peek(Source(str(folder)), ReadRules(policy={"E_SLICE_GAP": "fix"}))
    assert error.value.code == "E_TILT"
    assert "E_SLICE_GAP" not in error.value.advice  # it is set
    both = ReadRules(policy={"E_SLICE_GAP": "fix", "E_TILT": "fix"})
    assert len(peek(Source(str(folder)), both).heights) == 4


def leaning(number: int) -> list[float]:
    height = [0, 2, 4, 8][number]
    return [0, height / 4, height]


def test_advice_never_names_what_is_set(tmp_path):
    folder = write_series(tmp_path / "s", [0, 1, 2, 3, 4, 4])
    with pytest.raises(InputError) as error:
        peek(Source(str(folder)), ReadRules(policy={"E_SLICE_DUP": "fix"}))
    assert "fix" not in error.value.advice
    assert "{E_SLICE_DUP: warn}" in error.value.advice


def test_a_config_with_the_old_name_of_the_tilt_is_told_the_new_one():
    with pytest.raises(ValueError, match="W_TILT is called E_TILT now"):
        Config.model_validate({"input": {"policy": {"W_TILT": "fix"}}})
