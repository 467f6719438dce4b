"""How many requests a thousand cases on an object store cost a run with nothing to do, and a training."""

from collections import Counter

import pytest
from support.cohorts import CONFIG, run

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
    """The input of a thousand cases, and where they are stored and sealed."""
    from support.many_cases import store_many
    from support.s3_server import fresh_prefix

    with pytest.MonkeyPatch.context() as monkeypatch:
        url = fresh_prefix(proxy, monkeypatch)
        source = store_many(tmp_path_factory.mktemp("many"), url, CASES)
        report = run(source, url)  # which looks at all of them
        assert (report.finished.skipped, report.by_list) == (CASES, 0)
        yield source, url


def of_cases(proxy):
    """The requests that name a single case."""
    return [(method, path) for method, path, _ in proxy.seen if "volume-" in path]


def verbs(proxy):
    """How many requests of each kind there were."""
    return Counter("LIST" if "list-type" in path else method for method, path, _ in proxy.seen)


def test_a_run_that_has_nothing_to_do(many, proxy):
    source, url = many
    assert len(list((ObjectPath(url) / CASES_FOLDER).objects())) == OBJECTS * CASES + 1
    proxy.seen.clear()
    report = run(source, url)
    assert (report.finished.skipped, report.by_list) == (CASES, CASES)
    # a page of the output, two of cases: a page has 1,000 entries, and there is the group beside them
    assert verbs(proxy) == {"LIST": 3, "GET": 2, "PUT": 3, "HEAD": 1, "POST": 1}
    assert proxy.seen[-1][1] == "/scans?delete"  # of the claim
    assert len(proxy.seen) <= CASES // 100


def test_a_run_of_a_few_lists_these_alone(many, proxy):
    source, url = many
    proxy.seen.clear()
    report = run(source, url, only=["volume-7", "volume-8", "volume-9"])
    assert (report.finished.skipped, report.by_list) == (3, 0)
    assert len(of_cases(proxy)) == 3
    assert len(proxy.seen) <= 12


def test_a_run_that_is_to_look_at_all_objects(many, proxy):
    source, url = many
    proxy.seen.clear()
    report = run(source, url, {**CONFIG, "run": {"sealed_list": "check"}})
    assert (report.finished.skipped, report.by_list) == (CASES, 0)
    assert verbs(proxy)["LIST"] == OBJECTS * CASES // 1000 + 2
    assert len(proxy.seen) <= 21  # two of them for the config, which is another one now


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
