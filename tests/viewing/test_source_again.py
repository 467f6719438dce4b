"""Sources that files alone do not tell, read again by the record: structures, pictures, volumes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydicom.uid import MRImageStorage
from support.cohorts import run
from support.dicom_series import write_series
from support.mosaics import write_mosaics
from support.structures import (
    ORIGIN,
    SPACING,
    circle,
    two_masks,
    write_contours,
    write_image,
    write_segmentation,
)

from gpuprep.config.file import parse_config
from gpuprep.store.reader import open_cohort
from gpuprep.viewing.case_sides import before_side
from gpuprep.viewing.source_volume import read_source, source_problem

pytestmark = pytest.mark.usefixtures("reads_here")

PLAIN: dict[str, Any] = {
    "image": {"orientation": "keep", "intensity": []},
    "store": {"dtype": "float32", "fsync": "never"},
}
MR = {"SOPClassUID": MRImageStorage, "Modality": "MR"}
NAMES = ["Liver", "Spleen"]


def segmented(root: Path) -> None:
    write_segmentation(root / "seg.dcm", write_image(root / "ct"), two_masks(), NAMES)


def overlapping(root: Path) -> None:
    masks = two_masks()
    masks[2:5, 8:15, 10:20, 0] = 1
    write_segmentation(root / "seg.dcm", write_image(root / "ct"), masks, NAMES)


def contoured(root: Path) -> None:
    """Another case numbers the structures otherwise, as the cohort does."""
    write_image(root / "b" / "ct", series="1.2.8", study="1.2.7")
    rois = {
        name: [circle(radius, (-4.0, 13.0 - 3 * radius), ORIGIN[2] + place * SPACING[0])]
        for place, (name, radius) in enumerate((("Spleen", 2.05), ("Liver", 1.3)), start=2)
    }
    write_contours(root / "b" / "rt.dcm", rois, series="1.2.8")
    segmented(root / "a")


def layered_nrrd(root: Path) -> None:
    """Two layers that were cropped to a part of the image, one voxel in from its first corner."""
    head = "NRRD0004\nencoding: raw\nendian: little\nspace: left-posterior-superior\n"
    steps = "(1,0,0) (0,1,0) (0,0,1)"
    image = np.arange(8 * 7 * 6, dtype="<i2").reshape(8, 7, 6)
    told = f"type: short\ndimension: 3\nsizes: 6 7 8\nspace directions: {steps}\n"
    told += "space origin: (1,2,3)\n\n"
    (root / "a.nrrd").write_bytes((head + told).encode() + image.tobytes())
    layers = np.zeros((2, 5, 4, 3), np.uint8)
    layers[0, 1:, 1:3, 2:], layers[1, :2, 2:, 1:] = 1, 1
    told = f"type: uchar\ndimension: 4\nsizes: 2 3 4 5\nspace directions: none {steps}\n"
    told += "kinds: list domain domain domain\nspace origin: (2,3,4)\n"
    for number, name in enumerate(NAMES):
        rows = {"ID": f"s{number}", "Name": name, "LabelValue": "1", "Layer": number}
        told += "".join(f"Segment{number}_{key}:={value}\n" for key, value in rows.items())
    voxels = np.moveaxis(layers, 0, -1).tobytes()
    (root / "a.seg.nrrd").write_bytes((head + told + "\n").encode() + voxels)


def pictures(root: Path) -> None:
    for name in ("image", "label"):
        (root / name).mkdir(parents=True)
        for z in range(3):
            plane = np.full((4, 5), 10 * z + 1, np.uint8) if name == "image" else np.eye(4, 5) * z
            Image.fromarray(plane.astype(np.uint8)).save(root / name / f"{z}.png")
    (root / "list.csv").write_text(
        "case_id,image,label,spacing\na,image,label,0.5 0.6 2\n", encoding="utf-8"
    )


def time_points(root: Path) -> None:
    write_series(
        root / "perf", [0.0, 2.0, 4.0, 6.0, 8.0] * 2, SeriesInstanceUID="1.2.1",
        RescaleSlope=lambda n: 1 + n // 5, RescaleIntercept=0, **MR,
    )  # fmt: skip


def mosaics(root: Path) -> None:
    write_mosaics(root / "bold", 2, SeriesInstanceUID="1.2.2")


def fourth_axis(root: Path) -> None:
    import nibabel

    both = np.stack([np.full((4, 5, 6), 3, np.int16), np.full((4, 5, 6), 9, np.int16)], axis=-1)
    nibabel.save(nibabel.Nifti1Image(both, np.eye(4)), root / "a.nii.gz")


LAYERS = {"label_layers": True}
RULES = {"structures": {"*e*n": "spleen", "*": "rest"}, "policy": {"E_LABEL_OVERLAP": "warn"}}


@pytest.mark.parametrize(
    ("write", "given"),
    [
        (segmented, {}),
        (segmented, RULES),
        (overlapping, LAYERS),
        (overlapping, RULES),
        (contoured, {}),
        (contoured, LAYERS),
        (layered_nrrd, LAYERS),
        (layered_nrrd, RULES),
        (pictures, {}),
        (time_points, {"several_volumes": "channels"}),
        (time_points, {"several_volumes": "cases"}),
        (time_points, {"several_volumes": "first"}),
        (mosaics, {"several_volumes": "cases"}),
        (mosaics, {"several_volumes": "channels"}),
        (fourth_axis, {"several_volumes": "cases"}),
        (fourth_axis, {"several_volumes": "first"}),
        (fourth_axis, {"several_volumes": "channels"}),
    ],
    ids=lambda value: value.__name__ if callable(value) else "-".join(value) or "plain",
)
def test_both_sides_of_a_case_hold_the_same_voxels(
    tmp_path: Path, write: Callable[[Path], object], given: dict[str, Any]
) -> None:
    root = tmp_path / "in"
    root.mkdir()
    write(root)
    source = next(root.glob("*.csv"), root)
    report = run(source, tmp_path / "out", {**PLAIN, "input": given})
    assert not report.failures
    cohort = open_cohort(tmp_path / "out")
    for case in cohort.values():
        assert source_problem(case.record, [str(root)]) == ""
        found = read_source(
            case.record, parse_config({**PLAIN, "input": given}), agreement=cohort.agreement
        )
        side = before_side(case)
        assert side.geometry.distance(found.straight_geometry) < 1e-9
        stored = np.asarray(case.image)
        stored = stored[None] if stored.ndim == 3 else stored
        np.testing.assert_array_equal(np.stack(found.channels), stored)
        assert set(found.labels) == set(case.labels)
        for name, label in found.labels.items():
            np.testing.assert_array_equal(label, np.asarray(case.labels[name][:]))
