"""Which cases a series with several volumes is: ids, files and channels, the same at every look."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import nibabel
import numpy as np
import pytest
from support.dicom_series import enhanced, write_series
from support.mosaics import write_mosaics
from support.studies import HEIGHTS, write_study
from support.trees import unmatched

from gpuprep.cohort.discover import discover, select
from gpuprep.config.file import parse_config
from gpuprep.io.reader import read
from gpuprep.io.rules import ReadRules
from gpuprep.values.case import Case
from gpuprep.values.errors import InputError, UsageError


@pytest.fixture
def study(tmp_path: Path) -> Path:
    return write_study(tmp_path / "study")


def names(case: Case) -> list[str]:
    return sorted(Path(file).name for file in case.files)


def test_unless_it_is_asked_for_a_series_is_one_case(study: Path) -> None:
    found = discover(study)
    assert [case.id for case in found.cases] == ["bold", "dwi", "echo", "plain"]
    assert all(not case.channels and "volume" not in case.attributes for case in found.cases)


def test_each_volume_is_a_case_of_its_own_files(study: Path) -> None:
    found = discover(study, several_volumes="cases")
    told = {case.id: names(case) for case in found.cases}
    assert told == {
        "bold_t0": ["0.dcm"],
        "bold_t1": ["1.dcm"],
        "bold_t2": ["2.dcm"],
        "dwi_b0": ["all.dcm"],
        "dwi_b1000": ["all.dcm"],
        "echo_TE_4.92": [f"{n}.dcm" for n in range(90, 95)],
        "echo_TE_9.84": [f"{n}.dcm" for n in range(95, 100)],
        "plain": [f"{n}.dcm" for n in range(95, 100)],
    }
    volumes = {case.id: case.attributes.get("volume") for case in found.cases}
    assert volumes["echo_TE_4.92"] == "TE 4.92"
    assert volumes["plain"] is None
    assert [case.images[0].volume for case in found.cases] == [*[""] * 3, "b0", "b1000", *[""] * 3]
    assert not found.unmatched
    assert [case.id for case in select(found.cases, ["*_b1000"])] == ["dwi_b1000"]


def test_cases_read_what_the_channels_hold(study: Path) -> None:
    apart, together = (
        {case.id: read(case.images[0], ReadRules(several_volumes=several)) for case in cases}
        for several in ("cases", "channels")
        for cases in [discover(study, several_volumes=several).cases]
    )
    for case in discover(study, several_volumes="channels").cases:
        scan = together[case.id]
        assert list(case.channels) == scan.header.get("volumes", [])
        for name, volume in zip(case.channels or ("",), scan.volumes, strict=True):
            own = apart["_".join([case.id, *name.split()])]
            assert own.geometry == volume.geometry
            np.testing.assert_array_equal(own.volumes[0].array, volume.array)
            assert len(own.volumes) == 1


def test_the_first_is_a_case_and_the_files_of_others_are_told(study: Path) -> None:
    found = discover(study, several_volumes="first")
    assert [case.id for case in found.cases] == ["bold", "dwi", "echo", "plain"]
    assert [names(case)[0] for case in found.cases] == ["0.dcm", "all.dcm", "90.dcm", "95.dcm"]
    reason = "of another volume of its series, left out by input.several_volumes: first"
    left = [*(f"bold/{n}.dcm" for n in (1, 2)), *(f"echo/{n}.dcm" for n in range(95, 100))]
    assert unmatched(found, study) == dict.fromkeys(left, reason)


@pytest.mark.parametrize("several", ["channels", "cases", "first"])
def test_the_order_of_files_decides_nothing(study: Path, tmp_path: Path, several: str) -> None:
    other = tmp_path / "other" / "study"
    shutil.copytree(study, other)
    draw = random.Random(3)
    for folder in ("echo", "bold", "plain"):
        files = sorted((other / folder).iterdir())
        for number, path in enumerate(draw.sample(files, len(files))):
            path.rename(path.with_name(f"IM{number}"))
    one, two = (discover(root, several_volumes=several) for root in (study, other))
    assert [(case.id, case.channels) for case in one.cases] == [
        (case.id, case.channels) for case in two.cases
    ]
    for mine, its in zip(one.cases, two.cases, strict=True):
        scans = [read(c.images[0], ReadRules(several_volumes=several)) for c in (mine, its)]
        for here, there in zip(scans[0].volumes, scans[1].volumes, strict=True):
            np.testing.assert_array_equal(here.array, there.array)


def test_a_file_names_the_volumes_of_its_series(study: Path) -> None:
    found = discover(study / "echo/92.dcm", several_volumes="cases")
    assert [case.id for case in found.cases] == ["echo_TE_4.92", "echo_TE_9.84"]
    (alone,) = discover(study / "echo/92.dcm", several_volumes="first").cases
    assert (alone.id, names(alone)[0]) == ("echo", "90.dcm")
    with pytest.raises(UsageError, match="of another volume of its series"):
        discover(study / "echo/97.dcm", several_volumes="first")


def test_a_file_that_is_no_slice_fails_every_volume_instead_of_shortening_one(study: Path) -> None:
    (study / "echo/89.dcm").write_bytes(b"torn")
    cases = discover(study / "echo", several_volumes="cases").cases
    assert [len(case.files) for case in cases] == [6, 6]
    for case in cases:
        with pytest.raises(InputError, match="E_UNREADABLE"):
            read(case.images[0], ReadRules(several_volumes="cases"))


def test_an_enhanced_file_a_time_point_is_a_case_a_file(tmp_path: Path) -> None:
    for number in (2, 1, 3):
        top = {"SeriesInstanceUID": "1.2.5", "InstanceNumber": number}
        enhanced(tmp_path / f"{9 - number}.dcm", HEIGHTS, top=top)
    found = discover(tmp_path, several_volumes="cases").cases
    assert [names(case) for case in found] == [["8.dcm"], ["7.dcm"], ["6.dcm"]]
    assert [case.id[-3:] for case in found] == ["_t0", "_t1", "_t2"]
    assert not any(case.images[0].volume for case in found)
    for case in found:
        assert len(read(case.images[0], ReadRules(several_volumes="cases")).volumes) == 1


def test_one_mosaic_is_a_volume_and_no_single_slice(tmp_path: Path) -> None:
    write_mosaics(tmp_path / "s", 1)
    write_series(tmp_path / "scout", [0], SeriesInstanceUID="1.2.9")
    assert [case.id for case in discover(tmp_path, series="volumes").cases] == ["s"]


def four(path: Path, volumes: int) -> np.ndarray:
    array = np.arange(volumes * 60, dtype=np.int16).reshape(5, 4, 3, volumes, order="F")
    nibabel.save(nibabel.Nifti1Image(array, np.diag([1, 2, 3, 1])), path)
    return array.T


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_volumes_of_a_nifti_file_are_cases_or_the_first_is_one(tmp_path: Path, suffix: str) -> None:
    expected = four(tmp_path / f"a{suffix}", 3)
    four(tmp_path / f"b{suffix}", 1)
    found = discover(tmp_path, several_volumes="cases")
    assert [case.id for case in found.cases] == ["a_t0", "a_t1", "a_t2", "b"]
    for number, case in enumerate(found.cases[:3]):
        (volume,) = read(case.images[0], ReadRules(several_volumes="cases")).volumes
        np.testing.assert_array_equal(volume.array, expected[number])
    first = discover(tmp_path, several_volumes="first")
    assert [case.id for case in first.cases] == ["a", "b"]
    scan = read(first.cases[0].images[0], ReadRules(several_volumes="first"))
    np.testing.assert_array_equal(scan.volumes[0].array, expected[0])
    assert [item.code for item in scan.findings if item.code == "W_4D"] == ["W_4D"]
    plain = discover(tmp_path, several_volumes="channels")
    assert len(read(plain.cases[0].images[0], ReadRules()).volumes) == 3


def test_a_label_is_of_all_volumes_and_the_first_may_have_it(tmp_path: Path) -> None:
    four(tmp_path / "a_image.nii.gz", 3)
    four(tmp_path / "a_label.nii.gz", 1)
    assert [case.id for case in discover(tmp_path, several_volumes="cases").cases] == ["a"]
    (case,) = discover(tmp_path, several_volumes="first").cases
    assert (case.images[0].volume, len(case.labels)) == ("t0", 1)


def test_a_nifti_volume_that_is_gone_is_missed(tmp_path: Path) -> None:
    four(tmp_path / "a.nii", 3)
    case = discover(tmp_path, several_volumes="cases").cases[2]
    four(tmp_path / "a.nii", 2)
    with pytest.raises(InputError, match=r"E_NOT_VOLUME.*no volume 't2', but 2"):
        read(case.images[0], ReadRules())


def test_a_case_crosses_processes_with_its_volume(study: Path) -> None:
    for case in discover(study, several_volumes="cases").cases:
        assert Case.from_json(case.to_json()) == case


def test_the_switch_decides_what_is_stored_and_its_default_changes_no_digest() -> None:
    digests = {
        parse_config({"input": {"several_volumes": several}}).digest
        for several in ("refuse", "channels", "cases", "first")
    }
    assert len(digests) == 4
    assert parse_config({"input": {"several_volumes": "refuse"}}).digest == parse_config({}).digest
