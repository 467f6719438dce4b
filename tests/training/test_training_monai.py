"""Samples for MONAI: the arrays and affines of its own reader, taken by its loader and transforms."""

from __future__ import annotations

import itertools
import sys
import warnings
from typing import Any

import numpy as np
import pytest
from support.labelled import Stored, store_labelled
from support.stored import store_cohort

from gpuprep.config.file import parse_config
from gpuprep.export import export_case
from gpuprep.running.coordinator import run
from gpuprep.store.reader import Cohort, open_cohort
from gpuprep.training import Foreground, PatchDataset, PatchLoader, PatchSampler
from gpuprep.training.monai import MonaiCases, MonaiPatches
from gpuprep.values.agreement import Agreement, Classes
from gpuprep.values.errors import CohortWarning, UsageError

# what MONAI and torch say while they are imported, and that DataLoader forks while torch has threads
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]

PATCH = (16, 12, 20)
KEYS = ["image", "segmentation"]


@pytest.fixture(scope="module")
def monai() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip("monai.data")
        pytest.importorskip("monai.transforms")
        return sys.modules["monai"]


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    """Two CT-like cases with labels on a tilted, flipped grid of unlike spacings."""
    import nibabel

    folder = tmp_path_factory.mktemp("scans")
    c, s = np.cos(0.2), np.sin(0.2)
    for number in range(2):
        random = np.random.default_rng(number)
        shape = (30 + number, 26, 22)
        affine = np.eye(4)
        turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ np.diag([-1.0, 1.0, 1.0])
        affine[:3, :3] = turn * [0.7, 0.9, 1.5]
        affine[:3, 3] = [12.5, -40, 7 + number]
        voxels = random.integers(-900, 900, shape).astype(np.int16)
        label = (voxels > 600).astype(np.uint8)
        for name, array in (("volume", voxels), ("segmentation", label)):
            nibabel.save(nibabel.Nifti1Image(array, affine), folder / f"{name}-{number}.nii.gz")
    rules = parse_config({"image": {"orientation": "keep"}, "store": {"fsync": "never"}})
    out = tmp_path_factory.mktemp("out") / "out"
    assert run(folder, out, config=rules, scheduler="serial").exit_code == 0
    return open_cohort(out)


def assert_alike(ours: Any, theirs: Any) -> None:
    """The same voxels in the same place, and the same answers to what MONAI asks of a tensor."""
    assert type(ours) is type(theirs)
    assert ours.dtype == theirs.dtype
    np.testing.assert_array_equal(ours.numpy(), theirs.numpy())
    np.testing.assert_allclose(ours.affine, theirs.affine, atol=1e-5, rtol=0)
    assert ours.affine.dtype == theirs.affine.dtype
    assert ours.pixdim.tolist() == pytest.approx(theirs.pixdim.tolist(), abs=1e-5)
    assert ours.meta["space"] == theirs.meta["space"]
    assert tuple(ours.meta["spatial_shape"]) == tuple(theirs.meta["spatial_shape"])
    np.testing.assert_allclose(
        ours.meta["original_affine"], theirs.meta["original_affine"], atol=1e-5, rtol=0
    )


@pytest.mark.filterwarnings(
    "ignore:NvImgCodec:UserWarning"
)  # LoadImage tries all readers MONAI has
def test_whole_volumes_are_those_of_monais_reader(monai, cohort, tmp_path) -> None:
    from monai.transforms import Compose, EnsureChannelFirstd, LoadImaged

    load = Compose([LoadImaged(KEYS), EnsureChannelFirstd(KEYS)])
    for ours, case_id in zip(MonaiCases(cohort), cohort, strict=True):
        image, label = tmp_path / f"{case_id}.nii.gz", tmp_path / f"{case_id}_label.nii.gz"
        export_case(cohort.path, case_id, image)
        export_case(cohort.path, case_id, label, label="segmentation")
        theirs = load({"image": image, "segmentation": label})
        for key in KEYS:
            assert_alike(ours[key], theirs[key])


