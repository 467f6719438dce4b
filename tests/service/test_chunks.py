"""Files of outputs over HTTP: bytes, headers, tags, and what a replaced case or file does to them."""

import errno
import json
import os
from email.utils import parsedate_to_datetime
from pathlib import Path

import httpx
import pytest
from support.chunk_server import ORIGIN
from support.runs import wait_until
from support.stored import store_cohort

from gpuprep.service.chunks.routes import chunk_answers, chunk_routes
from gpuprep.store.places import to_place
from gpuprep.store.record import read_record

SHARD = "cases/case_1.zarr/0/c.0.0.0.0"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return store_cohort(tmp_path_factory.mktemp("served") / "out")


@pytest.fixture(scope="module")
def web():
    with httpx.Client(trust_env=False) as client:
        yield client


@pytest.fixture
def http(chunks, root):
    with httpx.Client(base_url=chunks.share("demo", root) + "/", trust_env=False) as client:
        yield client


def test_every_file_of_a_cohort_comes_as_it_lies(http, root):
    files = [path for path in root.rglob("*") if path.is_file()]
    assert len(files) > 40
    for path in files:
        answer = http.get(path.relative_to(root).as_posix())
        assert (answer.status_code, answer.content) == (200, path.read_bytes())


def test_a_range_is_that_part_of_the_file(http, root):
    content = (root / SHARD).read_bytes()
    for asked, low, high in (
        ("0-9", 0, 10),
        ("100-", 100, len(content)),
        ("-7", len(content) - 7, None),
    ):
        answer = http.get(SHARD, headers={"Range": f"bytes={asked}"})
        assert (answer.status_code, answer.content) == (206, content[low:high])
        told = f"bytes {low}-{low + len(answer.content) - 1}/{len(content)}"
        assert answer.headers["Content-Range"] == told
        assert answer.headers["Content-Length"] == str(len(answer.content))


def test_a_range_behind_the_end_is_416_with_the_size(http, root):
    answer = http.get(SHARD, headers={"Range": "bytes=999999999-"})
    size = (root / SHARD).stat().st_size
    assert (answer.status_code, answer.headers["Content-Range"]) == (416, f"bytes */{size}")


@pytest.mark.parametrize("asked", ["bytes=" + ",".join(["0-1,5-6"] * 500), "bytes=x", "lines=1-2"])
def test_what_is_no_single_range_gives_the_whole_file(http, root, asked):
    answer = http.get(SHARD, headers={"Range": asked})
    assert (answer.status_code, answer.content) == (200, (root / SHARD).read_bytes())
    assert "Content-Range" not in answer.headers


def test_a_range_given_twice_is_none(http, root):
    headers = [("Range", "bytes=0-1"), ("Range", "bytes=2-3")]
    assert http.get(SHARD, headers=headers).status_code == 200


def test_head_is_get_without_its_body(http):
    for path in (SHARD, "cases/case_1.zarr/record.json", "cases"):
        got, head = http.get(path), http.head(path, headers={"Range": "bytes=0-4"})
        assert (head.status_code, head.content) == (200, b"")
        dated = {"date"}
        assert {k: v for k, v in head.headers.items() if k not in dated} == {
            k: v for k, v in got.headers.items() if k not in dated
        }
    assert http.head("cases/none.zarr/record.json").status_code == 404


def test_tags_are_the_checksums_of_the_record(http, root):
    seals = read_record(root / "cases/case_1.zarr")["files"]
    for name, seal in seals.items():
        etag = http.head(f"cases/case_1.zarr/{name}").headers["ETag"]
        assert etag == f'"{seal["crc32c"]:08x}-{seal["size"]}"'
    written = (root / "cases/case_1.zarr/record.json").stat()
    etag = http.head("cases/case_1.zarr/record.json").headers["ETag"]
    assert etag == f'"{written.st_size}-{written.st_mtime_ns}"'


