"""A case of CT and PET series, of which no name tells what is what: each channel goes by its own header."""

from pathlib import Path

from pydicom.uid import PositronEmissionTomographyImageStorage
from support.cohorts import run
from support.dicom_series import write_series
from support.suggested import suggested

HEIGHTS = [0.0, 2.0, 4.0, 6.0, 8.0]


def test_pet_beside_a_ct_is_not_taken_for_one(tmp_path: Path) -> None:
    write_series(tmp_path / "a", HEIGHTS, SeriesInstanceUID="1.2.1", RescaleIntercept=-1024)
    write_series(
        tmp_path / "b", HEIGHTS, SeriesInstanceUID="1.2.2", Modality="PT",
        SOPClassUID=PositronEmissionTomographyImageStorage, RescaleIntercept=0,
    )  # fmt: skip
    listed = tmp_path / "list.csv"
    listed.write_text("case_id,image_first,image_second\na,a,b\n", encoding="utf-8")
    run(listed, tmp_path / "out", {"store": {"dtype": "float32"}})
    for source in (listed, tmp_path / "out"):
        text, tree = suggested(source)
        channels = tree["image"]["channels"]
        assert "clip" in channels["first"]["intensity"][0]
        assert channels["second"]["intensity"] == [{"zscore": {"over": "foreground"}}]
        assert "suv first of all steps" in " ".join(text.replace("#", "").split())
