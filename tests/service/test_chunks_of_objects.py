"""An output on an object store, served: the same bytes, tags of the store, one request for a range."""

import json
from pathlib import Path

import httpx
import numpy as np
import pytest
from support.cohorts import run
from support.half_precision import by_tensorstore, half, store_half
from support.stored import store_cohort, voxels_of

import gpuprep
from gpuprep.store.layout import case_folder
from gpuprep.store.objects.path import ObjectPath
from gpuprep.store.objects.upload import upload_case

SHARD = "cases/case_1.zarr/0/c.0.0.0.0"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return store_cohort(tmp_path / "stored")


@pytest.fixture
def served(chunks, root, url) -> str:
    """The URL of a cohort of five cases whose objects the service reads."""
    place = ObjectPath(url)
    (place / "gpuprep.json").write(b"{}")
    (place / "report.json").write(b"{}")
    for number in range(5):
        assert upload_case(case_folder(root, f"case_{number}"), place, f"case_{number}")
    return chunks.share("far", url)


@pytest.fixture
def web(served):
    with httpx.Client(base_url=f"{served}/", trust_env=False) as client:
        yield client


def test_files_and_ranges_are_those_of_the_store(web, root):
    content = (root / SHARD).read_bytes()
    whole = web.get(SHARD)
    assert whole.content == content
    for asked, part in (("2-9", content[2:10]), ("-7", content[-7:]), ("50-", content[50:])):
        answer = web.get(SHARD, headers={"Range": f"bytes={asked}"})
        assert (answer.status_code, answer.content) == (206, part)
        assert answer.headers["Content-Range"].endswith(f"/{len(content)}")
        assert answer.headers["ETag"] == whole.headers["ETag"]
    assert web.get("report.json").status_code == 404
    assert web.get("cases/case_1.zarr/none").status_code == 404


def test_a_plain_range_costs_one_request(web, proxy):
    etag = web.head(SHARD).headers["ETag"]
    for headers in ({"Range": "bytes=-20"}, {"Range": "bytes=0-5", "If-Match": etag}):
        proxy.seen.clear()
        assert web.get(SHARD, headers=headers).status_code == 206
        assert [method for method, path, _ in proxy.seen if SHARD in path] == ["GET"]
    proxy.seen.clear()
    assert web.head(SHARD, headers={"Range": "bytes=0-5"}).status_code == 200
    assert [method for method, path, _ in proxy.seen if SHARD in path] == ["HEAD"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Range": "bytes=99999999-"}, 416),
        ({"Range": "bytes=99999999-99999999"}, 416),
        ({"Range": "bytes=0-1", "If-Match": '"other"'}, 412),
        ({"Range": "bytes=0-1,4-5"}, 200),
        ({"Range": "bytes=-0"}, 416),
        ({"Range": "bytes=0-1", "If-Range": '"other"'}, 200),
    ],
)
def test_conditions_hold_as_for_files(web, headers, status):
    assert web.get(SHARD, headers=headers).status_code == status


def test_not_modified(web):
    etag = web.head(SHARD).headers["ETag"]
    assert web.get(SHARD, headers={"If-None-Match": etag}).status_code == 304


def test_a_cohort_opens_through_the_service(served, root):
    near, far = gpuprep.open(root), gpuprep.open(served)
    assert list(far) == list(near)
    for name in near:
        np.testing.assert_array_equal(far[name].image, near[name].image)


def test_the_list_of_a_run_tells_its_cases(chunks, cohort_folder, url):
    assert run(cohort_folder, url, limit=2).exit_code == 0
    far = gpuprep.open(chunks.share("run", url))
    assert far.table().from_records == ()
    assert far.table()["case"].tolist() == ["volume-0", "volume-1"]


def test_withdrawn_cases_are_not_there(chunks, served, url, web):
    rows = {"withdrawn": ["case_1"], "outdated": []}
    (ObjectPath(url) / "withdrawn.json").write(json.dumps(rows).encode())
    assert web.get(SHARD).status_code == 404
    assert "case_1" not in web.get("cases").text


def test_the_wide_view_reads_objects(served, tmp_path, url):
    image = half()
    store_half(tmp_path / "half", image)
    assert upload_case(case_folder(tmp_path / "half", "half"), ObjectPath(url), "half")
    wide = served.replace("/zarr/", "/zarr32/") + "/cases/half.zarr/0"
    np.testing.assert_array_equal(by_tensorstore(wide), image.astype(np.float32))
    label = by_tensorstore(
        served.replace("/zarr/", "/zarr32/") + "/cases/case_1.zarr/labels/organ/0"
    )
    np.testing.assert_array_equal(label, voxels_of(1)[1])


def test_a_sealed_list_spares_the_store_a_listing_of_all_objects(chunks, cohort_folder, url, proxy):
    assert run(cohort_folder, url, limit=2).exit_code == 0
    served = chunks.share("run", url)
    with httpx.Client(trust_env=False) as web:
        proxy.seen.clear()
        told = web.get(f"{served}/cases").json()["cases"]
    assert set(told) == {"volume-0", "volume-1"}
    listed = [path for _, path, _ in proxy.seen if "list-type" in path]
    assert len(listed) == 1
    assert "delimiter" in listed[0]
