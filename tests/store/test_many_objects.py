"""How many requests a thousand cases on an object store cost a run with nothing to do, and a training."""

import pytest
from support.cohorts import run

from gpuprep.store.layout import CASES_FOLDER
from gpuprep.store.objects.path import ObjectPath
from gpuprep.training import Foreground, PatchDataset

pytest.importorskip("obstore")
pytest.importorskip("moto.server")
pytestmark = pytest.mark.slow

CASES = 1000
OBJECTS = 9  # of a case with one label map


@pytest.fixture(scope="module")
def many(tmp_path_factory, proxy):
    """The input of a thousand cases, and where they are stored."""
    from support.many_cases import store_many
    from support.s3_server import fresh_prefix

    with pytest.MonkeyPatch.context() as monkeypatch:
        url = fresh_prefix(proxy, monkeypatch)
        yield store_many(tmp_path_factory.mktemp("many"), url, CASES), url


def of_cases(proxy):
    """The requests that name a single case."""
    return [(method, path) for method, path, _ in proxy.seen if "volume-" in path]


def test_a_run_that_has_nothing_to_do(many, proxy):
    source, url = many
    assert len(list((ObjectPath(url) / CASES_FOLDER).objects())) == OBJECTS * CASES + 1
    proxy.seen.clear()
    assert run(source, url).finished.skipped == CASES
    listings = [path for _, path, _ in proxy.seen if "list-type" in path and "cases%2F" in path]
    assert len(listings) == OBJECTS * CASES // 1000 + 1
    assert len(proxy.seen) - len(listings) <= 26


def test_a_run_of_a_few_lists_these_alone(many, proxy):
    source, url = many
    proxy.seen.clear()
    assert run(source, url, only=["volume-7", "volume-8", "volume-9"]).finished.skipped == 3
    assert len(of_cases(proxy)) == 3
    assert len(proxy.seen) <= 30


def test_a_training_asks_for_fewer_than_one_in_a_hundred_cases(many, proxy):
    _, url = many
    proxy.seen.clear()
    dataset = PatchDataset(url, patch=(16, 16, 16), sampler=Foreground("segmentation"))
    assert len(dataset.pool.ids) == CASES
    assert len(proxy.seen) <= 8
    proxy.seen.clear()
    dataset[0, 0]
    documents = [path for method, path in of_cases(proxy) if "c.0.0.0" not in path]
    assert (
        len(documents) <= 8
    )  # record, five or so zarr.json, and whether the record is still the same
    assert (
        len(proxy.seen) == len(documents) + 4
    )  # of each array what its shard holds, and the chunks
    proxy.seen.clear()
    dataset[0, 0]
    assert len(proxy.seen) == 2