def test_patches_are_crops_of_whole_volumes(monai, cohort) -> None:
    from monai.transforms import SpatialCrop

    patches = MonaiPatches(cohort, patch=PATCH, samples=12, sampler=Foreground("segmentation"))
    whole = {sample["case"]: sample for sample in MonaiCases(cohort)}
    for sample in patches:
        start = sample["start"][::-1].tolist()
        end = [a + n for a, n in zip(start, PATCH[::-1], strict=True)]
        for key in KEYS:
            crop = SpatialCrop(roi_start=start, roi_end=end)(whole[sample["case"]][key])
            np.testing.assert_array_equal(sample[key].numpy(), crop.numpy())
            np.testing.assert_allclose(sample[key].affine, crop.affine, atol=1e-9, rtol=0)


def test_a_patch_over_the_border_lies_where_its_voxels_lie(monai, cohort) -> None:
    patches = MonaiPatches(cohort, patch=(40, 40, 40), samples=2)
    for sample in patches:
        case, start = cohort[sample["case"]], sample["start"]
        assert (start < 0).all()
        x, y, z, _ = sample["image"].affine.numpy() @ [*-start[::-1], 1]  # the volume's first voxel
        np.testing.assert_allclose([-x, -y, z], case.geometry.origin, atol=1e-9)


def traces(batches: Any) -> list[tuple[Any, ...]]:
    return [
        (int(epoch), int(number), case, image.numpy().tobytes(), label.numpy().tobytes())
        for batch in batches
        for epoch, number, case, image, label in zip(
            batch["epoch"],
            batch["number"],
            batch["case"],
            batch["image"],
            batch["segmentation"],
            strict=True,
        )
    ]


def augmented(cohort: Cohort, samples: int = 8) -> MonaiPatches:
    from monai.transforms import Compose, Orientationd, RandFlipd, RandGaussianNoised

    steps = [
        Orientationd(KEYS, axcodes="RAS"),
        RandFlipd(KEYS, prob=0.5, spatial_axis=0),
        RandGaussianNoised("image", prob=0.5),
    ]
    return MonaiPatches(cohort, patch=PATCH, samples=samples, transform=Compose(steps), seed=3)


@pytest.mark.parametrize(("workers", "method"), [(0, None), (2, "fork"), (2, "spawn")])
def test_monais_loader_gives_the_same_augmented_stream_for_any_workers(
    monai, cohort, workers, method
) -> None:
    patches = augmented(cohort)
    loader = monai.data.DataLoader(
        patches,
        batch_size=2,
        sampler=PatchSampler(patches),
        num_workers=workers,
        multiprocessing_context=method,
    )
    batches = list(loader)
    assert all(isinstance(batch["image"], monai.data.MetaTensor) for batch in batches)
    assert batches[0]["image"].affine.shape == (2, 4, 4)
    alone = augmented(cohort)
    expected = [alone[0, number] for number in range(8)]
    assert traces(batches) == traces({key: [value] for key, value in s.items()} for s in expected)


def test_our_loader_collates_as_monai_does_and_resumes(monai, cohort) -> None:
    def make() -> PatchLoader:
        return PatchLoader(augmented(cohort), batch_size=3)

    whole, broken, resumed = make(), make(), make()
    expected = traces(whole)
    begun = traces(itertools.islice(broken, 1))
    resumed.load_state_dict(broken.state_dict())
    assert begun + traces(resumed) == expected
    assert next(iter(make()))["image"].affine.shape == (3, 4, 4)


def test_a_stream_of_patches_is_the_same(monai, cohort) -> None:
    from gpuprep.training.stream import PatchStream

    stream = PatchStream(augmented(cohort), batch_size=2)
    loader = monai.data.DataLoader(stream, batch_size=2, num_workers=2)
    assert traces(loader) == traces(PatchLoader(augmented(cohort), batch_size=2))


