"""A cohort with a mark outside the foreground, end to end: nothing takes it for a class."""

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from support.cohorts import run

import gpuprep
from gpuprep.export.case import export_case
from gpuprep.export.convert import convert_cohort
from gpuprep.planning.preview import preview_cohort
from gpuprep.quality.classes import presences
from gpuprep.quality.cohort_quality import CohortQuality
from gpuprep.store.stored_case import StoredCase
from gpuprep.store.verify import verify_cohort
from gpuprep.viewing.case_sides import after_side
from gpuprep.viewing.subject import inspect_path
from gpuprep.viewing.thumbnail import thumbnail_png

IMAGE = {
    "orientation": "keep",
    "foreground": {"where": "nonzero_or_label", "fill_holes": True},
    "channels": {
        "CT": {"intensity": [{"clip": {"low": 0, "high": 500}}, {"rescale": {"to": [0, 1]}}]},
        "PET": {"outside": "zero", "intensity": [{"zscore": {"over": "foreground"}}]},
    },
    "resample": {"spacing": [1, 1, 1], "grid": "nnunet"},
}
CONFIG = {"image": IMAGE, "label": {"outside": -1}, "store": {"dtype": "float32"}}


def write(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = sitk.GetImageFromArray(array)
    image.SetSpacing((0.9, 0.9, 1.3))
    sitk.WriteImage(image, str(path))


def write_dataset(folder: Path) -> Path:
    random, shape = np.random.default_rng(0), (14, 22, 20)
    places = np.indices(shape) - np.array(shape).reshape(3, 1, 1, 1) / 2
    head = (places**2).sum(0) < 36
    for case in range(2):
        for channel in range(2):
            voxels = np.where(head, random.integers(1, 900, shape), 0)
            write(folder / f"imagesTr/c{case}_000{channel}.nii.gz", voxels.astype(np.int16))
        label = np.zeros(shape, np.uint8)
        label[5:9, 8:13, 8:12], label[6:8, 9:12, 12:15] = 1, 2
        write(folder / f"labelsTr/c{case}.nii.gz", label)
    told = {"channel_names": {"0": "CT", "1": "PET"}, "labels": {"background": 0, "a": 1, "b": 2}}
    told |= {"numTraining": 2, "file_ending": ".nii.gz"}
    (folder / "dataset.json").write_text(json.dumps(told))
    return folder


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> gpuprep.Cohort:
    folder = tmp_path_factory.mktemp("outside")
    assert run(write_dataset(folder / "Dataset001_X"), folder / "out", CONFIG).exit_code == 0
    return gpuprep.open(folder / "out")


@pytest.fixture
def case(cohort: gpuprep.Cohort) -> StoredCase:
    return cohort["c0"]


def test_what_is_stored(cohort: gpuprep.Cohort, case: StoredCase) -> None:
    stored = np.asarray(case.labels["segmentation"])
    assert stored.dtype == np.int8
    assert case.outside == -1
    assert np.unique(stored).tolist() == [-1, 0, 1, 2]
    np.testing.assert_array_equal(case.read_classes("segmentation"), np.maximum(stored, 0))
    assert case.record["outside"]["voxels"]["segmentation"] == np.count_nonzero(stored == -1)
    assert sorted(case.record["labels"]["segmentation"]) == ["0", "1", "2"]
    assert sorted(case.locations("segmentation")) == [1, 2]
    assert not verify_cohort(cohort.path, full=True)


def test_lists_and_measures(cohort: gpuprep.Cohort, case: StoredCase) -> None:
    table = cohort.table()
    columns = [name for name in table.columns if name.startswith("voxels.")]
    assert columns == [f"voxels.segmentation.{value}" for value in (0, 1, 2)]
    found = presences(table.columns, cohort.agreement)
    assert [(each.value, each.name) for each in found] == [(1, "a"), (2, "b")]
    measures = CohortQuality(table, cohort.agreement).measures
    label = case.read_classes("segmentation")
    share = measures["labelled.segmentation"].values[0]
    assert share == pytest.approx(100 * np.count_nonzero(label) / label.size)


def test_pictures_and_pages(case: StoredCase) -> None:
    side = after_side(case)
    assert sorted(side.labels[0].voxels) == [0, 1, 2]
    notes = [" ".join(channel.notes) for channel in side.channels]
    assert ["are 0, whatever" in text for text in notes] == [False, True]
    seen = inspect_path(Path(str(case.path)), gpuprep.Config())
    assert sorted(seen.labels[0].voxels) == [0, 1, 2]
    case.show().convert("RGB")
    plain = unmarked(case)
    assert thumbnail_png(case) == thumbnail_png(plain)


def unmarked(case: StoredCase) -> StoredCase:
    """The same case with a label map that is 0 wherever it is -1."""
    other = StoredCase(case.path)

    class Plain:
        def __init__(self) -> None:
            self.array = case.read_classes("segmentation")
            self.shape, self.dtype = self.array.shape, self.array.dtype

        def read(self, start, stop) -> np.ndarray:
            return self.array[tuple(map(slice, start, stop))].copy()

    other.labels = {"segmentation": Plain()}
    return other


def test_files_for_others(cohort: gpuprep.Cohort, case: StoredCase, tmp_path: Path) -> None:
    folder = Path(str(cohort.path))
    export_case(folder, "c0", tmp_path / "label.nii.gz", label="segmentation")
    convert_cohort(folder, tmp_path / "msd", to="msd")
    for file in (tmp_path / "label.nii.gz", tmp_path / "msd/labelsTr/c0.nii.gz"):
        array = sitk.GetArrayFromImage(sitk.ReadImage(str(file)))
        np.testing.assert_array_equal(array, case.read_classes("segmentation"))


def test_the_plan_has_the_bytes(tmp_path: Path) -> None:
    source = write_dataset(tmp_path / "Dataset001_X")
    with_mark = preview_cohort(source, gpuprep.Config.model_validate(CONFIG))
    plain = preview_cohort(source, gpuprep.Config.model_validate({**CONFIG, "label": {}}))
    assert with_mark.projections[0].bytes_out == plain.projections[0].bytes_out
    assert with_mark.projections[0].peak_bytes >= plain.projections[0].peak_bytes
