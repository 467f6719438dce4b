"""The source of a case is found by its record alone, whatever it came as, and refused where it is another."""

import os
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK
from support.cohorts import run
from support.dicom_series import write_series
from support.oriented import affine_of, phantom, save_phantom

from gpuprep.config.model import Config
from gpuprep.store.agreement import read_agreement
from gpuprep.store.reader import open_cohort
from gpuprep.store.stored_case import StoredCase
from gpuprep.values.errors import InputError
from gpuprep.viewing.case_sides import before_side
from gpuprep.viewing.source_volume import read_source, source_case, source_problem

pytestmark = pytest.mark.usefixtures("reads_here")

IMAGE, LABEL = phantom()
PLAIN = {"store": {"fsync": "never", "dtype": "float32"}}
FIX = {"E_SHEAR": "fix", "E_SLICE_GAP": "fix", "E_NO_GEOMETRY": "warn"}


def made(folder: Path, write: Callable[[Path], object], **config) -> StoredCase:
    """The one case that a run makes of what ``write`` puts into a folder."""
    source = folder / "in"
    source.mkdir()
    write(source)
    run(source, folder / "out", {**PLAIN, **config})
    (case,) = open_cohort(folder / "out").values()
    return case


def nifti(file: Path, array: np.ndarray, affine: np.ndarray | None = None) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(array, affine_of("LAS") if affine is None else affine), file)


def itk(file: Path) -> None:
    image = SimpleITK.GetImageFromArray(IMAGE.T)
    image.SetSpacing((1.5, 1.0, 2.0))
    SimpleITK.WriteImage(image, str(file))


def two_channels(source: Path) -> None:
    for number in range(2):
        nifti(source / f"imagesTr/a_000{number}.nii.gz", IMAGE + number)
    nifti(source / "labelsTr/a.nii.gz", LABEL)


def structures(source: Path) -> None:
    nifti(source / "s1/ct.nii.gz", IMAGE)
    for value, name in ((1, "liver"), (3, "tumor")):
        nifti(source / f"s1/segmentations/{name}.nii.gz", (value == LABEL).astype(np.uint8))


@pytest.mark.parametrize(
    "write",
    [
        lambda source: save_phantom(source, "a", affine_of("RSP")),
        lambda source: nifti(source / "a.nii", IMAGE),
        lambda source: nibabel.save(nibabel.Nifti1Pair(IMAGE, affine_of("LPS")), source / "a.hdr"),
        lambda source: itk(source / "a.mha"),
        lambda source: itk(source / "a.mhd"),
        lambda source: itk(source / "a.nrrd"),
        lambda source: itk(source / "a.nhdr"),
        lambda source: write_series(source / "series", [0.0, 2.0, 4.0, 6.0]),
        two_channels,
        structures,
    ],
    ids=["pair", "nii", "hdr", "mha", "mhd", "nrrd", "nhdr", "dicom", "channels", "structures"],
)
def test_whatever_a_case_came_as_its_source_is_read_again(tmp_path: Path, write) -> None:
    case = made(tmp_path, write)
    assert source_problem(case.record, [str(tmp_path / "in")]) == ""
    found = read_source(case.record, Config(), agreement=read_agreement(case.path.parent.parent))
    side = before_side(case)
    assert side.geometry.distance(found.straight_geometry) < 1e-9
    assert [each.name for each in side.channels] == list(found.channel_names)
    assert {each.name for each in side.labels} == set(found.labels)
    if "series" not in case.record["source"][0]["path"]:
        for number, channel in enumerate(found.channels):
            np.testing.assert_array_equal(channel.T, IMAGE + number)
    for name, label in found.labels.items():
        names = {told: value for value, told in case.label_names[name].items()}
        for value, told in ((1, "liver"), (3, "tumor")):
            np.testing.assert_array_equal(names.get(told, value) == label.T, value == LABEL)


def test_a_file_of_several_volumes_gives_its_channels(tmp_path: Path) -> None:
    both = np.stack([IMAGE, IMAGE + 5], axis=-1)
    case = made(tmp_path, lambda source: nifti(source / "a.nii.gz", both))
    found = read_source(case.record, Config())
    assert [each.name for each in before_side(case).channels] == list(found.channel_names)
    np.testing.assert_array_equal(np.stack(found.channels), both.T)


