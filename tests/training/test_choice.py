"""What a training reads is the cohort's, whatever cases are called, and decided when the dataset is made."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.cohorts import run
from support.labelled import Stored, label_of, store_labelled
from support.stored import store_cohort

from gpuprep.store.files import append_line
from gpuprep.store.layout import MANIFEST_FILE
from gpuprep.store.places import read_lines
from gpuprep.store.stored_case import StoredCase
from gpuprep.training import Balanced, Foreground, PatchDataset
from gpuprep.values.agreement import Agreement, Classes
from gpuprep.values.errors import CohortWarning, StoreError, UsageError

pytestmark = pytest.mark.usefixtures("reads_here")

PATCH = (6, 5, 4)
ORGANS = Classes({1: "liver", 2: "spleen", 3: "ignore"}, ignore=3)
AGREED = Agreement(("CT",), {"organs": ORGANS, "lesions": Classes({1: "cyst"})})
BOTH = {"organs": (1, 2), "lesions": (1,)}


def quiet(root: Path, **choices: Any) -> PatchDataset:
    """The dataset, without what it tells of cases that it leaves out."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CohortWarning)
        return PatchDataset(root, **{"patch": PATCH, **choices})


def test_a_test_case_changes_nothing_wherever_it_sorts(tmp_path: Path) -> None:
    """An MSD data set whose imagesTs sort first, and last."""
    voxels = np.random.default_rng(0).integers(-900, 900, (16, 16, 16)).astype(np.int16)
    samples = []
    for test in ("0", "z"):
        source, output = tmp_path / f"in_{test}", tmp_path / f"out_{test}"
        for name, array in (
            ("imagesTr/a", voxels),
            ("labelsTr/a", (voxels > 0).astype(np.uint8)),
            (f"imagesTs/{test}", voxels),
        ):
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            nibabel.save(nibabel.Nifti1Image(array, np.eye(4)), source / f"{name}.nii.gz")
        (source / "dataset.json").write_text(
            '{"modality": {"0": "CT"}, "labels": {"0": "bg", "1": "x"}, '
            f'"test": ["./imagesTs/{test}.nii.gz"], '
            '"training": [{"image": "./imagesTr/a.nii.gz", "label": "./labelsTr/a.nii.gz"}]}'
        )
        assert run(source, output).exit_code == 0
        with pytest.warns(CohortWarning, match=rf"1 of 2 cases .* segmentation \({test}\)") as told:
            dataset = PatchDataset(
                output, patch=PATCH, sampler=Foreground("segmentation"), samples=9
            )
        assert len(told) == 1
        assert dataset.channels == ("CT",)
        assert dataset.classes["segmentation"].names == {1: "x"}
        samples.append(
            [(s["case"], *s["start"], s["labels"]["segmentation"].tobytes()) for s in dataset]
        )
        with pytest.raises(UsageError, match=rf"1 of 2 cases .*\({test}\)"):
            PatchDataset(output, patch=PATCH, cases=["a", test])
        assert sorted(PatchDataset(output, patch=PATCH, labels=[]).pool.ids) == sorted(["a", test])
    assert samples[0] == samples[1]


@settings(max_examples=12, deadline=None)
@given(st.permutations(["0", "case_2", "case_10", "z"]), st.booleans(), st.randoms())
def test_ids_and_their_order_do_not_decide(
    tmp_path_factory: pytest.TempPathFactory, names: list[str], listed: bool, random: Any
) -> None:
    kinds = (Stored(BOTH), Stored({"organs": (2, 300)}, "i4"), Stored(), Stored(BOTH, "i2"))
    root = store_labelled(
        tmp_path_factory.mktemp("out"), dict(zip(names, kinds, strict=True)), AGREED, listed=listed
    )
    dataset = quiet(root)
    assert dataset.channels == ("CT",)
    assert dataset.labels == ("lesions", "organs")
    assert dataset.classes == AGREED.labels
    assert set(dataset.pool.ids) == {names[0], names[3]}
    assert dataset.dtypes == {"lesions": np.uint8, "organs": np.uint8}
    order = list(dataset.pool.ids)
    random.shuffle(order)
    other = PatchDataset(root, patch=PATCH, cases=order)
    assert (other.channels, other.classes) == (dataset.channels, dataset.classes)
    wide = quiet(root, labels=["organs"])
    assert set(wide.pool.ids) == {names[0], names[1], names[3]}
    assert wide.dtypes == {"organs": np.int16}
    assert {s["labels"]["organs"].dtype for s in wide} == {np.dtype(np.int16)}


def test_all_cases_lacking_a_label_map_is_an_error(tmp_path: Path) -> None:
    store_labelled(tmp_path, {"a": Stored({"organs": (1,)}), "b": Stored()}, AGREED)
    with pytest.raises(UsageError, match="2 of 2 cases have no label lesions") as refused:
        PatchDataset(tmp_path, patch=PATCH)
    assert "labels=[…]; there are organs" in refused.value.advice


