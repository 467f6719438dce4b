"""The training feed over HTTP: byte for byte the samples of the folder, in any process."""

import pickle
from pathlib import Path

import numpy as np
import pytest
from support.stored import store_cohort, store_unlike_labels
from support.traces import traces

import gpuprep
from gpuprep.training import Balanced, Foreground, Grid, PatchDataset, PatchLoader, Uniform

pytest.importorskip("obstore")

SECRET = "s3cr3t"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return store_cohort(tmp_path_factory.mktemp("out"))


def make(cohort: gpuprep.Cohort, sampler=None) -> PatchDataset:
    chosen = sampler or Foreground("organ")
    return PatchDataset(
        cohort, patch=(16, 16, 16), sampler=chosen, samples=10, seed=5, rank=0, world_size=1
    )


@pytest.mark.parametrize(
    "sampler",
    [Uniform(), Foreground("organ"), Balanced("organ", (1, 2)), Grid((8, 16, 16))],
    ids=repr,
)
def test_samples_are_those_of_the_folder(chunks, root, sampler):
    near = make(gpuprep.open(root), sampler)
    far = pickle.loads(pickle.dumps(make(gpuprep.open(chunks.share("demo", root)), sampler)))
    for one, other in zip(far, near, strict=True):
        assert (one["case"], one["start"].tolist()) == (other["case"], other["start"].tolist())
        assert one["image"].dtype == other["image"].dtype
        assert one["image"].tobytes() == other["image"].tobytes()
        assert one["labels"]["organ"].tobytes() == other["labels"]["organ"].tobytes()


def test_threads_and_a_url_alone_give_the_same(chunks, root, monkeypatch):
    chunks.token = SECRET
    monkeypatch.setenv("GPUPREP_TOKEN", SECRET)
    url = chunks.share("demo", root)
    far = PatchDataset(url, patch=(16, 16, 16), sampler=Foreground("organ"), samples=10, seed=5)
    near = make(gpuprep.open(root))
    for one, other in zip(far.prefetched(threads=3), near, strict=True):
        np.testing.assert_array_equal(one["image"], other["image"])


def test_withdrawn_cases_are_left_out_as_after_gpuprep_prune(chunks, tmp_path):
    own = store_cohort(tmp_path / "own")
    (own / "withdrawn.json").write_text('{"withdrawn": ["case_1"], "outdated": []}')
    far = make(gpuprep.open(chunks.share("own", own)))
    assert far.choice.ids == ("case_0", "case_2", "case_3", "case_4")


def test_label_values_come_from_records_where_there_is_no_list(chunks, tmp_path):
    store_unlike_labels(tmp_path / "own")
    near, far = tmp_path / "own", chunks.share("own", tmp_path / "own")
    one, other = (PatchDataset(where, patch=(4, 4, 4), samples=3) for where in (near, far))
    assert one.dtypes == other.dtypes
    assert one.choice.values == other.choice.values
    for a, b in zip(one, other, strict=True):
        assert a["labels"]["organ"].tobytes() == b["labels"]["organ"].tobytes()


@pytest.mark.parametrize(("workers", "start_method"), [(0, None), (2, "spawn")])
def test_workers_read_with_the_same_token(chunks, root, workers, start_method):
    pytest.importorskip("torch")
    chunks.token = SECRET
    far = make(gpuprep.open(chunks.share("demo", root), token=SECRET))
    loader = PatchLoader(far, batch_size=3, workers=workers, start_method=start_method)
    near = PatchLoader(make(gpuprep.open(root)), batch_size=3)
    assert traces(loader) == traces(near)