def test_an_unchanged_file_is_not_sent_again(http):
    first = http.get(SHARD)
    again = http.get(SHARD, headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["ETag"] == first.headers["ETag"]
    assert again.headers["Cache-Control"] == "private, no-cache"
    dated = http.get(SHARD, headers={"If-Modified-Since": first.headers["Last-Modified"]})
    assert dated.status_code == 304
    assert http.get(SHARD, headers={"If-Match": '"other"'}).status_code == 412


def test_last_modified_is_the_file_s_and_never_in_the_future(http, root):
    path = root / "cases/case_2.zarr/zarr.json"
    headers = http.head("cases/case_2.zarr/zarr.json").headers
    told = parsedate_to_datetime(headers["Last-Modified"]).timestamp()
    assert told == int(path.stat().st_mtime)
    os.utime(path, (4e9, 4e9))
    headers = http.head("cases/case_2.zarr/zarr.json").headers
    assert parsedate_to_datetime(headers["Last-Modified"]) <= parsedate_to_datetime(headers["Date"])


def test_a_replaced_case_has_other_tags_and_bytes_at_once(chunks, web, tmp_path):
    own, other = store_cohort(tmp_path / "own"), store_cohort(tmp_path / "other", codec="gpu")
    url = chunks.share("own", own)
    old = web.get(f"{url}/{SHARD}")
    assert old.content == (own / SHARD).read_bytes()
    (own / "cases/case_1.zarr").rename(tmp_path / "away")
    assert web.get(f"{url}/{SHARD}").status_code == 404
    (other / "cases/case_1.zarr").rename(own / "cases/case_1.zarr")
    new = web.get(f"{url}/{SHARD}")
    assert new.content == (own / SHARD).read_bytes() != old.content
    assert new.headers["ETag"] != old.headers["ETag"]
    stale = web.get(f"{url}/{SHARD}", headers={"If-Match": old.headers["ETag"]})
    assert stale.status_code == 412


def test_a_file_that_grows_gets_another_tag(chunks, web, tmp_path):
    own = store_cohort(tmp_path / "own")
    url = chunks.share("own", own) + "/manifest.jsonl"
    seen = []
    for text in ("a\n", "a\nb\n", "c\nd\n"):
        fresh = tmp_path / "fresh"
        fresh.write_text(text)
        fresh.replace(own / "manifest.jsonl")
        answer = web.get(url)
        assert answer.text == text
        seen.append(answer.headers["ETag"])
    with (own / "manifest.jsonl").open("a") as stream:
        stream.write("e\n")
    answer = web.get(url)
    assert answer.text == "c\nd\ne\n"
    assert len({*seen, answer.headers["ETag"]}) == 4


def test_a_file_that_is_not_as_its_record_says_has_not_its_tag(chunks, web, tmp_path):
    own = store_cohort(tmp_path / "own")
    url = chunks.share("own", own) + f"/{SHARD}"
    seen = {web.head(url).headers["ETag"]}
    for more in (b"more", b"MORE"):
        fresh = tmp_path / more.decode()
        fresh.write_bytes((own / SHARD).read_bytes()[:1000] + more)
        fresh.replace(own / SHARD)
        record = own / "cases/case_1.zarr/record.json"
        os.utime(record, ns=(0, record.stat().st_mtime_ns + 1))
        seen.add(web.head(url).headers["ETag"])
    assert len(seen) == 3


def test_the_listing_tells_each_case_and_the_tag_of_its_record(http, root):
    told = http.get("cases").json()["cases"]
    assert list(told) == [f"case_{number}" for number in range(5)]
    for case, tag in told.items():
        assert http.head(f"cases/{case}.zarr/record.json").headers["ETag"] == tag


def test_withdrawn_cases_are_not_there(chunks, web, tmp_path):
    own = store_cohort(tmp_path / "own")
    url = chunks.share("own", own)
    assert web.get(f"{url}/{SHARD}").status_code == 200
    rows = {"withdrawn": ["case_1"], "outdated": ["case_2"]}
    (own / "withdrawn.json").write_text(json.dumps(rows))
    assert web.get(f"{url}/{SHARD}").status_code == 404
    assert "case_1" not in web.get(f"{url}/cases").text
    assert web.get(f"{url}/withdrawn.json").json() == {"withdrawn": [], "outdated": ["case_2"]}
    (own / "withdrawn.json").unlink()
    assert web.get(f"{url}/{SHARD}").status_code == 200
    assert web.get(f"{url}/withdrawn.json").status_code == 404


def test_an_unfinished_case_is_not_there(chunks, web, tmp_path):
    own = store_cohort(tmp_path / "own")
    (own / "cases/case_1.zarr/record.json").unlink()
    assert web.get(f"{chunks.share('own', own)}/{SHARD}").status_code == 404


def test_a_cohort_that_is_not_made_yet_has_nothing(chunks, web, tmp_path):
    url = chunks.share("later", tmp_path / "later")
    for path in ("cases", "cases/", "gpuprep.json", SHARD, "withdrawn.json"):
        assert web.get(f"{url}/{path}").status_code == 404


def test_a_disk_that_fails_is_told_without_its_folders(chunks, web, tmp_path, monkeypatch):
    own = store_cohort(tmp_path / "own")
    url = chunks.share("own", own)

    def broken(*_: object, **__: object) -> int:
        raise OSError(errno.EIO, "Input/output error")

    for name in ("preadv", "pread"):
        monkeypatch.setattr(os, name, broken)
    answer = web.get(f"{url}/{SHARD}")
    assert answer.status_code == 503
    assert str(tmp_path) not in answer.text


def test_other_verbs_are_405_and_told_what_is_allowed(http):
    for verb in ("POST", "PUT", "DELETE", "PATCH"):
        answer = http.request(verb, SHARD)
        assert answer.status_code == 405
        assert set(answer.headers["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS"}


@pytest.mark.parametrize("path", [SHARD, "cases/case_1.zarr/0/c.9.9.9.9"])
def test_pages_of_allowed_origins_may_read_answers_and_absences(http, path):
    answer = http.get(path, headers={"Origin": ORIGIN})
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert "Content-Range" in answer.headers["Access-Control-Expose-Headers"]
    assert "Access-Control-Allow-Credentials" not in answer.headers
    other = http.get(path, headers={"Origin": "https://elsewhere.example"})
    assert "Access-Control-Allow-Origin" not in other.headers
    assert answer.headers["Vary"] == other.headers["Vary"] == "Origin"


def test_a_preflight_allows_ranges_and_tokens_to_allowed_origins_only(chunks, http):
    chunks.token = "secret"  # a preflight never carries one
    asked = {"Origin": ORIGIN, "Access-Control-Request-Method": "GET"}
    answer = http.options(SHARD, headers=asked)
    assert answer.status_code == 204
    assert {"Authorization", "Range"} <= set(
        answer.headers["Access-Control-Allow-Headers"].split(", ")
    )
    other = http.options(SHARD, headers={**asked, "Origin": "https://elsewhere.example"})
    assert not [name for name in other.headers if name.startswith("access-control")]


def test_who_may_not_read_a_cohort_learns_nothing(chunks, web, http, root):
    chunks.token = "secret"
    assert http.get(SHARD).status_code == 401
    assert http.get(SHARD, headers={"Authorization": "Bearer secret"}).status_code == 200
    absent = web.get(
        f"{chunks.base}/v1/zarr/none/{SHARD}", headers={"Authorization": "Bearer secret"}
    )
    assert absent.status_code == 404


def test_files_nobody_asks_for_are_closed(chunks, web, tmp_path, monkeypatch):
    def held_open() -> list[str]:
        links = Path("/proc/self/fd").iterdir()
        return [link for link in map(os.path.realpath, links) if str(tmp_path) in link]

    monkeypatch.setattr("gpuprep.service.chunks.outputs._IDLE", 0.2)
    own = store_cohort(tmp_path / "own")
    monkeypatch.setattr(
        chunks.app.router, "routes", chunk_routes(chunk_answers(lambda *_: to_place(own)))
    )
    url = f"{chunks.base}/v1/zarr/own"
    assert web.get(f"{url}/{SHARD}").content == (own / SHARD).read_bytes()
    wait_until(lambda: not held_open(), "idle files are closed")
    assert web.get(f"{url}/{SHARD}").content == (own / SHARD).read_bytes()


def test_a_long_file_comes_whole(chunks, web, tmp_path):
    own = store_cohort(tmp_path / "own")
    content = os.urandom(5_000_001)
    (own / "manifest.jsonl").write_bytes(content)
    url = chunks.share("own", own) + "/manifest.jsonl"
    assert web.get(url).content == content
    part = web.get(url, headers={"Range": "bytes=1000000-4000000"})
    assert part.content == content[1_000_000:4_000_001]


def test_the_disk_is_asked_where_the_cache_cannot_tell(http, root: Path, monkeypatch):
    def nothing_at_hand(*_: object) -> int:
        raise BlockingIOError

    monkeypatch.setattr(os, "preadv", nothing_at_hand)
    answer = http.get(SHARD, headers={"Range": "bytes=5-200"})
    assert answer.content == (root / SHARD).read_bytes()[5:201]