def test_a_sampler_needs_its_label_map_in_every_case(tmp_path: Path) -> None:
    store_labelled(tmp_path, {"a": Stored({"organs": (1,)}), "b": Stored()}, AGREED)
    with pytest.warns(CohortWarning, match=r"have no label organs \(b\)"):
        dataset = PatchDataset(tmp_path, patch=PATCH, labels=[], sampler=Foreground("organs"))
    assert dataset.pool.ids == ("a",)
    with pytest.raises(UsageError, match="have no label organs"):
        PatchDataset(tmp_path, patch=PATCH, labels=[], cases=["b"], sampler=Foreground("organs"))


def test_other_channels_are_refused_with_both_sides(tmp_path: Path) -> None:
    others = {"a": Stored(channels=("FLAIR", "T1")), "b": Stored(channels=("T1", "FLAIR"))}
    store_labelled(tmp_path, others, Agreement(("T1", "FLAIR")))
    with pytest.raises(UsageError, match=r"has channels T1, FLAIR, .*1 of 2.*a has FLAIR, T1"):
        PatchDataset(tmp_path, patch=PATCH)
    assert PatchDataset(tmp_path, patch=PATCH, cases=["b"]).channels == ("T1", "FLAIR")


def test_the_agreement_of_an_older_cohort_is_what_its_cases_show(tmp_path: Path) -> None:
    others = {"a": Stored(channels=("T1",)), "b": Stored(channels=("T2",))}
    store_labelled(tmp_path, others, None, listed=False)
    with pytest.raises(StoreError, match="do not agree"):
        PatchDataset(tmp_path, patch=PATCH)


def test_the_ignore_label_is_no_foreground(tmp_path: Path) -> None:
    store_labelled(
        tmp_path, {"a": Stored({"organs": (1, 3, 2)})}, Agreement(("CT",), {"organs": ORGANS})
    )
    dataset = PatchDataset(
        tmp_path, patch=(1, 1, 1), sampler=Foreground("organs", share=1), samples=200
    )
    assert {int(s["labels"]["organs"].item()) for s in dataset} == {1, 2}
    for sampler in (Foreground("organs", classes=(1, 3)), Balanced("organs", (3,))):
        with pytest.raises(
            UsageError, match="value 3 of label 'organs' is the cohort's ignore label"
        ):
            PatchDataset(tmp_path, patch=PATCH, sampler=sampler)


def test_no_case_is_opened_that_the_manifest_tells_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store_labelled(tmp_path, {name: Stored(BOTH) for name in "abc"}, AGREED)
    opened: list[str] = []
    init = StoredCase.__init__
    monkeypatch.setattr(
        StoredCase,
        "__init__",
        lambda self, *a, **k: (init(self, *a, **k), opened.append(self.id))[0],
    )
    PatchDataset(tmp_path, patch=PATCH, sampler=Balanced("organs", (1, 2)))
    assert opened == []
    append_line(tmp_path / MANIFEST_FILE, {"case": "b", "digest": "of an older version"})
    PatchDataset(tmp_path, patch=PATCH)
    assert opened == ["b"]
    (tmp_path / MANIFEST_FILE).unlink()
    PatchDataset(tmp_path, patch=PATCH)
    assert opened == ["b", "a", "b", "c"]


def test_a_run_brings_lines_of_older_versions_up_to_date(
    cohort_folder: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    run(cohort_folder, output)
    file = output / MANIFEST_FILE
    rows = {row["case"]: row for row in read_lines(file)}
    assert rows["volume-1"]["labels"] == {"segmentation": [0, 1, 2]}
    assert len(rows["volume-1"]["channels"]) == 1
    file.write_text("".join(f'{{"case": "{name}", "digest": "x"}}\n' for name in rows))
    assert run(cohort_folder, output).finished.done == 0
    assert {row["case"]: row for row in read_lines(file)} == rows
    lines = len(file.read_text().splitlines())
    run(cohort_folder, output)
    assert len(file.read_text().splitlines()) == lines


@pytest.mark.parametrize(
    ("values", "stored", "given"),
    [
        ((200,), "u1", "u1"),
        ((-3,), "i2", "i2"),
        ((60_000,), "u2", "i4"),
        ((3_000_000_001,), "u4", "i8"),
    ],
)
def test_torch_gets_every_value(tmp_path: Path, values: Any, stored: str, given: str) -> None:
    torch = pytest.importorskip("torch")
    cases = {"a": Stored({"organs": values}, stored), "b": Stored({"organs": (1,)})}
    store_labelled(tmp_path, cases, Agreement(("CT",), {"organs": Classes()}))
    dataset = PatchDataset(tmp_path, patch=label_of((1,), "u1").shape)
    (batch,) = torch.utils.data.DataLoader([dataset[0], dataset[1]], batch_size=2)
    labels = batch["labels"]["organs"]
    assert labels.numpy().dtype == np.dtype(given)
    assert set(torch.unique(labels.to(torch.int64)).tolist()) == {0, 1, *values}


def test_older_stores_are_read_as_before(tmp_path: Path) -> None:
    dataset = PatchDataset(store_cohort(tmp_path), patch=PATCH, sampler=Balanced("organ", (1, 2)))
    assert dataset.labels == ("organ",)
    assert dataset.channels == ("channel_0", "channel_1")
