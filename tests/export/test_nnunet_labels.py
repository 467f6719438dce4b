"""A cohort's classes as nnU-Net has them: class_locations, regions, the ignore label, dataset.json."""

import importlib.util
import json
import pickle
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.cohorts import run
from support.labelled import Stored, store_labelled

from gpuprep.export import convert_cohort
from gpuprep.export.nnunet_labels import NnunetLabels
from gpuprep.store.nnunet.class_locations import class_locations
from gpuprep.values.agreement import Agreement, Classes
from gpuprep.values.errors import UsageError

pytestmark = pytest.mark.usefixtures("reads_here")

PLAIN = Classes({1: "liver", 2: "tumor"})
IGNORING = Classes({1: "tumor", 2: "ignore"}, ignore=2)
BRAIN = Classes(
    {1: "whole", 2: "whole+core", 3: "whole+core+enhancing", 4: "ignore"},
    {"whole": (1, 2, 3), "core": (2, 3), "enhancing": (3,)},
    (1, 2, 3),
    ignore=4,
)
SOME = Classes({1: "organ", 2: "edema", 3: "core"}, {"tumor": (3, 2)}, (3,))


def test_keys_are_those_of_nnunet() -> None:
    """By the rules that its 2.8.1 preprocesses and loads by."""
    assert NnunetLabels.of(PLAIN).keys == (1, 2)
    assert NnunetLabels.of(IGNORING).keys == (1, (-1, 0, 1))
    assert NnunetLabels.of(BRAIN).keys == ((1, 2, 3), (2, 3), 3, (-1, 0, 1, 2, 3))
    assert NnunetLabels.of(SOME).keys == ((3, 2), 1)
    assert NnunetLabels.of(BRAIN).to_json() == {
        "labels": {
            "background": 0,
            "whole": [1, 2, 3],
            "core": [2, 3],
            "enhancing": 3,
            "ignore": 4,
        },
        "regions_class_order": [1, 2, 3],
    }
    assert NnunetLabels.of(SOME).to_json() == {
        "labels": {"background": 0, "tumor": [3, 2], "organ": 1},
        "regions_class_order": [3, 1],
    }


@pytest.mark.parametrize("classes", [PLAIN, IGNORING, BRAIN, SOME])
def test_nnunet_reads_the_description_as_we_do(classes: Classes) -> None:
    handling = pytest.importorskip("nnunetv2.utilities.label_handling.label_handling")
    preprocessor = pytest.importorskip("nnunetv2.preprocessing.preprocessors.default_preprocessor")
    ours = NnunetLabels.of(classes)
    told = ours.to_json()
    theirs = handling.LabelManager(told["labels"], told.get("regions_class_order"))
    wanted = list(theirs.foreground_regions if theirs.has_regions else theirs.foreground_labels)
    if theirs.has_ignore_label:
        wanted.append([-1, *theirs.all_labels])
    assert [tuple(k) if isinstance(k, list) else k for k in wanted] == list(ours.keys)
    label = np.random.default_rng(0).choice([-1, 0, 1, 2, 3], (1, 30, 50, 40)).astype(np.int16)
    drawn = preprocessor.DefaultPreprocessor._sample_foreground_locations(label, wanted)
    found = class_locations(label[0], ours.keys)
    assert list(found) == list(drawn)
    for key, places in found.items():
        np.testing.assert_array_equal(places, drawn[key])


@given(st.permutations(range(1, 6)), st.integers(1, 5), st.data())
def test_painting_regions_gives_the_label_map_again(
    values: list[int], count: int, data: st.DataObject
) -> None:
    """Nested regions, from the largest on, whatever their values are called."""
    values = values[:count]
    numbers = {value: number for number, value in enumerate(sorted(values), 1)}
    ranks = [numbers[value] for value in values]
    regions = {f"r{n}": tuple(ranks[n:]) for n in range(count)}
    labels = NnunetLabels.of(Classes({v: f"c{v}" for v in ranks}, regions))
    label = np.array(data.draw(st.lists(st.integers(0, count), min_size=8, max_size=8)))
    painted = np.zeros_like(label)
    for region, value in zip(regions.values(), labels.order, strict=False):
        painted[np.isin(label, region)] = value
    np.testing.assert_array_equal(painted if len(regions) > 1 else label, label)


