"""A case in nnU-Net's files: what is in them, in which order of axes, and what is refused."""

import pickle
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
import pytest
from support.nnunet_arrays import goldens, image, label_map

from gpuprep.config.store import NnunetFiles
from gpuprep.store.nnunet.case import write_nnunet_case
from gpuprep.store.nnunet.previous import write_previous_stage
from gpuprep.store.nnunet.properties import case_properties
from gpuprep.values.errors import RunStopped, StoreError, UsageError, ValueRangeError
from gpuprep.values.geometry import Geometry

GRID = Geometry((44, 160, 190), (0.7, 0.8, 2.5), (-10.0, 4.0, 7.0))
BOX = [[2, 42], [4, 154], [9, 179]]
RULE = NnunetFiles(patch=(64, 96, 96), forward=(2, 0, 1), locations=((1, 2), 2, (-1, 0, 1, 2)))


@dataclass(frozen=True)
class Case:
    image: Any = None
    labels: Any = None

    def write(self, folder: Path, **words: Any) -> dict[str, dict[str, int]]:
        grids = {"oriented": GRID.to_json(), "crop": BOX}
        settings = {"geometry": grids, "rule": RULE, "threads": 1, "durable": False} | words
        return write_nnunet_case(folder, image=self.image, labels=self.labels, **settings)


@pytest.fixture(name="case")
def _case() -> Case:
    pytest.importorskip("blosc2")
    label = np.zeros((40, 150, 170), np.int16)
    label[:, :60, :60] = (
        label_map("an ignore label")[:40].repeat(2, 1)[:, :60].repeat(2, 2)[..., :60]
    )
    return Case(image("smooth")[0], {"organ": label})


def test_files_hold_the_case_in_the_stored_order(case: Case, tmp_path: Path) -> None:
    import blosc2

    seals = case.write(tmp_path / "new")
    assert sorted(seals) == ["image.b2nd", "label.b2nd", "properties.pkl"]
    for name, seal in seals.items():
        data = (tmp_path / "new" / name).read_bytes()
        assert (len(data), google_crc32c.value(data)) == (seal["size"], seal["crc32c"])
    stored, label = (blosc2.open(str(tmp_path / "new" / name)) for name in list(seals)[:2])
    assert (stored.dtype, label.dtype) == (np.float32, np.int16)
    np.testing.assert_array_equal(stored[0], case.image.transpose(2, 0, 1))
    np.testing.assert_array_equal(label[0], case.labels["organ"].transpose(2, 0, 1))
    assert stored.shape == label.shape == (1, 170, 40, 150)
    properties = pickle.loads((tmp_path / "new/properties.pkl").read_bytes())
    located = properties.pop("class_locations")
    assert list(located) == [(1, 2), 2, (-1, 0, 1, 2)]
    for key, rows in located.items():
        assert np.isin(label[:][tuple(rows.T)], key).all()
        assert rows.dtype == np.int64
    assert properties == {
        "sitk_stuff": {
            "spacing": (0.7, 0.8, 2.5),
            "origin": (-10.0, 4.0, 7.0),
            "direction": (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0),
        },
        "spacing": [2.5, 0.8, 0.7],
        "shape_before_cropping": (190, 44, 160),
        "bbox_used_for_cropping": [[9, 179], [2, 42], [4, 154]],
        "shape_after_cropping_and_before_resampling": (170, 40, 150),
    }


def test_another_process_with_other_threads_writes_the_same_bytes(
    case: Case, tmp_path: Path
) -> None:
    seals = case.write(tmp_path / "one", threads=4, durable=True)
    (tmp_path / "case.pkl").write_bytes(pickle.dumps((case.image, case.labels, GRID, BOX, RULE)))
    script = (
        "import json, pickle, sys\n"
        "from gpuprep.store.nnunet.case import write_nnunet_case\n"
        "image, labels, grid, box, rule = pickle.load(open(sys.argv[1], 'rb'))\n"
        "grids = {'oriented': json.loads(json.dumps(grid.to_json())), 'crop': box}\n"
        "write_nnunet_case(sys.argv[2], image=image, labels=labels, geometry=grids, rule=rule)\n"
    )
    words = [sys.executable, "-c", script, tmp_path / "case.pkl", tmp_path / "two"]
    subprocess.run(words, check=True)
    for name in seals:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_a_case_without_a_label_map_has_no_places_either(case: Case, tmp_path: Path) -> None:
    seals = replace(case, labels={}).write(tmp_path)
    assert sorted(seals) == ["image.b2nd", "properties.pkl"]
    properties = pickle.loads((tmp_path / "properties.pkl").read_bytes())
    assert "class_locations" not in properties


