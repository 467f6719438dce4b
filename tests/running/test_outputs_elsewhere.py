"""Several outputs of a case on object stores, with workers, over HTTP, and as a training takes them."""

import numpy as np
import pytest
from support.cohorts import contents, run, write_pairs
from support.outputs import OUTPUTS, SEVERAL

import gpuprep
from gpuprep.store.places import ObjectPath
from gpuprep.store.verify import verify_cohort
from gpuprep.training import Foreground, PatchDataset


@pytest.fixture(scope="module")
def several(tmp_path_factory):
    folder = tmp_path_factory.mktemp("several")
    run(write_pairs(folder / "in", 2), folder / "out", SEVERAL)
    return folder / "out"


def test_an_object_store_gets_every_output_and_its_record_last(several, tmp_path, url, monkeypatch):
    pytest.importorskip("obstore")
    created: list[str] = []
    own = ObjectPath.create

    def noted(self, *more):
        created.append(str(self))
        return own(self, *more)

    monkeypatch.setattr(ObjectPath, "create", noted)
    run(several.parent / "in", url, SEVERAL)
    cases = [name.partition("/cases/")[2] for name in created if ".zarr/" in name]
    first = [name for name in cases if name.startswith("volume-0")]
    assert first[-1] == "volume-0.zarr/record.json"
    assert not verify_cohort(ObjectPath(url), full=True)
    place = ObjectPath(url)
    for name, _ in place.files():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes((place / name).read_bytes())
    assert contents(tmp_path) == contents(several)
    for name in OUTPUTS:
        near, far = (gpuprep.open(where, output=name)["volume-1"] for where in (several, url))
        np.testing.assert_array_equal(far.image, near.image)
        np.testing.assert_array_equal(
            far.locations("segmentation")[1], near.locations("segmentation")[1]
        )


def test_over_http_an_output_is_the_same_as_in_its_folder(chunks, several):
    served = chunks.share("several", several)
    assert gpuprep.open(served).outputs == tuple(OUTPUTS)
    near, far = (gpuprep.open(where, output="coarse") for where in (several, served))
    np.testing.assert_array_equal(far["volume-0"].image, near["volume-0"].image)
    assert (
        far.table()["voxels.segmentation.1"].tolist()
        == near.table()["voxels.segmentation.1"].tolist()
    )


def test_a_training_takes_patches_of_the_output_it_names(several):
    cohort = gpuprep.open(several, output="coarse")
    data = PatchDataset(cohort, patch=(8, 8, 8), sampler=Foreground("segmentation", 1.0), samples=4)
    assert {data[number]["image"].dtype for number in range(4)} == {np.dtype("f4")}
    for number in range(4):
        case, start = data.place((0, number))
        part = tuple(slice(max(0, first), first + 8) for first in start)
        assert (np.asarray(case.labels["segmentation"])[part] > 0).any()
        assert case.output == "coarse"
    first = PatchDataset(several, patch=(8, 8, 8))
    assert first.place((0, 0))[0].output == "fine"


@pytest.mark.slow
def test_workers_store_the_same_bytes(several, tmp_path):
    run(several.parent / "in", tmp_path / "out", SEVERAL, scheduler="local", workers=2)
    assert contents(tmp_path / "out") == contents(several)
