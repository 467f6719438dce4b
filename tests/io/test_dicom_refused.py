"""DICOM that is refused or odd: frames over time, lone slices, gaps, trees of series, damaged files."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.uid import MRImageStorage, SegmentationStorage
from support.dicom_series import dataset, enhanced, write_series

from gpuprep.io.dicom.audit import audit
from gpuprep.io.dicom.series import series_in, series_of_folder
from gpuprep.io.dicom.slice import Slice, read_slices
from gpuprep.io.reader import peek, read
from gpuprep.io.rules import Reading, ReadRules
from gpuprep.io.scan import Scan
from gpuprep.values.case import Source
from gpuprep.values.errors import CaseError, InputError

RULES = ReadRules()


def load(path: Path, rules: ReadRules = RULES) -> Scan:
    return read(Source(str(path)), rules)


@pytest.mark.parametrize(
    ("photometric", "samples", "bytes_each", "tags"),
    [
        ("YBR_FULL_422", 3, 2, {"PlanarConfiguration": 0}),
        ("YBR_PARTIAL_422", 3, 2, {"PlanarConfiguration": 0}),
        ("YBR_PARTIAL_420", 3, 1.5, {"PlanarConfiguration": 0}),
        ("YBR_FULL", 3, 3, {"PlanarConfiguration": 1}),
        ("RGB", 3, 3, {"PlanarConfiguration": 0}),
        ("ARGB", 4, 4, {"PlanarConfiguration": 0}),
        ("PALETTE COLOR", 1, 1, {}),
        ("MONOCHROME2", 3, 3, {}),
    ],
)
def test_colours_are_a_pixel_type_however_they_are_counted(
    tmp_path, photometric, samples, bytes_each, tags
):
    """Of YBR_FULL_422 two pixels share their colours: it takes two bytes a pixel for three samples."""
    fields = {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7, "SamplesPerPixel": samples}
    pixels = bytes(range(int(20 * bytes_each)))
    folder = write_series(
        tmp_path / "s",
        [0, 2, 4, 6, 8],
        PhotometricInterpretation=photometric,
        PixelData=pixels,
        **fields,
        **tags,
    )
    for action in (peek, read):
        with pytest.raises(InputError) as error:
            action(Source(str(folder)), RULES)
        assert error.value.code == "E_PIXEL_TYPE"
        assert f"{samples} samples of {photometric}" in error.value.message


def test_enhanced_volumes_over_time_are_refused(tmp_path):
    path = enhanced(tmp_path / "e.dcm", [0, 2, 4, 6] * 3)
    with pytest.raises(InputError, match=r"E_MIXED_SERIES: 3 slices at each of 4 positions"):
        load(path)


def test_frames_without_positions_are_refused(tmp_path):
    path = tmp_path / "m.dcm"
    pixels = np.arange(60, dtype="<u2").tobytes()
    one = dataset(NumberOfFrames=3, PixelData=pixels, ImagePositionPatient=None)
    one.save_as(path, enforce_file_format=True)
    with pytest.raises(InputError, match="E_NO_GEOMETRY"):
        load(path)


def test_a_lone_slice_takes_its_thickness_as_spacing(tmp_path):
    write_series(tmp_path / "s", [3])
    assert load(tmp_path / "s").geometry.spacing[2] == 9
    write_series(tmp_path / "t", [3], SliceThickness=None)
    with pytest.raises(InputError, match=r"E_NO_GEOMETRY.*thickness"):
        load(tmp_path / "t")


def make_slice(position: np.ndarray, **fields: Any) -> Slice:
    values: dict[str, Any] = {
        "path": "x", "frame": 0, "frames": 1, "header_bytes": 0, "series": "", "modality": "CT",
        "rows": 4, "columns": 5,
        "orientation": (1.0, 0.0, 0.0, 0.0, 1.0, 0.0), "pixel_spacing": (1.0, 1.0), "claimed_step": 1.0,
        "line": (1.0, 0.0), "file_line": (1.0, 0.0), "kind": "", "mosaic": False, "samples": 1,
        "photometric": "MONOCHROME2", "bits_allocated": 16, "bits_stored": 16, "signed": True,
        "table": None, "settings": (), "high_bit": 15, "overlay": False,
        "padding": None, "lossy": False, "syntax": "", "compressed": False,
        "implicit": False, "big_endian": False, "number": 0,
    }  # fmt: skip
    return Slice(position=tuple(position.tolist()), **{**values, **fields})


@given(
    count=st.integers(3, 30),
    spacing=st.floats(0.3, 10),
    noise=st.floats(0, 0.3),
    seed=st.integers(0, 2**32 - 1),
)
def test_rounding_is_no_gap_and_a_missing_slice_always_is(count, spacing, noise, seed):
    random = np.random.default_rng(seed)
    row, column, normal = np.linalg.qr(random.normal(size=(3, 3)))[0].T
    normal = np.cross(row, column)
    heights = np.arange(count) * spacing
    wobble = random.uniform(-1, 1, count) * noise * 0.01 * max(spacing, 1.0) / 2
    slices = [
        make_slice((h + w) * normal, orientation=(*row.tolist(), *column.tolist()))
        for h, w in zip(heights, wobble, strict=True)
    ]
    random.shuffle(slices)
    kept = audit(slices, Reading("x", RULES, RULES.findings()))
    along = [float(np.dot(one.position, normal)) for one in kept]
    assert along == sorted(along)
    assert len(kept) == count
    inner = sorted(
        range(count), key=lambda i: along.index(float(np.dot(slices[i].position, normal)))
    )
    holed = [slices[i] for i in inner if i != inner[count // 2]]
    if count > 3:
        with pytest.raises(InputError, match="E_SLICE_GAP"):
            audit(holed, Reading("x", RULES, RULES.findings()))


def test_a_tree_is_grouped_by_series_wherever_files_lie(tmp_path):
    tree = tmp_path / "体积 ü"
    write_series(tree, [0, 1, 2])
    write_series(tree / "a", [3, 4], InstanceNumber=lambda n: n + 4)
    write_series(tree / "b", [0, 1], SeriesInstanceUID="1.2.3.5", SeriesDescription="thin")
    write_series(tree / "c", [0, 1], SeriesInstanceUID="")
    write_series(tree / "d", [0, 1], SeriesInstanceUID="")
    dataset(SegmentationStorage).save_as(tree / "seg.dcm", enforce_file_format=True)
    (tree / "readme.txt").write_text("hello")
    files = [path for path in tree.rglob("*") if path.is_file()]
    series = series_in(files)
    told = {Path(one.folder).name: len(one.files) for one in series}
    assert told == {tree.name: 5, "b": 2, "c": 2, "d": 2}
    assert [one.description for one in series if one.uid == "1.2.3.5"] == ["thin"]
    assert series_in(files[::-1]) == series
    (tree / "._0.dcm").write_bytes(b"junk")
    others = series_of_folder(tree)[1]
    assert [Path(path).name for path in others] == ["readme.txt", "seg.dcm"]
    whole = next(one for one in series if len(one.files) == 5)
    scan = read(Source(whole.folder, whole.files), RULES)
    assert scan.geometry.shape[0] == 5


def test_a_file_without_the_preamble_is_still_dicom(tmp_path):
    folder = write_series(tmp_path / "s", [0, 1, 2, 3, 4])
    path = next(iter(sorted(folder.iterdir())))
    header = pydicom.dcmread(path)
    bare = tmp_path / "bare.dcm"
    header.save_as(bare, enforce_file_format=False)
    contents = bare.read_bytes()
    start = contents.index(b"\x08\x00\x08\x00")
    bare.write_bytes(contents[start:])
    assert read_slices(bare, RULES)[0].position == read_slices(path, RULES)[0].position


def test_truncated_and_damaged_files_end_as_case_errors(tmp_path):
    folder = write_series(tmp_path / "s", [0, 1, 2, 3, 4])
    path = next(iter(folder.iterdir()))
    contents = path.read_bytes()
    random = np.random.default_rng(5)
    for length in random.integers(0, len(contents), 60):
        path.write_bytes(contents[:length])
        with pytest.raises(CaseError):
            peek(Source(str(path)), RULES)
    for _ in range(300):
        damaged = bytearray(contents)
        for at in random.integers(132, len(contents) - 40, 3):
            damaged[at] = random.integers(256)
        path.write_bytes(bytes(damaged))
        with contextlib.suppress(CaseError):
            assert peek(Source(str(folder)), RULES).decoded_bytes <= RULES.max_bytes


def test_a_folder_without_images_says_so(tmp_path):
    with pytest.raises(InputError, match=r"E_UNREADABLE.*no DICOM"):
        load(tmp_path)
    with pytest.raises(InputError, match="E_MISSING"):
        load(tmp_path / "absent")
    shutil.copy(os.devnull, tmp_path / "empty.dcm")
    with pytest.raises(InputError, match=r"E_UNREADABLE.*empty"):
        load(tmp_path / "empty.dcm")


def test_mr_magnitude_and_phase_do_not_mix(tmp_path):
    kinds = [["ORIGINAL", "PRIMARY", "M_FFE", "M"], ["ORIGINAL", "PRIMARY", "PHASE MAP", "P"]]
    folder = write_series(
        tmp_path / "s", [0, 1, 2, 3], SOPClassUID=MRImageStorage, Modality="MR",
        ImageType=lambda n: kinds[n % 2],
    )  # fmt: skip
    with pytest.raises(InputError, match=r"E_MIXED_SERIES.*M_FFE/M.*PHASE MAP/P"):
        load(folder)
