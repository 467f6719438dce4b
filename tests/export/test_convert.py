"""Cohorts for other software: our own discovery reads the MSD layout, nnU-Net's own loader its files."""

import importlib.util
import json
import pickle
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest
from typer.testing import CliRunner

from gpuprep.cli.app import app
from gpuprep.cohort.discover import discover
from gpuprep.config.file import parse_config
from gpuprep.export import convert_cohort
from gpuprep.io.reader import read
from gpuprep.io.rules import ReadRules
from gpuprep.running.coordinator import run
from gpuprep.store.nnunet.class_locations import class_locations
from gpuprep.store.reader import Cohort, open_cohort
from gpuprep.values.errors import UsageError

pytestmark = pytest.mark.usefixtures("reads_here")


@pytest.fixture
def cohort(cohort_folder: Path, tmp_path: Path) -> Cohort:
    """Four labelled cases, cropped and resampled, and one without a label."""
    (cohort_folder / "segmentation-3.nii.gz").unlink()
    tree = {
        "image": {"crop": {"to": "body"}, "resample": {"spacing": [1.0, 1.0, 1.5]}},
        "store": {"fsync": "never"},
        "input": {"layout": "lits"},
    }
    report = run(cohort_folder, tmp_path / "out", config=parse_config(tree), scheduler="serial")
    assert report.exit_code == 0, report.failures
    return open_cohort(tmp_path / "out")


def test_msd_layout_is_found_again(cohort: Cohort, tmp_path: Path) -> None:
    done = convert_cohort(cohort.path, tmp_path / "Task01_Balls", "msd")
    assert done.cases == cohort.ids
    found = discover(done.folder)
    assert found.layout == "msd"
    assert not found.unmatched
    assert sum(bool(case.labels) for case in found.cases) == 3
    for case in found.cases:
        stored = cohort[case.id]
        scan = read(case.images[0], ReadRules())
        assert scan.geometry.distance(stored.geometry) <= 5e-5
        np.testing.assert_array_equal(scan.volumes[0].array, np.asarray(stored.image))
        for label in case.labels:
            voxels = read(label.sources[0], ReadRules()).volumes[0].array
            np.testing.assert_array_equal(voxels, np.asarray(stored.labels["segmentation"]))
    document = json.loads((done.folder / "dataset.json").read_text())
    assert (document["numTraining"], document["numTest"]) == (3, 1)
    assert document["labels"] == {"0": "background", "1": "label_1", "2": "label_2"}
    assert document["tensorImageSize"] == "3D"


def test_channels_of_an_msd_image_come_last(tmp_path: Path) -> None:
    for name, value in (("t1", 10), ("t2", 20)):
        image = nibabel.Nifti1Image(np.full((5, 6, 7), value, np.int16), np.eye(4))
        (tmp_path / "in").mkdir(exist_ok=True)
        nibabel.save(image, tmp_path / "in" / f"{name}.nii")
    (tmp_path / "in/c.csv").write_text("case_id,image_T1,image_T2\nkim,t1.nii,t2.nii\n")
    rules = parse_config({"store": {"fsync": "never", "dtype": "int16"}})
    report = run(tmp_path / "in/c.csv", tmp_path / "out", config=rules, scheduler="serial")
    assert report.exit_code == 0, report.failures
    convert_cohort(tmp_path / "out", tmp_path / "msd", "msd")
    document = json.loads((tmp_path / "msd/dataset.json").read_text())
    assert document["modality"] == {"0": "T1", "1": "T2"}
    voxels = np.asarray(nibabel.load(tmp_path / "msd" / document["test"][0]).dataobj)
    assert voxels.shape == (5, 6, 7, 2)
    assert [set(np.unique(voxels[..., n])) for n in (0, 1)] == [{10}, {20}]


@pytest.fixture
def nnunet_folder(cohort: Cohort, tmp_path: Path) -> Path:
    pytest.importorskip("blosc2")
    cases = cohort.ids[:3]
    return convert_cohort(cohort.path, tmp_path / "nnUNetPlans_3d", "nnunet", cases=cases).folder


def test_nnunet_files_hold_the_case(cohort: Cohort, nnunet_folder: Path) -> None:
    import blosc2

    for case_id in cohort.ids[:3]:
        case = cohort[case_id]
        image = blosc2.open(str(nnunet_folder / f"{case_id}.b2nd"), mode="r")
        label = blosc2.open(str(nnunet_folder / f"{case_id}_seg.b2nd"), mode="r")
        assert (image.dtype, label.dtype) == (np.float32, np.int16)
        np.testing.assert_array_equal(image[0], np.asarray(case.image))
        np.testing.assert_array_equal(label[0], np.asarray(case.labels["segmentation"]))
        properties = pickle.loads((nnunet_folder / f"{case_id}.pkl").read_bytes())
        for value, places in properties["class_locations"].items():
            assert (label[:][tuple(np.array(places).T)] == value).all()
        box = properties["bbox_used_for_cropping"]
        assert [stop - start for start, stop in box] == list(
            properties["shape_after_cropping_and_before_resampling"]
        )


