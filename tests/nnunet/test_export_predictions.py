"""Logits of stored cases come back as files on the grids of the scans; and their probabilities."""

import errno
import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from scipy.ndimage import zoom
from scipy.special import expit, softmax
from support.cohorts import run
from support.commands import call

from gpuprep.nnunet.trained import TrainedNetwork
from gpuprep.nnunet.way_back import logits_to_segmentation
from gpuprep.store.reader import open_cohort

pytestmark = pytest.mark.usefixtures("reads_here")

SHAPE, SPACING = (20, 24, 9), (1.1, 1.0, 2.9)  # z, y, x: the coarse axis comes last
BOX = [[1, 8], [3, 19], [2, 21]]  # in the order of the stored axes, x z y
LABELS = {"background": 0, "organ": 1, "vessel": 2}
REGIONS = {"background": 0, "all": [1, 2], "vessel": 2}
SIGMOID = {"labels": REGIONS, "regions_class_order": [1, 2]}


def describe(folder: Path, ending: str, **more: object) -> Path:
    """A plans file with ``dataset.json`` beside it."""
    configuration = {
        "data_identifier": "nnUNetPlans_3d_fullres",
        "preprocessor_name": "DefaultPreprocessor",
        "patch_size": [8, 16, 16],
        "spacing": [2.0, 1.3, 1.2],
        "normalization_schemes": ["NoNormalization"],
        "use_mask_for_norm": [False],
    }
    for kind, order, is_seg in (("data", 3, False), ("seg", 1, True), ("probabilities", 1, False)):
        how = {"is_seg": is_seg, "order": order, "order_z": 0, "force_separate_z": None}
        configuration[f"resampling_fn_{kind}"] = "resample_data_or_seg_to_shape"
        configuration[f"resampling_fn_{kind}_kwargs"] = how
    plans = {
        "plans_name": "nnUNetPlans",
        "transpose_forward": [2, 0, 1],
        "foreground_intensity_properties_per_channel": {"0": {}},
        "configurations": {"3d_fullres": configuration},
    }
    fields = {"channel_names": {"0": "noNorm"}, "labels": LABELS, "numTraining": 1, **more}
    folder.mkdir(exist_ok=True)
    (folder / "dataset.json").write_text(json.dumps({**fields, "file_ending": ending}))
    (folder / "plans.json").write_text(json.dumps(plans))
    return folder / "plans.json"


