"""Several images in one series: told apart by what they are of, or refused; never one made of two."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import (
    MRImageStorage,
    PositronEmissionTomographyImageStorage,
    RTStructureSetStorage,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)
from support.dicom_series import dataset, enhanced, write_series

from gpuprep.io.dicom.series import series_in
from gpuprep.io.reader import peek, read
from gpuprep.io.rules import ReadRules
from gpuprep.io.scan import Scan
from gpuprep.values.case import Source
from gpuprep.values.errors import InputError

MR = {"SOPClassUID": MRImageStorage, "Modality": "MR"}


def load(path: Path, **policy: Any) -> Scan:
    return read(Source(str(path)), ReadRules(policy=policy))


def column(scan: Scan) -> list[int]:
    return scan.volumes[0].array[:, 0, 0].tolist()


def twice(number: int) -> list[float]:
    """Positions of slices that visit every place twice in a row."""
    return [0, 0, 3 * (number // 2)]


@pytest.mark.parametrize(
    ("setting", "values"),
    [
        ("EchoTime", [4.6, 9.2]),
        ("DiffusionBValue", [0, 800]),
        ("TemporalPositionIdentifier", [1, 2]),
        ("KVP", [80, 140]),
        ("ConvolutionKernel", [["B30f", "1"], ["B70f", "1"]]),
    ],
)
def test_images_of_two_settings_are_told_apart_by_name(tmp_path, setting, values):
    folder = write_series(
        tmp_path / "s", [0] * 11, **MR, ImagePositionPatient=twice,
        **{setting: lambda n: values[n % 2]},
    )  # fmt: skip
    with pytest.raises(InputError, match=r"E_MIXED_SERIES.*2 kinds of slices: 6 ") as error:
        peek(Source(str(folder)), ReadRules())
    assert all(f", {setting} {value}" in error.value.message for value in values)
    scan = load(folder, E_MIXED_SERIES="fix")
    assert column(scan) == [0, 200, 400, 600, 800, 1000]
    assert str(values[0]) in scan.findings[0].values["largest"]


def test_two_echoes_at_places_of_their_own_are_no_thinner_volume(tmp_path):
    """Evenly interleaved, they would pass every check of positions."""
    folder = write_series(tmp_path / "s", [0, 1, 2, 3, 4, 5], EchoTime=lambda n: 5 + n % 2, **MR)
    with pytest.raises(InputError, match=r"E_MIXED_SERIES.*EchoTime 5.*EchoTime 6"):
        load(folder)


def test_a_measured_echo_time_may_tremble(tmp_path):
    times = (4.6, 4.60004, 4.599)
    folder = write_series(tmp_path / "s", [0, 2, 4], EchoTime=lambda n: times[n], **MR)
    assert column(load(folder)) == [0, 100, 200]


@pytest.mark.parametrize(("macro", "tag"), [
    ("MREchoSequence", "EffectiveEchoTime"), ("FrameContentSequence", "TemporalPositionIndex"),
    ("FrameContentSequence", "StackID"), ("MRDiffusionSequence", "DiffusionBValue"),
])  # fmt: skip
def test_frames_of_two_settings_are_told_apart(tmp_path, macro, tag):
    path = enhanced(tmp_path / "e.dcm", [0, 2, 4, 6, 8, 0, 2, 4, 6])
    one = pydicom.dcmread(path)
    for number, frame in enumerate(one.PerFrameFunctionalGroupsSequence):
        item = Dataset()
        value = 1 + number // 5
        setattr(item, tag, str(value) if tag == "StackID" else value)
        setattr(frame, macro, [item])
    one.save_as(path)
    with pytest.raises(InputError, match=rf"E_MIXED_SERIES.*5 .*{tag} 1.*4 .*{tag} 2"):
        load(path)
    assert column(load(path, E_MIXED_SERIES="fix")) == [0, 100, 200, 300, 400]


@pytest.mark.parametrize(
    ("numbers", "first"),
    [
        (lambda n: n, [0, 200, 400, 600, 800]),
        (lambda n: n // 2 + 5 * (n % 2), [0, 200, 400, 600, 800]),
        (lambda n: -n, [100, 300, 500, 700, 900]),
        (lambda n: n // 2 + 5 * ((n + 1) % 2), [100, 300, 500, 700, 900]),
        (lambda n: n // 2, None),
        (lambda n: 1, None),
        (lambda n: [0, 2, 1, 3, 4, 5, 6, 7, 8, 9][n], None),
    ],
)
def test_one_of_two_volumes_is_taken_only_if_numbers_tell_them_apart(tmp_path, numbers, first):
    folder = write_series(
        tmp_path / "s", [0] * 10, ImagePositionPatient=twice, InstanceNumber=numbers
    )
    with pytest.raises(InputError, match="E_MIXED_SERIES: 2 slices at each of 5 positions"):
        load(folder)
    if first is not None:
        assert column(load(folder, E_MIXED_SERIES="fix")) == first
        return
    with pytest.raises(InputError, match="E_MIXED_SERIES: 2 slices at each of 5 positions"):
        load(folder, E_MIXED_SERIES="fix")


def test_volumes_of_frames_over_time_come_one_after_another(tmp_path):
    path = enhanced(tmp_path / "e.dcm", [0, 2, 4, 6] * 3)
    assert column(load(path, E_MIXED_SERIES="fix")) == [0, 100, 200, 300]


def test_a_time_point_that_lacks_a_slice_is_not_filled_up_from_another(tmp_path):
    folder = write_series(tmp_path / "s", [0] * 9, ImagePositionPatient=twice)
    for policy in ({}, {"E_SLICE_DUP": "fix"}, {"E_SLICE_DUP": "fix", "E_MIXED_SERIES": "fix"}):
        with pytest.raises(InputError, match=r"E_SLICE_DUP.*with different pixels"):
            load(folder, **policy)


@pytest.mark.parametrize(
    "change", [{"RescaleIntercept": lambda n: -n}, {"PixelRepresentation": lambda n: n % 2}]
)
def test_equal_bytes_of_another_meaning_are_no_copies(tmp_path, change):
    folder = write_series(tmp_path / "s", [0, 1, 2, 3, 3], PixelData=bytes(range(40)), **change)
    with pytest.raises(InputError, match=r"E_SLICE_DUP|E_MIXED_RESCALE"):
        load(folder, E_SLICE_DUP="fix", E_MIXED_RESCALE="fix")


def test_a_series_that_was_copied_twice_is_itself(tmp_path):
    folder = write_series(tmp_path / "s", [0, 2, 4, 6, 8])
    for path in list(folder.iterdir()):
        (folder / f"copy of {path.name}").write_bytes(path.read_bytes())
    with pytest.raises(
        InputError, match=r"E_SLICE_DUP: 10 slices at only 5.*copies of one another"
    ):
        load(folder)
    scan = load(folder, E_SLICE_DUP="fix")
    assert column(scan) == [0, 100, 200, 300, 400]
    assert len(scan.identity) == 10  # what was dropped decided, too


def test_copied_frames_are_dropped_too(tmp_path):
    path = enhanced(tmp_path / "e.dcm", [0, 2, 4, 6, 6, 8])
    one = pydicom.dcmread(path)
    frames = np.frombuffer(one.PixelData, "<u2").reshape(6, 20).copy()
    frames[4] = frames[3]
    one.PixelData = frames.tobytes()
    one.save_as(path)
    assert column(load(path, E_SLICE_DUP="fix")) == [0, 100, 200, 300, 500]


def test_slices_side_by_side_are_no_copies(tmp_path):
    folder = write_series(
        tmp_path / "s", [0] * 6, ImagePositionPatient=lambda n: [200 * (n == 5), 0, min(n, 4)],
        PixelData=bytes(40),
    )  # fmt: skip
    with pytest.raises(InputError, match=r"E_SLICE_DUP.*200\.00 mm beside one another"):
        load(folder, E_SLICE_DUP="fix")


def test_a_picture_among_slices_is_another_kind(tmp_path):
    """A dose report as a colour picture without a place, in the series of the CT."""
    folder = write_series(tmp_path / "s", [0, 2, 4, 6, 8])
    dataset(
        SecondaryCaptureImageStorage, SamplesPerPixel=3, PhotometricInterpretation="RGB",
        PlanarConfiguration=0, BitsAllocated=8, BitsStored=8, HighBit=7, PixelData=bytes(60),
        ImagePositionPatient=None, ImageOrientationPatient=None, PixelSpacing=None,
    ).save_as(folder / "z.dcm", enforce_file_format=True)  # fmt: skip
    with pytest.raises(InputError, match=r"E_MIXED_SERIES.*1 AXIAL of 5×4 without a place"):
        load(folder)
    assert column(load(folder, E_MIXED_SERIES="fix")) == [0, 100, 200, 300, 400]


def test_other_objects_in_the_folder_are_left_aside_and_other_series_are_not(tmp_path):
    folder = write_series(tmp_path / "s", [0, 2, 4, 6, 8])
    for number, sop_class in enumerate((RTStructureSetStorage, SegmentationStorage)):
        one = dataset(sop_class, SeriesInstanceUID=f"1.2.9.{number}", Rows=None, PixelData=None)
        one.save_as(folder / f"other{number}.dcm", enforce_file_format=True)
    assert column(load(folder)) == [0, 100, 200, 300, 400]
    pet = dataset(PositronEmissionTomographyImageStorage, SeriesInstanceUID="1.2.8", Modality="PT")
    pet.save_as(folder / "pet.dcm", enforce_file_format=True)
    with pytest.raises(InputError, match=r"E_MIXED_SERIES: the folder holds 2 series \(of 5, 1"):
        load(folder)


def test_named_files_of_two_series_are_no_volume(tmp_path):
    folder = write_series(
        tmp_path / "s", [0, 2, 4, 6, 8], SeriesInstanceUID=lambda n: f"1.2.{n // 3}"
    )
    names = tuple(path.name for path in folder.iterdir())
    with pytest.raises(InputError, match=r"E_MIXED_SERIES.*3 AXIAL.*2 AXIAL.*of another series"):
        read(Source(str(folder), names), ReadRules())


def test_one_series_uid_in_two_studies_is_two_series(tmp_path):
    for patient in (1, 2):
        write_series(
            tmp_path / str(patient),
            [10 * patient + 2 * n for n in range(5)],
            StudyInstanceUID=f"1.{patient}",
        )
    assert [len(one.files) for one in series_in(tmp_path.rglob("*.dcm"))] == [5, 5]


@pytest.mark.parametrize("left", [0, 200, 400])
def test_a_slice_cut_off_at_the_end_is_missed_by_its_name(tmp_path, left):
    """It leaves no gap, and archives write names without an extension."""
    folder = write_series(tmp_path / "s", [0, 2, 4, 6, 8])
    for path in list(folder.iterdir()):
        path.rename(folder / f"IM{path.stem}")
    (folder / "README").write_text("no slice")
    (folder / "._IM99.dcm").write_bytes(b"of a Mac")
    assert load(folder).geometry.shape[0] == 5
    last = folder / "IM95"
    last.write_bytes(last.read_bytes()[:left])
    with pytest.raises(InputError, match=r"E_UNREADABLE: 1 of 7 files.*IM95"):
        load(folder)
    (series,) = series_in(sorted(folder.glob("[!.]*")))
    with pytest.raises(InputError, match=r"E_UNREADABLE.*IM95|E_TRUNCATED.*IM95"):
        read(Source(series.folder, series.files), ReadRules())


def test_a_damaged_file_beside_two_series_is_taken_for_neither(tmp_path):
    for number in (1, 2):
        tags = {"SeriesInstanceUID": f"1.2.{number}", "PixelSpacing": [number, number]}
        folder = write_series(tmp_path / str(number), [0, 2, 4], **tags)
        for path in folder.iterdir():
            path.rename(tmp_path / f"{number}{path.name}")
    (tmp_path / "3.dcm").write_bytes(b"")
    assert [len(one.files) for one in series_in(tmp_path.glob("*.dcm"))] == [3, 3]


@pytest.mark.parametrize("step", [0, -2, "", 7])
def test_what_the_header_says_of_spacing_is_not_believed(tmp_path, step):
    folder = write_series(
        tmp_path / "s",
        [0, 2, 4, 6, 8],
        **MR,
        SpacingBetweenSlices=step,
        InstanceNumber=lambda n: -n,
    )
    scan = load(folder)
    assert scan.geometry.spacing[2] == 2
    assert column(scan) == [0, 100, 200, 300, 400]


def test_cosines_of_few_digits_stretch_no_spacing(tmp_path):
    """0.71² + 0.71² is 1.008: the spacing would be 0.4 % too large."""
    cosines = [0.71, 0.71, 0, -0.71, 0.71, 0]
    folder = write_series(tmp_path / "s", [0, 2, 4, 6, 8], ImageOrientationPatient=cosines)
    np.testing.assert_allclose(load(folder).geometry.spacing, (0.25, 0.5, 2), rtol=1e-12)