def test_plans_beside_the_folder_say_how_its_files_are_cut(cohort: Cohort, tmp_path: Path) -> None:
    blosc2 = pytest.importorskip("blosc2")
    folder = tmp_path / "nnUNetPlans_3d_fullres"
    plan = {"data_identifier": folder.name, "patch_size": [8, 16, 4]}
    plans = {"transpose_forward": [2, 0, 1], "configurations": {"3d_fullres": plan}}
    (tmp_path / "nnUNetPlans.json").write_text(json.dumps(plans))
    other = {**plans, "configurations": {"3d_fullres": {**plan, "patch_size": [64, 64, 64]}}}
    (tmp_path / "nnUNetLPlans.json").write_text(json.dumps(other))
    (tmp_path / "broken.json").write_text("{")
    case_id = cohort.ids[0]
    convert_cohort(cohort.path, folder, "nnunet", cases=[case_id])
    image = blosc2.open(str(folder / f"{case_id}.b2nd"))
    np.testing.assert_array_equal(image[0], np.asarray(cohort[case_id].image).transpose(2, 0, 1))
    assert image.chunks == tuple(map(min, (1, 12, 24, 6), image.shape))
    (tmp_path / "nnUNetPlans.json").write_text(json.dumps(other))
    with pytest.raises(UsageError, match="written with patch"):
        convert_cohort(cohort.path, folder, "nnunet", cases=[case_id])
    (tmp_path / "nnUNetPlans.json").write_text("{")
    with pytest.raises(UsageError, match="does not say how to cut"):
        convert_cohort(cohort.path, folder, "nnunet", cases=[case_id])


def test_nnunet_opens_its_files(cohort: Cohort, nnunet_folder: Path) -> None:
    datasets = pytest.importorskip("nnunetv2.training.dataloading.nnunet_dataset")
    dataset = datasets.infer_dataset_class(str(nnunet_folder))(str(nnunet_folder))
    assert dataset.identifiers == sorted(cohort.ids[:3])
    for case_id in dataset.identifiers:
        image, label, previous, properties = dataset.load_case(case_id)
        assert previous is None
        np.testing.assert_array_equal(image[:], np.asarray(cohort[case_id].image)[None])
        np.testing.assert_array_equal(
            label[:], np.asarray(cohort[case_id].labels["segmentation"])[None]
        )
        assert set(properties["class_locations"]) == {1, 2}


def test_nnunet_trains_on_its_files(cohort: Cohort, tmp_path: Path) -> None:
    """Its own trainer, data loader, augmentation and network; in a process of its own."""
    for package in ("nnunetv2", "seaborn"):  # its trainer's plots
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    folder = tmp_path / "Dataset001_Ours/nnUNetPlans_3d_fullres"
    convert_cohort(cohort.path, folder, "nnunet", cases=cohort.ids[:3])
    script = Path(__file__).parents[2] / "benchmarks/nnunet_step.py"
    step = subprocess.run(
        [sys.executable, script, tmp_path], capture_output=True, text=True, check=False
    )
    assert step.returncode == 0, step.stderr
    found = json.loads(step.stdout.splitlines()[-1])
    assert found["dataset"] == "nnUNetDatasetBlosc2"
    assert np.isfinite(found["losses"]).all()
    assert found["weights_moved"] > 0


def test_locations_are_drawn_as_nnunet_draws_them() -> None:
    module = pytest.importorskip("nnunetv2.preprocessing.preprocessors.default_preprocessor")
    random = np.random.default_rng(0)
    label = random.choice([0, 1, 2, 5], (1, 60, 70, 80), p=[0.8, 0.15, 0.04, 0.01]).astype(np.int16)
    theirs = module.DefaultPreprocessor._sample_foreground_locations(label, [1, 2, 3, 5])
    ours = class_locations(label[0], [1, 2, 3, 5])
    assert list(ours) == list(theirs)
    for value, places in ours.items():
        np.testing.assert_array_equal(places, theirs[value])


def test_locations_are_few_and_right() -> None:
    label = np.zeros((1, 120, 100, 100), np.int16)
    label[0, :101] = 1
    label[0, 110, 3, 4:7] = 2
    found = class_locations(label[0], [1, 2, 3])
    assert len(found[1]) == 10_100  # one in a hundred
    assert len(np.unique(found[1], axis=0)) == len(found[1])
    assert (label[tuple(found[1].T)] == 1).all()
    assert sorted(map(tuple, found[2])) == [(0, 110, 3, x) for x in (4, 5, 6)]
    assert found[3] == []


def test_refusals(cohort: Cohort, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full/mine.txt").touch()
    for words, told in (
        ({"folder": tmp_path / "full"}, "not empty"),
        ({"output": tmp_path / "none"}, "not a cohort"),
        ({"cases": ["lee"]}, "no case 'lee'"),
        ({"cases": cohort.ids[:1], "label": "tumour"}, "no label 'tumour'"),
    ):
        asked = {"output": cohort.path, "folder": tmp_path / "new", "to": "msd"} | words
        with pytest.raises(UsageError, match=told):
            convert_cohort(**asked)
    assert not (tmp_path / "new").exists()


def test_nnunet_needs_labels(cohort: Cohort, tmp_path: Path) -> None:
    pytest.importorskip("blosc2")
    with pytest.raises(UsageError, match="has no label map"):
        convert_cohort(cohort.path, tmp_path / "new", "nnunet")


def test_a_missing_package_is_named(
    cohort: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "blosc2", None)
    with pytest.raises(UsageError, match="blosc2") as refused:
        convert_cohort(cohort.path, tmp_path / "new", "nnunet")
    assert "gpuprep[nnunet]" in refused.value.advice


def test_the_command_converts(cohort: Cohort, tmp_path: Path) -> None:
    words = ["convert", str(cohort.path), str(tmp_path / "msd"), "--to", "msd", "--json"]
    done = CliRunner().invoke(app, [*words, "--case", cohort.ids[1]])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["cases"] == [cohort.ids[1]]
