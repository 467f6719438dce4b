"""Which DICOM series are cases: all of them, or those that are volumes."""

from pathlib import Path
from unittest import mock

import pytest
from pydicom.uid import SecondaryCaptureImageStorage
from support.dicom_series import dataset, enhanced, write_series
from support.trees import unmatched

from gpuprep.cohort.discover import discover
from gpuprep.config.file import parse_config


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A volume, two scouts in one series, a dose page, a single slice and an enhanced file."""
    root = tmp_path / "study"
    root.mkdir()
    write_series(root / "volume", [0, 5, 10])
    types = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    write_series(root / "scout", [0, 50], SeriesInstanceUID="1.2.9", ImageType=types)
    page = {"SeriesInstanceUID": "1.2.8", "ImagePositionPatient": None}
    (root / "dose").mkdir()
    for number in (1, 2):
        one = dataset(SecondaryCaptureImageStorage, InstanceNumber=number, **page)
        one.save_as(root / "dose" / f"{number}.dcm", enforce_file_format=True)
    write_series(root / "slice", [0], SeriesInstanceUID="1.2.7")
    (root / "multi").mkdir()
    enhanced(root / "multi" / "all.dcm", [0, 1, 2, 3], top={"SeriesInstanceUID": "1.2.6"})
    (root / "multi" / "note.txt").write_text("no image")
    return root


def test_every_series_is_a_case_unless_only_volumes_are_asked_for(study: Path) -> None:
    every = discover(study)
    assert [case.id for case in every.cases] == ["dose", "multi", "scout", "slice", "volume"]
    assert set(unmatched(every, study)) == {"multi/note.txt"}
    found = discover(study, series="volumes")
    assert [case.id for case in found.cases] == ["multi", "volume"]
    left = " left out by input.series: volumes"
    assert unmatched(found, study) == {
        "dose/1.dcm": f"secondary capture without a position,{left}",
        "dose/2.dcm": f"secondary capture without a position,{left}",
        "scout/98.dcm": f"localizer,{left}",
        "scout/99.dcm": f"localizer,{left}",
        "slice/99.dcm": f"single slice,{left}",
        "multi/note.txt": "this is not a DICOM file",
    }


def test_a_series_with_one_localizer_among_its_slices_stays(tmp_path: Path) -> None:
    """It is a volume with a stranger in it; reading it says so."""
    axial, scout = ["ORIGINAL", "PRIMARY", "AXIAL"], ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    write_series(tmp_path / "s", [0, 5, 10], ImageType=lambda n: axial if n else scout)
    assert len(discover(tmp_path, series="volumes").cases[0].files) == 3


def test_a_folder_that_a_manifest_names_may_hold_a_scout_beside_its_series(study: Path) -> None:
    (study / "scout").rename(study / "volume" / "scout")
    (study / "m.csv").write_text("case_id,image\na,volume\n")
    with pytest.raises(Exception, match="holds 2 DICOM series"):
        discover(study / "m.csv")
    found = discover(study / "m.csv", series="volumes")
    assert [len(case.files) for case in found.cases] == [3]
    assert len(found.unmatched) == 2


def test_headers_are_read_once(study: Path) -> None:
    import gpuprep.io.dicom.header as module

    with mock.patch.object(module, "read_header", wraps=module.read_header) as reading:
        discover(study)
    assert reading.call_count == len({call.args[0] for call in reading.call_args_list})


def test_the_switch_decides_nothing_of_the_voxels() -> None:
    assert parse_config({"input": {"series": "volumes"}}).digest == parse_config({}).digest