@pytest.mark.parametrize("orientation", ["keep", "RAS"])
def test_a_sheared_source_is_shown_as_it_was_straightened_and_said_so(
    tmp_path: Path, orientation: str
) -> None:
    affine = affine_of("LPS")
    affine[0, 2] = 0.7
    case = made(
        tmp_path,
        lambda source: nifti(source / "a.nii.gz", IMAGE, affine),
        input={"policy": FIX},
        image={"orientation": orientation},
    )
    side, found = before_side(case), read_source(case.record, Config())
    assert side.geometry.distance(found.straight_geometry) < 1e-9
    assert found.channels[0].shape == side.geometry.shape
    assert "sheared by 19.3°" in side.notes[0]
    if orientation == "keep":
        np.testing.assert_allclose(found.channels[0], np.asarray(case.image), atol=0.51)


def test_slices_that_are_uneven_are_shown_even_as_they_were_made(tmp_path: Path) -> None:
    case = made(
        tmp_path,
        lambda source: write_series(source / "series", [0.0, 2.0, 6.0, 8.0]),
        input={"policy": FIX},
    )
    side, found = before_side(case), read_source(case.record, Config())
    assert found.channels[0].shape == side.geometry.shape == (5, 4, 5)
    assert "with uneven slices" in side.notes[0]


def test_files_that_are_others_by_now_are_refused_with_both_sizes_and_times(tmp_path: Path) -> None:
    case = made(tmp_path, lambda source: nifti(source / "a.nii.gz", IMAGE))
    file, record = tmp_path / "in/a.nii.gz", case.record
    told = record["source"][0]
    os.utime(file, ns=(1, 1_700_000_000_000_000_001))
    problem = source_problem(record)
    assert "1700000000.000000001" in problem
    assert f"{told['mtime_ns'] // 10**9}." in problem
    file.write_bytes(b"other")
    assert f"{told['size']:,} bytes" in source_problem(record)
    assert "there are 5 bytes" in source_problem(record)
    file.unlink()
    assert "not to be had any more" in source_problem(record)


def test_what_lies_outside_the_roots_is_not_even_looked_for(tmp_path: Path) -> None:
    case = made(tmp_path, lambda source: nifti(source / "a.nii.gz", IMAGE))
    (tmp_path / "root").mkdir()
    roots = [str(tmp_path / "root")]
    refused = source_problem(case.record, roots)
    assert "lies in none of the roots" in refused
    assert str(tmp_path) not in refused
    assert source_problem(case.record, []) == refused
    with pytest.raises(InputError, match="E_UNSAFE_PATH"):
        read_source(case.record, Config(), roots=roots)
    (tmp_path / "in/a.nii.gz").unlink()
    assert source_problem(case.record, roots) == refused


def test_a_link_out_of_the_roots_is_no_way_around_them(tmp_path: Path) -> None:
    case = made(tmp_path, lambda source: nifti(source / "a.nii.gz", IMAGE))
    file = tmp_path / "in/a.nii.gz"
    (tmp_path / "elsewhere").mkdir()
    file.rename(tmp_path / "elsewhere/a.nii.gz")
    file.symlink_to(tmp_path / "elsewhere/a.nii.gz")
    assert source_problem(case.record) == ""
    assert "lies in none of the roots" in source_problem(case.record, [str(tmp_path / "in")])
    with pytest.raises(InputError, match="E_UNSAFE_PATH"):
        read_source(case.record, Config(), roots=[str(tmp_path / "in")])


def test_limits_hold_before_anything_is_decoded(tmp_path: Path) -> None:
    case = made(tmp_path, lambda source: nifti(source / "a.nii.gz", IMAGE))
    with pytest.raises(InputError, match=r"E_LIMIT.*decodes to 5,236 bytes, more than the 5,000"):
        read_source(case.record, Config(), most_bytes=5000)


def test_records_of_older_versions_say_what_to_do(tmp_path: Path) -> None:
    case = made(tmp_path, lambda source: nifti(source / "a.nii.gz", IMAGE))
    record = {**case.record, "source": [{**row, "role": ""} for row in case.record["source"]]}
    assert "run the case again" in source_problem(record)
    assert "names no source files" in source_problem({})


def test_labels_with_spaces_in_their_names_keep_them() -> None:
    def row(role: str, path: str) -> dict[str, object]:
        return {"role": role, "path": path, "size": 1, "mtime_ns": 1}

    record = {
        "case": "a",
        "labels": {"organ": {}, "organ at risk": {}},
        "headers": [{"format": "nifti1"}] * 4,
        "source": [
            row("image T1", "t1"),
            row("image 1", "t2"),
            row("label organ at risk", "risk"),
            row("label organ left kidney", "kidney"),
        ],
    }
    case = source_case(record)
    assert [source.name for source in case.images] == ["T1", ""]
    assert [label.name for label in case.labels] == ["organ at risk", "organ"]
    assert case.labels[1].sources[0].name == "left kidney"
