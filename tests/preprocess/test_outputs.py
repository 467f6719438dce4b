"""Several outputs of one case: what is computed once, and the memory that they take one after another."""

import weakref
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.in_memory import Files

from gpuprep.config.file import parse_config
from gpuprep.config.model import Config
from gpuprep.host import scratch as scratch_module
from gpuprep.host.scratch import Scratch
from gpuprep.ops.operations import HostOperations
from gpuprep.preprocess.assemble import assemble
from gpuprep.preprocess.compute import Computed, compute
from gpuprep.preprocess.pipeline import run_case
from gpuprep.preprocess.projection import footprint, project
from gpuprep.preprocess.task import CaseTask, Stopwatch
from gpuprep.store.stored_case import open_case
from gpuprep.values.case import Case, LabelSource
from gpuprep.values.errors import StoreError
from gpuprep.values.findings import Findings
from gpuprep.values.geometry import Geometry

FINE: dict[str, Any] = {"resample": {"spacing": [0.8, 0.8, 0.8]}}
COARSE: dict[str, Any] = {"resample": {"spacing": [2, 2, 2]}}
WINDOW: dict[str, Any] = {"intensity": [{"window": {"level": 50, "width": 80}}]}


def several(outputs: dict[str, Any], **more: Any) -> Config:
    base = {"store": {"dtype": "float32", "chunk": 16, "fsync": "never"}, "outputs": outputs}
    return parse_config({**base, **more})


@pytest.fixture
def files() -> Files:
    files = Files()
    voxels = np.random.default_rng(3).integers(0, 100, (20, 24, 28)).astype(np.int16)
    files.add("image", voxels)
    files.add("label", (voxels > 60).astype(np.uint8))
    return files


@pytest.fixture
def case() -> Case:
    files = Files()
    place = files.add("image", np.zeros((1, 1, 1))), files.add("label", np.zeros((1, 1, 1)))
    return Case("a", (place[0],), (LabelSource((place[1],)),))


class Counted(HostOperations):
    """NumPy, with what it was asked for."""

    def __init__(self) -> None:
        super().__init__(1)
        self.asked: Counter[str] = Counter()

    def resample(self, channel, how, out):
        self.asked["image"] += 1
        super().resample(channel, how, out)

    def resample_labels(self, label, how):
        self.asked["label"] += 1
        return super().resample_labels(label, how)

    def mask(self, arrays, above=None):
        self.asked["mask"] += 1
        return super().mask(arrays, above)

    def measure(self, channel, mask=None):
        self.asked["measure"] += mask is None
        return super().measure(channel, mask)


def computed(
    files: Files, case: Case, config: Config, operations: HostOperations
) -> list[Computed]:
    assembled = assemble(case, config, files.read, Findings())
    task = CaseTask(case, "", "")
    return list(compute(task, assembled, config, operations, Findings(), (), Stopwatch()))


def test_what_outputs_have_in_common_is_computed_once(files, case):
    operations = Counted()
    packed = {**FINE, "store": {"codec": "tight"}}
    outputs = {"a": FINE, "b": COARSE, "c": packed, "d": {**FINE, **WINDOW}, "e": COARSE}
    found = computed(files, case, several(outputs), operations)
    assert operations.asked == {"measure": 1, "label": 2, "image": 3}
    assert [output.name for output in found] == ["a", "c", "d", "b", "e"]
    assert [output.is_last for output in found] == [False] * 4 + [True]
    by_name = {output.name: output for output in found}
    assert by_name["a"].image is by_name["c"].image
    assert by_name["a"].labels is by_name["d"].labels
    assert not np.array_equal(by_name["a"].image, by_name["d"].image)


