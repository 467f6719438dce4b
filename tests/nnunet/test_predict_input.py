"""New images become what the network was trained on; a cascade gets the earlier stage's segmentation too."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from support.commands import call
from support.nnunet_balls import NAME, planned, raw_dataset, write_case

from gpuprep.nnunet.inputs import network_inputs
from gpuprep.nnunet.trained import TrainedNetwork
from gpuprep.nnunet.way_back import logits_to_segmentation
from gpuprep.store.reader import open_cohort

pytestmark = pytest.mark.usefixtures("reads_here")

FOLDER = Path(__file__).parents[1] / "goldens"
TOLD: dict[str, Any] = json.loads((FOLDER / "goldens.json").read_text("utf-8"))["nnunet_masks"]
UNMASKED = (
    "doubled",
    "slices",
    "many_labels",
)  # elsewhere labels widen the mask, and with it a z-score
FLAT: dict[str, Any] = {
    "transpose_forward": [0, 1, 2],
    "foreground_intensity_properties_per_channel": {},
    "configurations": {
        "2d": {
            "preprocessor_name": "DefaultPreprocessor",
            "spacing": [0.6, 0.6],
            "normalization_schemes": ["NoNormalization"],
            "use_mask_for_norm": [False],
        }
    },
}
KEYS = {"data", "data_properties", "ofile"}


def feed(plans: Path, configuration: str, *words: object, check: int = 0) -> Any:
    line = ("nnunet", "predict-input", *words, "-p", plans, "-c", configuration)
    return call(*line, "--scheduler", "serial", "--no-progress", check=check)


def goldens() -> dict[str, np.ndarray]:
    with np.load(FOLDER / "nnunet_masks.npz", allow_pickle=False) as found:
        return {key: found[key] for key in found.files}


def described(name: str, folder: Path) -> tuple[Path, str]:
    """A golden's plans, with ``dataset.json`` beside them, and the name of the configuration."""
    plans = json.loads(TOLD[name]["plans"]) if name in TOLD else FLAT
    (configuration,) = plans["configurations"]
    fields = plans["configurations"][configuration]
    fields |= {"data_identifier": "own", "patch_size": [8] * len(fields["spacing"])}
    for kind, order, is_seg in (("data", 3, False), ("seg", 1, True), ("probabilities", 1, False)):
        how = {"is_seg": is_seg, "order": order, "order_z": 0, "force_separate_z": None}
        fields[f"resampling_fn_{kind}"] = "resample_data_or_seg_to_shape"
        fields[f"resampling_fn_{kind}_kwargs"] = how
    plans["configurations"]["cascade"] = {
        "inherits_from": configuration,
        "previous_stage": "3d_lowres",
    }
    plans["plans_name"] = "plans"
    values = np.unique(goldens()[f"{name}/label"]) if name in TOLD else [0, 1]
    labels = {"background": 0, **{f"l{value}": int(value) for value in values if value}}
    channels = {str(number): f"c{number}" for number in range(len(fields["normalization_schemes"]))}
    document = {"channel_names": channels, "labels": labels, "numTraining": 5}
    (folder / "dataset.json").write_text(json.dumps({**document, "file_ending": ".mha"}))
    (folder / "plans.json").write_text(json.dumps(plans))
    return folder / "plans.json", configuration


def save(file: Path, array: np.ndarray, spacing: list[float]) -> None:
    file.parent.mkdir(exist_ok=True)
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(spacing[::-1])  # which a NIfTI file would round
    sitk.WriteImage(image, str(file))


def inputs_of(name: str, folder: Path) -> Path:
    for number, channel in enumerate(goldens()[f"{name}/image"]):
        save(folder / "in" / f"a_{number:04d}.mha", channel, TOLD[name]["spacing"])
    return folder / "in"


@pytest.mark.parametrize("name", UNMASKED)
def test_an_image_is_what_nnunet_makes_of_it(name: str, tmp_path: Path) -> None:
    plans, configuration = described(name, tmp_path)
    feed(plans, configuration, inputs_of(name, tmp_path), tmp_path / "out")
    network = TrainedNetwork.read(tmp_path / "out" / "plans.json", configuration)
    (item,) = network_inputs(tmp_path / "out" / "cohort", network, tmp_path / "segs")
    assert set(item) == KEYS
    assert item["ofile"] == str(tmp_path / "segs" / "a")
    assert item["data_properties"]["bbox_used_for_cropping"] == json.loads(TOLD[name]["box"])
    assert "class_locations" not in item["data_properties"]
    wanted = goldens()[f"{name}/stored_image"]
    assert item["data"].dtype == np.float32
    assert item["data"].flags.c_contiguous
    for channel, theirs in zip(item["data"], wanted, strict=True):
        assert np.abs(channel - theirs).max() <= 1e-6 * np.ptp(theirs)


