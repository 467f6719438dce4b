"""Whole numbers in files and samples are those of the store, or an error: none is wrapped or rounded."""

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given
from hypothesis import strategies as st
from support.cohorts import run
from support.labelled import SHAPE, Stored, label_of, store_labelled

from gpuprep.export import (
    convert_cohort,
    export_case,
    find_case,
    prediction_to_native,
    write_volume,
)
from gpuprep.export.prediction import load_prediction
from gpuprep.inference.patches import GridPatches
from gpuprep.inference.stitch import stitch
from gpuprep.store.reader import open_cohort
from gpuprep.values.agreement import Agreement, Classes
from gpuprep.values.errors import UsageError
from gpuprep.values.exact import exactly
from gpuprep.values.geometry import Geometry
from gpuprep.values.volume import Volume

pytestmark = pytest.mark.usefixtures("reads_here")

CODES = ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", ">i2", ">u4", "?"]


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".mha"])
@pytest.mark.parametrize("wide", [False, True])
def test_files_hold_the_same_numbers(tmp_path: Path, code: str, suffix: str, wide: bool) -> None:
    dtype = np.dtype(code)
    ends = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    values = [*ends, 0, 1] if wide else [0, 1, 1, 0]
    array = (
        np.array([int(v) for v in values] * 2).astype(dtype)
        if not wide
        else np.array(values * 2, dtype)
    )
    array = array.reshape(2, 2, 2)
    file = tmp_path / f"labels{suffix}"
    write_volume(Volume(array, Geometry((2, 2, 2))), file)
    wanted = array.astype(object).tolist()
    assert sitk.GetArrayFromImage(sitk.ReadImage(str(file))).astype(object).tolist() == wanted
    if suffix != ".mha":
        read = np.asarray(nibabel.load(file).dataobj).T
        assert read.astype(object).tolist() == wanted
    if dtype.itemsize == 8 and wide:
        with pytest.raises(UsageError, match="64 voxels"):
            load_prediction(file)
    else:
        assert load_prediction(file).array.astype(object).tolist() == wanted


@pytest.mark.parametrize("dtype", ["u2", "u4", "i4"])
def test_large_ids_of_a_case_are_exported_as_they_are(tmp_path: Path, dtype: str) -> None:
    values = (60_000, 60_001) if dtype == "u2" else (312782546, 312782550)
    label = label_of(values, dtype)
    store_labelled(tmp_path / "out", {"a": Stored({"ids": values}, dtype)}, None)
    for name in ("a.nii.gz", "a.mha"):
        export_case(tmp_path / "out", "a", tmp_path / name, label="ids")
        read = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / name)))
        np.testing.assert_array_equal(read, label)


integers = st.sampled_from(["u1", "i1", "u2", "i2", "u4", "i4", "i8"]).map(np.dtype)


@given(integers, integers, st.data())
def test_exactly_keeps_or_refuses(dtype: np.dtype, wanted: np.dtype, data: st.DataObject) -> None:
    limits = np.iinfo(dtype)
    values = data.draw(st.lists(st.integers(int(limits.min), int(limits.max)), max_size=6))
    array = np.array(values, dtype)
    fits = all(np.iinfo(wanted).min <= value <= np.iinfo(wanted).max for value in values)
    if fits:
        assert exactly(array, wanted, "x").tolist() == values
        assert exactly(array, wanted, "x").dtype == wanted
    else:
        with pytest.raises(UsageError, match="x holds the value"):
            exactly(array, wanted, "x")


def test_exactly_tells_what_a_float_cannot_hold() -> None:
    assert exactly(np.array([1 << 24], np.int32), np.float32, "x").tolist() == [1 << 24]
    with pytest.raises(UsageError, match="16777217"):
        exactly(np.array([0, (1 << 24) + 1], np.int32), np.float32, "x")


def test_a_value_outside_must_be_one_of_the_dtype(cohort_folder: Path, tmp_path: Path) -> None:
    config = {"image": {"crop": {"to": "body"}}}
    run(cohort_folder, tmp_path / "out", config, limit=1)
    case = find_case(tmp_path / "out", "volume-0")
    predicted = np.zeros(case.geometry.shape, np.uint8)
    for outside in (-1, 0.5, 256):
        with pytest.raises(UsageError, match="outside"):
            prediction_to_native(case, predicted, outside=outside)
    voxels, _ = prediction_to_native(case, predicted, outside=255)
    assert set(np.unique(voxels)) <= {0, 255}


def test_stitched_labels_keep_their_values() -> None:
    label = np.random.default_rng(0).integers(0, 120, (30, 21, 20)).astype(np.int32)
    patches = GridPatches(label, (16, 16, 16))
    pairs = [(patch.number, patch.voxels) for patch in patches]
    np.testing.assert_array_equal(stitch(patches, pairs, dtype=np.int32), label)
    large = [(number, voxels + 312782546) for number, voxels in pairs]
    with pytest.raises(UsageError, match="exact up to 16,777,216"):
        stitch(patches, large, dtype=np.int32)


def test_an_msd_export_says_what_the_cohort_says(tmp_path: Path) -> None:
    """Structures of one file each: the first case lacks one, and declares nothing for the others."""
    rows = ["case_id,image,label"]
    for case_id, names in (("s0", ["liver"]), ("s1", ["aorta", "liver"])):
        folder = tmp_path / "in" / case_id
        (folder / "segmentations").mkdir(parents=True)
        nibabel.save(nibabel.Nifti1Image(np.ones(SHAPE, np.int16), np.eye(4)), folder / "ct.nii.gz")
        for number, name in enumerate(names):
            mask = np.zeros(SHAPE, np.uint8)
            mask[2 + number] = 1
            nibabel.save(
                nibabel.Nifti1Image(mask, np.eye(4)), folder / f"segmentations/{name}.nii.gz"
            )
        rows.append(f"{case_id},in/{case_id}/ct.nii.gz,in/{case_id}/segmentations")
    (tmp_path / "cases.csv").write_text("\n".join(rows))
    assert run(tmp_path / "cases.csv", tmp_path / "out", {}).exit_code == 0
    agreed = open_cohort(tmp_path / "out").agreement
    for case_id in ("s0", "s1"):
        folder = tmp_path / f"msd-{case_id}"
        done = convert_cohort(tmp_path / "out", folder, "msd", cases=[case_id])
        document = json.loads(done.description.read_text())
        assert document["labels"] == {"0": "background", "1": "aorta", "2": "liver"}
        assert list(document["modality"].values()) == list(agreed.channels)
        label = np.asarray(nibabel.load(folder / document["training"][0]["label"]).dataobj)
        assert set(np.unique(label)) == ({0, 2} if case_id == "s0" else {0, 1, 2})


def test_cases_that_do_not_agree_are_not_exported_together(tmp_path: Path) -> None:
    agreement = Agreement(("CT",), {"a": Classes(), "b": Classes()})
    cases = {
        "p": Stored({"a": (1,)}),
        "q": Stored({"b": (1,)}),
        "r": Stored({"a": (1,)}, channels=("MR",)),
    }
    store_labelled(tmp_path / "out", cases, agreement)
    for ids, told in ((["p", "q"], "p: a; q: b"), (["p", "r"], "has channels CT, but r has MR")):
        with pytest.raises(UsageError, match=told):
            convert_cohort(tmp_path / "out", tmp_path / "msd", "msd", cases=ids)