@pytest.mark.parametrize(
    ("other", "images"),
    [
        ({"store": {"dtype": "float16"}}, 2),
        ({"store": {"keep_bits": 8}}, 2),
        ({"store": {"chunk": 32}}, 2),
        ({"resample": {"interpolation": "linear"}}, 2),
        ({"resample": {"boundary": "mirror"}}, 2),
        ({"intensity": [{"zscore": {"over": "foreground"}}]}, 2),
        ({"intensity": [{"multiply": {"by": 1}}]}, 1),
        ({"store": {"pyramid": 1}}, 1),
        ({"resample": {}}, 1),
    ],
    ids=str,
)
def test_an_image_is_shared_only_where_every_number_is_the_same(files, case, other, images):
    operations = Counted()
    computed(files, case, several({"a": {}, "b": other}), operations)
    assert (operations.asked["image"], operations.asked["label"]) == (images, 1)


def test_the_foreground_is_looked_for_once(files, case):
    files["label"].volumes[0].array[:, :, :7] = 0
    over = {"zscore": {"over": "foreground"}}
    outputs = {"a": {"intensity": [over]}, "b": {"intensity": [WINDOW["intensity"][0], over]}}
    rule = {"foreground": {"where": "label"}}
    operations = Counted()
    computed(files, case, several(outputs, image=rule), operations)
    assert operations.asked["mask"] == 1


def test_a_projection_takes_the_largest_output_for_memory_and_all_for_disk():
    numbers = {"channels": 2, "bytes_in": 1, "decoded_bytes": 1 << 20, "label_bytes": 1}
    grid = Geometry((40, 50, 60))
    config = several({"coarse": COARSE, "fine": FINE, "half": {"store": {"dtype": "float16"}}})
    told = project("a", config, grid, **numbers)
    alone = {name: project("a", part, grid, **numbers) for name, part in config.parts().items()}
    assert told.bytes_out == sum(each.bytes_out for each in alone.values())
    assert told.peak_bytes == alone["fine"].peak_bytes == max(e.peak_bytes for e in alone.values())
    assert told.least_bytes == alone["fine"].least_bytes
    assert told.output == alone["coarse"].output
    assert told.outputs == {name: each.output for name, each in alone.items()}


def test_the_memory_of_an_output_is_that_of_the_next(tmp_path: Path, files, case, monkeypatch):
    """Each of four outputs fits in memory, two at a time do not: nothing goes to disk."""
    mapped: list[int] = []
    own = scratch_module.map_file
    monkeypatch.setattr(
        scratch_module, "map_file", lambda folder, size: mapped.append(size) or own(folder, size)
    )
    windows = {
        f"w{n}": {"intensity": [{"window": {"level": n, "width": 9}}], **FINE} for n in range(3)
    }
    config = several({**windows, "coarse": COARSE})
    assembled = assemble(case, config, files.read, Findings())
    needed = footprint(assembled.decoded_bytes, assembled.geometry, 1, config)
    label = 25 * 30 * 35
    memory = needed.working + needed.sources + needed.results + label
    run_case(CaseTask(case, str(tmp_path), "", memory=memory), config, files.read)
    assert not mapped
    place = tmp_path / "cases" / "a.zarr"
    assert {open_case(place, output=f"w{n}").image.shape for n in range(3)} == {(25, 30, 35)}


def test_an_image_is_let_go_before_the_next_one_is_there(tmp_path: Path, files, case, monkeypatch):
    made: list[weakref.ref[Any]] = []
    alive: list[int] = []
    own, label = HostOperations.empty, HostOperations.resample_labels

    def noted(self, *more):
        alive.append(sum(each() is not None for each in made))
        image = own(self, *more)
        made.append(weakref.ref(image))
        return image

    def noted_label(self, *more):
        alive.append(sum(each() is not None for each in made))
        made.append(weakref.ref(found := label(self, *more)))
        return found

    monkeypatch.setattr(HostOperations, "empty", noted)
    monkeypatch.setattr(HostOperations, "resample_labels", noted_label)
    config = several({"a": FINE, "b": {**FINE, **WINDOW}, "c": COARSE})
    run_case(CaseTask(case, str(tmp_path), ""), config, files.read)
    assert alive == [0, 1, 1, 0, 1]  # label, image, image; label, image