@pytest.mark.parametrize("name", ["thick", "sagittal", "sagittal_slices", "many_labels"])
def test_a_cascade_takes_in_the_segmentation_as_nnunet_resamples_it(
    name: str, tmp_path: Path
) -> None:
    plans, configuration = described(name, tmp_path)
    label = goldens()[f"{name}/label"]
    save(tmp_path / "segs" / "a.mha", label.astype(np.int16), TOLD[name]["spacing"])
    images = inputs_of(name, tmp_path)
    refused = feed(plans, "cascade", images, tmp_path / "out", check=2)
    assert "takes in what 3d_lowres made" in refused.stderr
    previous = ("-prev_stage_predictions", tmp_path / "segs")
    refused = feed(plans, configuration, images, tmp_path / "out", *previous, check=2)
    assert "no second stage" in refused.stderr
    feed(plans, "cascade", images, tmp_path / "out", *previous)
    network = TrainedNetwork.read(plans, "cascade")
    (item,) = network_inputs(tmp_path / "out" / "cohort", network)
    image, stored = goldens()[f"{name}/stored_image"], goldens()[f"{name}/stored_label"][:]
    assert len(item["data"]) == len(image) + len(network.dataset.values) - 1
    for channel, theirs in zip(item["data"], image, strict=False):
        assert np.abs(channel - theirs).max() <= 1e-6 * np.ptp(theirs)
    hot = item["data"][len(image) :]
    assert set(np.unique(hot)) == {0, 1}
    differ = [
        np.count_nonzero(channel != (stored == value))
        for channel, value in zip(hot, network.dataset.values[1:], strict=True)
    ]
    assert max(differ) <= 1e-3 * stored.size  # voxels that two labels have in equal parts


def test_a_new_case_is_the_training_case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("blosc2")
    import blosc2

    raw = raw_dataset(tmp_path / "raw", 2)
    folder = planned(tmp_path / "pp", raw)
    monkeypatch.setenv("nnUNet_raw", str(raw))
    monkeypatch.setenv("nnUNet_preprocessed", str(folder.parent))
    call("nnunet", "preprocess", "-d", 31, "-c", "3d_fullres", "--scheduler", "serial", check=0)
    plans = folder / "nnUNetPlans.json"
    images = raw / NAME / "imagesTr"
    done = feed(plans, "3d_fullres", images, tmp_path / "out")
    assert "2 cases in" in done.stdout
    network = TrainedNetwork.read(plans, "3d_fullres")
    for item, case in zip(network_inputs(tmp_path / "out" / "cohort", network), "01", strict=True):
        file = folder / "nnUNetPlans_3d_fullres" / f"ball_00{case}.b2nd"
        np.testing.assert_array_equal(item["data"], blosc2.open(str(file))[:])
    (tmp_path / "logits").mkdir()
    logits = np.random.default_rng(2).normal(size=(3, *item["data"].shape[1:])).astype(np.float32)
    np.save(tmp_path / "logits" / "ball_001.npy", logits)
    trained_on = folder / "gpuprep" / "nnUNetPlans"  # whose arrays are nnU-Net's files
    for name, cohort in (("new", tmp_path / "out"), ("old", trained_on)):
        words = ("nnunet", "export-prediction", cohort, tmp_path / "logits", tmp_path / name)
        call(*words, "-p", plans, "-c", "3d_fullres", check=0)
    new, old = (sitk.ReadImage(str(tmp_path / name / "ball_001.nii.gz")) for name in ("new", "old"))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(new), sitk.GetArrayFromImage(old))


def test_what_was_fed_comes_back_without_naming_the_plans_again(tmp_path: Path) -> None:
    raw = raw_dataset(tmp_path / "raw", 1)
    plans = planned(tmp_path / "pp", raw) / "nnUNetPlans.json"
    feed(plans, "3d_fullres", raw / NAME / "imagesTr", tmp_path / "out")
    network = TrainedNetwork.read(plans, "3d_fullres")
    (item,) = network_inputs(tmp_path / "out" / "cohort", network)
    logits = np.zeros((3, *item["data"].shape[1:]), np.float32)
    logits[2, :, 2:-2] = 1
    (tmp_path / "logits").mkdir()
    np.save(tmp_path / "logits" / "ball_000.npy", logits)
    words = ("nnunet", "export-prediction", tmp_path / "out", tmp_path / "logits")
    other = call(*words, tmp_path / "segs", "-c", "2d", check=1)
    assert "was made for 3d_fullres, and the logits are of 2d" in other.stderr
    call(*words, tmp_path / "segs", "-c", "3d_fullres", check=0)
    written = sitk.ReadImage(str(tmp_path / "segs" / "ball_000.nii.gz"))
    source = sitk.ReadImage(str(raw / NAME / "imagesTr" / "ball_000_0000.nii.gz"))
    assert written.GetSize() == source.GetSize()
    wanted = logits_to_segmentation(logits, network, item["data_properties"])
    np.testing.assert_array_equal(sitk.GetArrayFromImage(written), wanted)
    assert set(np.unique(wanted)) == {0, 2}