def test_transforms_that_make_several_samples_are_flattened(monai, cohort) -> None:
    from monai.transforms import RandCropByPosNegLabeld

    crop = RandCropByPosNegLabeld(KEYS, "segmentation", (8, 8, 8), num_samples=3)
    cases = MonaiCases(cohort, transform=crop)
    (batch,) = monai.data.DataLoader(cases, batch_size=2)
    assert batch["image"].shape == (6, 1, 8, 8, 8)
    loader = PatchLoader(
        MonaiPatches(cohort, patch=PATCH, samples=4, transform=crop),
        batch_size=2,
    )
    batches = iter(loader)
    assert next(batches)["segmentation"].shape == (6, 1, 8, 8, 8)
    assert loader.state_dict()["done"] == 2


def test_monais_datasets_take_the_cases(monai, cohort) -> None:
    from monai.transforms import Orientationd

    turn = Orientationd(KEYS, axcodes="RAS")
    for dataset in (
        monai.data.Dataset(MonaiCases(cohort), turn),
        monai.data.CacheDataset(MonaiCases(cohort), turn, progress=False),
    ):
        sample = dataset[1]
        assert sample["case"] == cohort.ids[1]
        assert (np.diag(sample["image"].affine)[:3] > 0).all()


def test_monai_writes_a_case_back_where_it_was(monai, cohort, tmp_path) -> None:
    import nibabel
    from monai.transforms import Compose, Orientationd, SaveImaged

    steps = [
        Orientationd(KEYS, axcodes="RAS"),
        SaveImaged(
            ["segmentation"],
            output_dir=tmp_path,
            resample=True,
            print_log=False,
            separate_folder=False,
        ),
    ]
    sample = MonaiCases(cohort, transform=Compose(steps))[0]
    case = cohort[sample["case"]]
    saved = nibabel.load(tmp_path / f"{case.id}_trans.nii.gz")
    np.testing.assert_allclose(saved.affine, case.geometry.affine_ras, atol=1e-4)
    np.testing.assert_array_equal(
        np.asarray(saved.dataobj).T, np.asarray(case.labels["segmentation"])
    )


def test_channels_stay_first(monai, tmp_path) -> None:
    patches = MonaiPatches(store_cohort(tmp_path), patch=PATCH, samples=2)
    assert patches[0]["image"].shape == (2, *PATCH[::-1])
    plain = PatchDataset(tmp_path, patch=PATCH, samples=2)[0]["image"]
    np.testing.assert_array_equal(patches[0]["image"].numpy(), plain.transpose(0, 3, 2, 1))


def test_a_label_that_would_hide_the_image_is_refused(monai, cohort) -> None:
    with pytest.raises(UsageError, match="'image'"):
        MonaiCases(cohort, labels=["image"])
    with pytest.raises(UsageError, match="no case 'nobody'"):
        MonaiCases(cohort, cases=["nobody"])


@pytest.mark.parametrize("make", [MonaiCases, lambda path: MonaiPatches(path, patch=PATCH)])
def test_without_monai_the_error_says_what_to_install(monkeypatch, make) -> None:
    monkeypatch.setitem(sys.modules, "monai.data", None)
    with pytest.raises(UsageError, match="monai") as refused:
        make("anywhere")
    assert "gpuprep[monai]" in refused.value.advice


def test_large_values_and_test_cases(monai, tmp_path) -> None:
    """Values that float32 rounds are kept; a case without the label map is left out, as by PatchDataset."""
    ids = (312782546, 312782550)
    cases = {"a": Stored({"organs": ids}, "u4"), "0": Stored()}
    store_labelled(tmp_path, cases, Agreement(("CT",), {"organs": Classes()}))
    with pytest.warns(CohortWarning, match=r"no label organs \(0\)"):
        whole = MonaiCases(tmp_path)
    with pytest.warns(CohortWarning, match=r"no label organs \(0\)"):
        patches = MonaiPatches(tmp_path, patch=(12, 11, 10), samples=1)
    assert whole.ids == ("a",)
    for sample in (whole[0], patches[0]):
        assert set(np.unique(sample["organs"].numpy()).astype(np.int64)) == {0, *ids}