@pytest.mark.parametrize(
    ("classes", "told"),
    [
        (Classes({1: "a", 255: "b"}), "from 1 to 2 without a gap, the cohort has 1, 255"),
        (Classes({1: "a", 2: "void", 3: "b"}, ignore=2), "from 1 to 2 without a gap"),
        (Classes({1: "a", 9: "void"}, ignore=9), "plus 1, which is 2; in the cohort it is 9"),
        (Classes({1: "background"}), "'background', the name of 1"),
        (Classes({1: "a", 2: "b"}, {"x": (1, 2)}), r"leave \[1, 2\]"),
    ],
)
def test_what_nnunet_cannot_train_is_refused(classes: Classes, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        NnunetLabels.of(classes)


def described(folder: Path, labels: dict[str, object], values: int, **more: object) -> Path:
    """Two cases in nnU-Net's layout; the last slices have the highest value."""
    for k in range(2):
        image = np.random.default_rng(k).integers(0, 400, (48, 40, 36)).astype(np.int16)
        label = (image // (400 // values)).clip(0, values - 1).astype(np.uint8)
        label[:, :, 20:] = values
        for name, array in ((f"imagesTr/c{k}_0000", image), (f"labelsTr/c{k}", label)):
            path = folder / "in" / f"{name}.nii.gz"
            path.parent.mkdir(parents=True, exist_ok=True)
            nibabel.save(nibabel.Nifti1Image(array, np.eye(4)), path)
    document = {"channel_names": {"0": "CT"}, "labels": labels, "file_ending": ".nii.gz"}
    (folder / "in/dataset.json").write_text(json.dumps({**document, "numTraining": 2, **more}))
    assert run(folder / "in", folder / "out", {}).exit_code == 0
    return folder / "out"


@pytest.fixture
def ignoring(tmp_path: Path) -> Path:
    """A run over a data set with voxels that nobody annotated."""
    return described(tmp_path, {"background": 0, "tumor": 1, "ignore": 2}, 2)


def test_regions_come_through_a_run_in_their_order(tmp_path: Path) -> None:
    """Names whose alphabetical order is another."""
    pytest.importorskip("blosc2")
    labels = {"background": 0, "whole": [1, 2, 3], "core": [2, 3], "enhancing": 3, "ignore": 4}
    output = described(tmp_path, labels, 4, regions_class_order=[1, 2, 3])
    done = convert_cohort(output, tmp_path / "D/new", "nnunet")
    document = json.loads(done.description.read_text())
    assert list(document["labels"].items()) == list(labels.items())
    assert document["regions_class_order"] == [1, 2, 3]
    found = pickle.loads((done.folder / "c1.pkl").read_bytes())["class_locations"]
    assert list(found) == [(1, 2, 3), (2, 3), 3, (-1, 0, 1, 2, 3)]


def test_an_ignore_label_reaches_nnunet(ignoring: Path, tmp_path: Path) -> None:
    pytest.importorskip("blosc2")
    folder = tmp_path / "pre/Dataset001_Ours/nnUNetPlans_3d_fullres"
    done = convert_cohort(ignoring, folder, "nnunet")
    assert {path.suffix for path in folder.iterdir()} == {".b2nd", ".pkl"}
    assert done.description == folder.parent / "dataset.json"
    document = json.loads(done.description.read_text())
    assert document["labels"] == {"background": 0, "tumor": 1, "ignore": 2}
    assert (document["channel_names"], document["numTraining"]) == ({"0": "CT"}, 2)
    found = pickle.loads((folder / "c0.pkl").read_bytes())["class_locations"]
    assert list(found) == [1, (-1, 0, 1)]
    places = found[(-1, 0, 1)]
    assert len(places) == 10_000
    assert places.dtype == np.int64
    for name in ("nnunetv2", "seaborn"):
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"{name} is not installed")
    script = Path(__file__).parents[2] / "benchmarks/nnunet_step.py"
    step = subprocess.run(
        [sys.executable, script, tmp_path / "pre"], capture_output=True, text=True, check=False
    )
    assert step.returncode == 0, step.stderr


def test_a_description_that_is_there_stays_or_is_contradicted(
    ignoring: Path, tmp_path: Path
) -> None:
    pytest.importorskip("blosc2")
    present = tmp_path / "D/dataset.json"
    present.parent.mkdir()
    own = {"channel_names": {"0": "ct"}, "labels": {"background": 0, "lesion": 1, "ignore": 2}}
    present.write_text(json.dumps(own))
    convert_cohort(ignoring, tmp_path / "D/first", "nnunet")
    assert json.loads(present.read_text()) == own
    for wrong in (
        own | {"labels": {"background": 0, "tumor": 1, "other": 2}},
        own | {"channel_names": {"0": "CT", "1": "PET"}},
        {"name": "something else"},
    ):
        present.write_text(json.dumps(wrong))
        with pytest.raises(UsageError, match=r"dataset\.json"):
            convert_cohort(ignoring, tmp_path / "D/second", "nnunet")
        assert not list((tmp_path / "D/second").iterdir())


def test_labels_are_those_of_the_cohort_for_any_selection(tmp_path: Path) -> None:
    pytest.importorskip("blosc2")
    cases = {"a": Stored({"organs": (2,)}), "b": Stored({"organs": (1,)})}
    root = store_labelled(tmp_path / "out", cases, Agreement(("CT",), {"organs": PLAIN}))
    for case_id in cases:
        folder = tmp_path / case_id / "nnUNetPlans_3d"
        convert_cohort(root, folder, "nnunet", cases=[case_id])
        found = pickle.loads((folder / f"{case_id}.pkl").read_bytes())["class_locations"]
        assert list(found) == [1, 2]


@pytest.mark.parametrize(("value", "dtype"), [(40_000, "u2"), (312782546, "u4"), (-5, "i2")])
def test_a_value_beyond_int16_is_named_with_its_case(
    tmp_path: Path, value: int, dtype: str
) -> None:
    pytest.importorskip("blosc2")
    cases = {"a": Stored({"organs": (1,)}), "b": Stored({"organs": (1, value)}, dtype)}
    store_labelled(tmp_path, cases, Agreement(("CT",), {"organs": Classes()}))
    with pytest.raises(UsageError, match=f"case b, label organs holds the value {value}"):
        convert_cohort(tmp_path, tmp_path / "D/new", "nnunet")
    assert not list((tmp_path / "D").glob("**/*.*"))