def test_scratch_counts_again_what_was_let_go():
    scratch = Scratch("", 100)
    with scratch.passing():
        assert scratch.take(60)
        with scratch.passing():
            assert scratch.take(40)
            assert not scratch.take(1)
        assert scratch.take(40)
    assert scratch.take(100)


def test_label_maps_alone_may_have_several_grids(tmp_path: Path, files, case):
    config = several({"fine": FINE, "coarse": COARSE}, label={"only": True})
    record = run_case(CaseTask(case, str(tmp_path), ""), config, files.read)
    place = tmp_path / "cases" / "a.zarr"
    fine, coarse = (open_case(place, output=name) for name in ("fine", "coarse"))
    assert (fine.image, coarse.image) == (None, None)
    assert fine.labels["segmentation"].shape == (25, 30, 35)
    assert coarse.labels["segmentation"].shape == (10, 12, 14)
    assert record["outputs"]["coarse"]["labels"] == coarse.record["labels"]


def test_what_is_found_of_all_outputs_is_said_once(tmp_path: Path, files, case):
    files["label"].volumes[0].array[...] = 0
    over = [{"zscore": {"over": "foreground"}}]
    rule = {"foreground": {"where": "label"}, "intensity": over}
    for outputs, told in (
        ({"a": {}, "b": FINE}, ["channel channel_0 has no foreground to measure"]),
        ({"a": {"intensity": []}, "b": {}}, ["output b: channel channel_0 has no foreground to measure"]),
    ):  # fmt: skip
        config = several(outputs, image=rule)
        record = run_case(CaseTask(case, str(tmp_path), "", replace=True), config, files.read)
        found = [row for row in record["findings"] if row["code"] == "W_EMPTY_FOREGROUND"]
        assert [row["message"] for row in found] == told


def test_files_of_nnunet_are_those_of_a_run_alone_and_share_what_is_equal(
    tmp_path: Path, files, case
):
    pytest.importorskip("blosc2")

    def net(*patch: int) -> dict[str, Any]:
        return {"store": {"nnunet": {"patch": patch, "locations": [[1]]}}}

    spread = {"resample": {"spacing": ["keep", "keep", 1.0]}, **net(16, 16)}
    config = several(
        {"3d": {**FINE, **net(16, 16, 16)}, "2d": {**FINE, **net(32, 32)}, "own": spread}
    )
    operations = Counted()
    computed(files, case, config, operations)
    assert (operations.asked["image"], operations.asked["label"]) == (2, 2)
    run_case(CaseTask(case, str(tmp_path / "all"), ""), config, files.read)
    for name, part in config.parts().items():
        run_case(CaseTask(case, str(tmp_path / name), ""), part, files.read)
        alone, beside = tmp_path / name / "cases/a.zarr", tmp_path / "all/cases/a.zarr" / name
        wanted = {path.name: path.read_bytes() for path in beside.iterdir()}
        assert set(wanted) == {"image.b2nd", "label.b2nd", "properties.pkl"}
        assert {name: (alone / name).read_bytes() for name in wanted} == wanted
    with pytest.raises(StoreError, match="stored as files of nnU-Net"):
        open_case(tmp_path / "2d/cases/a.zarr")


def test_a_file_of_nnunet_counts_as_memory_that_must_be_there():
    grid, files = Geometry((40, 50, 60)), several({})
    nnunet = {"dtype": "float32", "nnunet": {"patch": [16, 16, 16]}}
    as_files = parse_config({"store": nnunet})
    assert footprint(1, grid, 900, as_files).working == 40 * 50 * 60 * 900 * 4
    assert footprint(1, grid, 900, as_files).working > footprint(1, grid, 900, files).working