def test_an_image_with_two_axes_comes_back_with_two(tmp_path: Path) -> None:
    plans, configuration = described("flat", tmp_path)
    plane = np.random.default_rng(0).uniform(1, 2, (40, 30)).astype(np.float32)
    save(tmp_path / "in" / "a_0000.mha", plane, [0.5, 0.7])
    feed(plans, configuration, tmp_path / "in", tmp_path / "out")
    network = TrainedNetwork.read(plans, configuration)
    (item,) = network_inputs(tmp_path / "out" / "cohort", network)
    assert item["data_properties"]["spacing"] == [999 * 0.7, 0.5, 0.7]
    logits = np.random.default_rng(1).normal(size=(2, *item["data"].shape[1:])).astype(np.float16)
    (tmp_path / "logits").mkdir()
    np.save(tmp_path / "logits" / "a.npy", logits)
    words = ("nnunet", "export-prediction", tmp_path / "out", tmp_path / "logits")
    call(*words, tmp_path / "segs", "-c", configuration, check=0)
    written = sitk.ReadImage(str(tmp_path / "segs" / "a.mha"))
    assert (written.GetSize(), written.GetSpacing()) == ((30, 40), (0.7, 0.5))
    wanted = logits_to_segmentation(logits, network, item["data_properties"])
    np.testing.assert_array_equal(sitk.GetArrayFromImage(written), wanted[0])


def test_one_broken_image_stops_no_other_and_the_same_again_goes_on(tmp_path: Path) -> None:
    raw = raw_dataset(tmp_path / "raw", 2)
    plans = planned(tmp_path / "pp", raw) / "nnUNetPlans.json"
    images = raw / NAME / "imagesTr"
    (images / "ball_001_0001.nii.gz").unlink()
    (images / "notes.txt").touch()
    options = ("--set", "input.limits.seconds=60")
    refused = feed(
        plans, "3d_fullres", images, tmp_path / "out", "--set", "store.chunk=16", check=2
    )
    assert "store would make other arrays than the plans say" in refused.stderr
    done = feed(plans, "3d_fullres", images, tmp_path / "out", *options, check=1)
    assert "1 done, 1 failed" in done.stdout
    assert "1 files are no image of a case: notes.txt" in done.stdout + done.stderr
    assert open_cohort(tmp_path / "out" / "cohort").ids == ("ball_000",)
    write_case(raw, "ball_001", 1)
    told = json.loads(feed(plans, "3d_fullres", images, tmp_path / "out", "--json").stdout)
    assert told["cohort"] == str(tmp_path / "out" / "cohort")
    assert open_cohort(told["cohort"]).ids == ("ball_000", "ball_001")


def test_other_plans_that_are_refused_do_not_take_the_place_of_those_fed(tmp_path: Path) -> None:
    raw = raw_dataset(tmp_path / "raw", 1)
    plans = planned(tmp_path / "pp", raw) / "nnUNetPlans.json"
    images = raw / NAME / "imagesTr"
    feed(plans, "3d_fullres", images, tmp_path / "out")
    before = (tmp_path / "out" / "plans.json").read_bytes()
    other = planned(tmp_path / "other", raw, (2.0, 1.0, 2.0)) / "nnUNetPlans.json"
    assert "--overwrite" in feed(other, "3d_fullres", images, tmp_path / "out", check=2).stderr
    assert (tmp_path / "out" / "plans.json").read_bytes() == before
    feed(other, "3d_fullres", images, tmp_path / "out", "--overwrite")
    assert (tmp_path / "out" / "plans.json").read_bytes() == other.read_bytes()


def test_a_folder_of_something_else_is_no_output(tmp_path: Path) -> None:
    raw = raw_dataset(tmp_path / "raw", 1)
    plans = planned(tmp_path / "pp", raw) / "nnUNetPlans.json"
    images = raw / NAME / "imagesTr"
    for output, told in ((raw / NAME, "a folder of a data set"), (images, "a folder of images")):
        before = sorted(output.rglob("*"))
        assert told in feed(plans, "3d_fullres", images, output, check=2).stderr
        assert sorted(output.rglob("*")) == before