@pytest.fixture(scope="module")
def scan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tilted scan with a rim of zeros, and a cohort made of it."""
    folder = tmp_path_factory.mktemp("scan")
    array = np.zeros(SHAPE, np.float32)
    x, z, y = (slice(*edges) for edges in BOX)
    array[z, y, x] = np.random.default_rng(5).normal(100, 20, array[z, y, x].shape)
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(SPACING[::-1])
    image.SetOrigin((5.0, -7.5, 100.25))
    image.SetDirection((0.6, 0.8, 0.0, -0.8, 0.6, 0.0, 0.0, 0.0, 1.0))
    (folder / "in").mkdir()
    sitk.WriteImage(image, str(folder / "in" / "kim.mha"))
    config = {
        "image": {
            "orientation": "keep",
            "crop": {"to": "nonzero"},
            "resample": {"spacing": [2.0, 1.2, 1.3], "grid": "nnunet", "separate_z": "auto"},
        },
        "store": {"dtype": "float32", "fsync": "never"},
    }
    assert run(folder / "in", folder / "out", config).exit_code == 0
    return folder


def logits_of(scan: Path, folder: Path, heads: int) -> np.ndarray:
    (stored,) = (scan / "out" / "cases").glob("*.zarr")
    shape = json.loads((stored / "record.json").read_text())["geometry"]["output"]["shape"]
    x = np.random.default_rng(1).standard_normal((heads, shape[2], shape[0], shape[1]))
    folder.mkdir()
    np.save(folder / "kim.npy", x.astype(np.float16))
    return x.astype(np.float16)


@pytest.mark.parametrize(("ending", "more"), [(".nii.gz", {}), (".mha", SIGMOID), (".nrrd", {})])
def test_the_command_writes_what_nnunet_would(
    scan: Path, tmp_path: Path, ending: str, more: dict[str, object]
) -> None:
    plans = describe(tmp_path / "plans", ending, **more)
    heads = 2 if more else 3
    logits = logits_of(scan, tmp_path / "logits", heads)
    words = (scan / "out", tmp_path / "logits", tmp_path / "segs")
    words = ("nnunet", "export-prediction", *words, "-p", plans, "-c", "3d_fullres")
    call(*words, "--save_probabilities", check=0)
    written = sitk.ReadImage(str(tmp_path / "segs" / f"kim{ending}"))
    source = sitk.ReadImage(str(scan / "in" / "kim.mha"))
    for name in ("GetSize", "GetSpacing", "GetOrigin", "GetDirection"):
        np.testing.assert_allclose(
            getattr(written, name)(), getattr(source, name)(), rtol=0, atol=1e-5
        )
    cropped = tuple(stop - start for start, stop in BOX)
    properties = {
        "spacing": SPACING,
        "bbox_used_for_cropping": BOX,
        "shape_before_cropping": (SHAPE[2], *SHAPE[:2]),
        "shape_after_cropping_and_before_resampling": cropped,
    }
    network = TrainedNetwork.read(plans, "3d_fullres")
    wanted = logits_to_segmentation(logits, network, properties)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(written), wanted)
    assert set(np.unique(wanted)) == {0, 1, 2}
    with np.load(tmp_path / "segs" / "kim.npz") as file:
        probabilities = file["probabilities"]
    assert probabilities.dtype == np.float32
    factors = [1, *(m / n for n, m in zip(logits.shape[1:], cropped, strict=True))]
    resampled = zoom(logits.astype(float), factors, order=1, mode="nearest", grid_mode=True)
    resampled = resampled.astype(np.float16).astype(float)
    inside = expit(resampled) if more else softmax(resampled, 0)
    whole = np.zeros((heads, SHAPE[2], *SHAPE[:2]))
    whole[0] = not more
    whole[(slice(None), *(slice(*edges) for edges in BOX))] = inside
    np.testing.assert_allclose(probabilities, whole.transpose(0, 2, 3, 1), rtol=0, atol=1e-6)
    done = call(*words, check=1)
    assert "exists already" in done.stderr
    call(*words, "--overwrite", "--threads", 2, check=0)


def test_a_cohort_whose_axes_were_turned_leads_back_too(scan: Path, tmp_path: Path) -> None:
    image = {"orientation": "RAI", "crop": {"to": "nonzero"}}
    config = {"image": image, "store": {"dtype": "float32", "fsync": "never"}}
    assert run(scan / "in", tmp_path / "out", config).exit_code == 0
    stored = np.asarray(open_cohort(tmp_path / "out")["kim"].image)
    assert stored.shape == (16, 7, 19)  # its y is the scan's x
    bright = stored.transpose(2, 0, 1) > 100
    logits = np.stack([~bright, bright, np.zeros_like(bright)]).astype(np.float16)
    (tmp_path / "logits").mkdir()
    np.save(tmp_path / "logits" / "kim.npy", logits)
    plans = describe(tmp_path / "plans", ".mha")
    words = (
        "nnunet",
        "export-prediction",
        tmp_path / "out",
        tmp_path / "logits",
        tmp_path / "segs",
    )
    call(*words, "-p", plans, "-c", "3d_fullres", check=0)
    written = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "segs" / "kim.mha")))
    source = sitk.GetArrayFromImage(sitk.ReadImage(str(scan / "in" / "kim.mha")))
    np.testing.assert_array_equal(written, source > 100)


def test_a_case_that_cannot_be_written_stops_no_other(scan: Path, tmp_path: Path) -> None:
    plans = describe(tmp_path / "plans", ".nii.gz")
    logits = logits_of(scan, tmp_path / "logits", 3)
    np.save(tmp_path / "logits" / "anna.npy", logits)
    words = (scan / "out", tmp_path / "logits", tmp_path / "segs", "-p", plans)
    words = ("nnunet", "export-prediction", *words)
    done = call(*words, "-c", "3d_fullres", "--json", check=1)
    told = json.loads(done.stdout)
    assert "holds no case 'anna'" in told["failed"]["anna"]
    assert [Path(each["path"]).name for each in told["written"]] == ["kim.nii.gz"]
    np.save(tmp_path / "logits" / "kim.npy", logits[:, :-1])
    done = call(*words, "-c", "3d_fullres", "--only", "kim", "--overwrite", check=1)
    assert "the stored case (10, 14, 16) in the order of its axes xzy" in done.stderr
    assert "no logits of ben" in call(*words, "-c", "3d_fullres", "--only", "ben", check=2).stderr
    assert "no configuration 2d" in call(*words, "-c", "2d", check=2).stderr


def test_probabilities_beyond_memory_lie_in_a_file_and_a_full_disk_is_told(
    scan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plans = describe(tmp_path / "plans", ".nii.gz")
    logits_of(scan, tmp_path / "logits", 3)
    words = ("nnunet", "export-prediction", scan / "out", tmp_path / "logits")
    options = ("-p", plans, "-c", "3d_fullres", "--save_probabilities")
    call(*words, tmp_path / "memory", *options, check=0)
    monkeypatch.setattr("gpuprep.export.logits._HELD", 0)
    call(*words, tmp_path / "file", *options, check=0)
    with (
        np.load(tmp_path / "memory" / "kim.npz") as one,
        np.load(tmp_path / "file" / "kim.npz") as other,
    ):
        np.testing.assert_array_equal(one["probabilities"], other["probabilities"])

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", refuse)
    done = call(*words, tmp_path / "full", *options, check=1)
    assert "No space left on device" in done.stderr
    assert list((tmp_path / "full").iterdir()) == []
