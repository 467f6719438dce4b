"""A study whose series hold several volumes each, as scanners leave them."""

from pathlib import Path

import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import MRImageStorage

from support.dicom_series import enhanced, write_series
from support.mosaics import write_mosaics

MR = {"SOPClassUID": MRImageStorage, "Modality": "MR"}
HEIGHTS = [0.0, 2.0, 4.0, 6.0, 8.0]


def write_study(root: Path) -> Path:
    """Two echoes, three time points as mosaics, two b-values in one file, a plain volume."""
    (root / "dwi").mkdir(parents=True)
    write_series(
        root / "echo", HEIGHTS * 2, EchoTime=lambda n: [9.84, 4.92][n // 5],
        SeriesInstanceUID="1.2.1", **MR,
    )  # fmt: skip
    write_mosaics(root / "bold", 3, SeriesInstanceUID="1.2.2")
    write_series(root / "plain", HEIGHTS, SeriesInstanceUID="1.2.4", **MR)
    path = enhanced(root / "dwi" / "all.dcm", HEIGHTS * 2, top={"SeriesInstanceUID": "1.2.3"})
    one = pydicom.dcmread(path)
    for number, frame in enumerate(one.PerFrameFunctionalGroupsSequence):
        frame.MRDiffusionSequence = [Dataset()]
        frame.MRDiffusionSequence[0].DiffusionBValue = 1000.0 * (number > 4)
    one.save_as(path)
    return root