def test_what_does_not_fit_is_refused(case: Case, tmp_path: Path) -> None:
    label = case.labels["organ"]
    with pytest.raises(StoreError, match="labels only"):
        replace(case, image=None).write(tmp_path)
    with pytest.raises(StoreError, match="2: organ, other"):
        replace(case, labels={"organ": label, "other": label}).write(tmp_path)
    with pytest.raises(StoreError, match=r"\(39, 150, 170\)"):
        replace(case, labels={"organ": label[1:]}).write(tmp_path)
    large = label.astype(np.int32)
    large[3, 4, 5] = 40_000
    with pytest.raises(ValueRangeError, match="40,000") as refused:
        replace(case, labels={"organ": large}).write(tmp_path)
    assert "label.map" in refused.value.advice
    assert not [*tmp_path.iterdir()]
    large[3, 4, 5] = -1
    replace(case, labels={"organ": large}).write(tmp_path)


def test_a_full_disk_stops_the_run_and_leaves_no_half_of_a_file(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    armed = (("mid_shard@image", "raise-ENOSPC"),)
    monkeypatch.setattr("gpuprep.host.failpoints._armed", armed)
    with pytest.raises(RunStopped, match="bytes are free"):
        case.write(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"label.b2nd", "properties.pkl"}


def test_properties_are_those_of_nnunet() -> None:
    for forward, before, box, after, spacing in goldens()["properties"]:
        back = [forward.index(axis) for axis in range(3)]
        grid = Geometry(tuple(before[axis] for axis in back), tuple(spacing[::-1]))
        grids = {"oriented": grid.to_json(), "crop": [box[axis] for axis in back]}
        ours = case_properties(grids, forward, None)
        assert ours["shape_before_cropping"] == tuple(before)
        assert ours["bbox_used_for_cropping"] == box
        assert ours["shape_after_cropping_and_before_resampling"] == tuple(after)
        assert ours["spacing"] == spacing
        axes = (
            2 if spacing[0] == 999 * max(spacing[1:]) else 3
        )  # as it describes images of two axes
        sizes = [len(ours["sitk_stuff"][name]) for name in ("spacing", "origin", "direction")]
        assert sizes == [axes, axes, axes**2]


def test_the_file_of_a_cascade_is_cut_as_nnunets(tmp_path: Path) -> None:
    blosc2 = pytest.importorskip("blosc2")
    told = goldens()["previous_stage"]
    labels = np.zeros(told["shape"], np.int64)
    labels[100:, 50:, 7:] = 2
    write_previous_stage(
        tmp_path / "big_0.b2nd", labels, patch=told["patch"], foreground=2, durable=False
    )
    stored = blosc2.open(str(tmp_path / "big_0.b2nd"))
    np.testing.assert_array_equal(stored[:], labels)
    assert str(stored.dtype) == told["dtype"]
    assert (list(stored.chunks), list(stored.blocks)) == (told["chunks"], told["blocks"])


def test_many_labels_take_two_bytes(tmp_path: Path) -> None:
    blosc2 = pytest.importorskip("blosc2")
    labels = np.arange(260).reshape(4, 5, 13)
    write_previous_stage(tmp_path / "a.b2nd", labels, patch=(8, 8), foreground=260)
    stored = blosc2.open(str(tmp_path / "a.b2nd"))
    assert stored.dtype == np.uint16
    np.testing.assert_array_equal(stored[:], labels)
    with pytest.raises(UsageError, match="segmentation of a holds the value 259"):
        write_previous_stage(tmp_path / "a.b2nd", labels, patch=(8, 8), foreground=254)
