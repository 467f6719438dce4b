"""Cohorts opened over HTTP: the same cases as in the folder, and clear words where there are none."""

import multiprocessing
import pickle
import shutil
import socket
import traceback
from pathlib import Path

import numpy as np
import pytest
from support.cohorts import run
from support.stored import store_cohort, voxels_of

import gpuprep
from gpuprep.store.objects import http
from gpuprep.store.objects.http import HttpPath, Token, http_path
from gpuprep.store.places import to_place
from gpuprep.store.verify import verify_cohort
from gpuprep.values.errors import CohortWarning, CorruptStoreError, StoreError, UsageError

pytest.importorskip("obstore")

SECRET = "s3cr3t-t0k3n"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return store_cohort(tmp_path_factory.mktemp("served") / "out")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a run made, with its list and all that goes with it."""
    from support.cohorts import write_pair

    folder = tmp_path_factory.mktemp("made")
    (folder / "in").mkdir()
    for number in range(3):
        write_pair(folder / "in", number)
    assert run(folder / "in", folder / "out").exit_code == 0
    return folder / "out"


def test_a_cohort_is_the_same_as_in_its_folder(chunks, made):
    near, far = gpuprep.open(made), gpuprep.open(chunks.share("made", made))
    assert list(far) == list(near) != []
    assert far.agreement == near.agreement
    for name, case in near.items():
        other = far[name]
        assert (other.geometry, other.record) == (case.geometry, case.record)
        np.testing.assert_array_equal(other.image, case.image)
        label, own = other.labels["segmentation"], case.labels["segmentation"]
        np.testing.assert_array_equal(label, own)
        for value, places in case.locations("segmentation").items():
            np.testing.assert_array_equal(other.locations("segmentation")[value], places)


def test_its_table_comes_from_the_list_alone(chunks, made):
    near, far = gpuprep.open(made).table(), gpuprep.open(chunks.share("made", made)).table()
    assert far.from_records == near.from_records == ()
    for name, column in near.items():
        np.testing.assert_array_equal(far[name], column)
    assert not [path for _, path, _ in chunks.seen if path.endswith("record.json")]


def test_a_case_opens_by_its_own_url(chunks, root):
    url = chunks.share("demo", root)
    with gpuprep.open_case(f"{url}/cases/case_1.zarr", threads=2) as case:
        np.testing.assert_array_equal(case.image[:, 2:9, 3:20], voxels_of(1)[0][:, 2:9, 3:20])
    with pytest.raises(StoreError, match="not a finished case"):
        gpuprep.open_case(f"{url}/cases/none.zarr")


@pytest.mark.parametrize("name", ["two words", "50% #1?", "Müller_ä", "a&b=c+d"])
def test_any_case_id_can_be_read(chunks, tmp_path, name):
    own = store_cohort(tmp_path / "own")
    (own / "cases/case_1.zarr").rename(own / f"cases/{name}.zarr")
    cohort = gpuprep.open(chunks.share("own", own))
    assert name in cohort
    assert name in list(cohort)
    np.testing.assert_array_equal(cohort[name].labels["organ"], voxels_of(1)[1])


def test_a_url_may_be_written_as_browsers_do(chunks, tmp_path):
    own = store_cohort(tmp_path / "own")
    (own / "cases/case_1.zarr").rename(own / "cases/two words.zarr")
    case = gpuprep.open_case(f"{chunks.share('own', own)}/cases/two%20words.zarr/")
    assert case.id == "two words"


def test_a_replaced_case_is_an_error_and_never_mixed(chunks, tmp_path):
    own, other = store_cohort(tmp_path / "own"), store_cohort(tmp_path / "other", codec="gpu")
    cohort = gpuprep.open(chunks.share("own", own))
    image, label = cohort["case_1"].image, cohort["case_1"].labels["organ"]
    image[0, 0, 0, 0]
    shutil.rmtree(own / "cases/case_1.zarr")
    (other / "cases/case_1.zarr").rename(own / "cases/case_1.zarr")
    for array in (image, label):
        with pytest.raises(StoreError, match="replaced"):
            array[...]


def test_damage_is_found(chunks, tmp_path):
    own = store_cohort(tmp_path / "own")
    shard = own / "cases/case_1.zarr/0/c.0.0.0.0"
    content = bytearray(shard.read_bytes())
    content[5] ^= 1
    shard.write_bytes(content)
    with pytest.raises(CorruptStoreError, match="CRC32C"):
        np.asarray(gpuprep.open(chunks.share("own", own))["case_1"].image)


def test_a_server_that_is_busy_is_asked_again(chunks, root):
    chunks.fail = 1
    cohort = gpuprep.open(chunks.share("demo", root))
    image = cohort["case_2"].image
    chunks.fail = 3
    np.testing.assert_array_equal(image, voxels_of(2)[0])


def shown(caught: pytest.ExceptionInfo[BaseException]) -> str:
    error = caught.value
    return "".join(traceback.format_exception(error)) + repr(error) + error.advice


@pytest.mark.parametrize(("token", "words"), [("", "needs a token"), (SECRET, "does not know")])
def test_a_refused_token_is_told_and_not_shown(chunks, root, token, words):
    chunks.token = "another"
    with pytest.raises(StoreError, match=words) as caught:
        gpuprep.open(chunks.share("demo", root), token=token or None)
    assert SECRET not in shown(caught)
    assert "GPUPREP_TOKEN" in caught.value.advice
    assert chunks.base in str(caught.value)


@pytest.mark.parametrize("status", [400, 403, 503])
def test_an_answer_that_repeats_the_token_is_not_repeated(chunks, root, monkeypatch, status):
    image = gpuprep.open(chunks.share("demo", root), token=SECRET)["case_1"].image
    monkeypatch.setattr(http, "_met", set())  # so that it is not long asked again
    chunks.fail, chunks.status = 100, status
    with pytest.raises(StoreError, match=str(status)) as caught:
        image[...]
    assert SECRET not in shown(caught)


def test_a_token_lets_in_and_shows_in_no_text(chunks, root):
    chunks.token = SECRET
    cohort = gpuprep.open(chunks.share("demo", root), token=SECRET)
    case = cohort["case_1"]
    np.testing.assert_array_equal(case.image, voxels_of(1)[0])
    for thing in (cohort, case, case.image, cohort.path, cohort.path.token):
        assert SECRET not in f"{thing!r} {thing}"
    chunks.token = "another"
    with pytest.raises(StoreError) as caught:
        np.asarray(cohort["case_2"].image)
    assert SECRET not in shown(caught)


def test_a_token_comes_from_the_environment_for_services_only(chunks, root, monkeypatch):
    chunks.token = SECRET
    monkeypatch.setenv("GPUPREP_TOKEN", SECRET)
    assert "case_1" in gpuprep.open(chunks.share("demo", root))
    assert http_path("https://elsewhere.example/data/out").token is None
    assert http_path("https://host.example/x/v1/zarr/out", "own").token == Token("own")


def test_an_absent_cohort_is_told_with_its_url(chunks, root):
    url = chunks.share("demo", root).replace("demo", "none")
    with pytest.raises(StoreError, match="no such cohort") as caught:
        gpuprep.open(url)
    assert url in str(caught.value)
    assert "/v1/zarr/NAME" in caught.value.advice


def test_a_dead_server_is_told_soon():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    with pytest.raises(StoreError, match=url) as caught:
        gpuprep.open(f"{url}/v1/zarr/demo", token=SECRET)
    assert "runs at" in caught.value.advice
    assert SECRET not in shown(caught)


@pytest.mark.parametrize(
    "wrong",
    [
        "https://user:secret@host/v1/zarr/x",
        "https://host/v1/zarr/x?token=secret",
        "https://host",
        "https:///x",
        "http://host/v1/zarr32/x",
    ],
)
def test_unusable_urls_are_refused_without_their_secrets(wrong):
    with pytest.raises(UsageError) as caught:
        to_place(wrong)
    assert "secret" not in str(caught.value)


def test_a_token_goes_unencrypted_to_this_machine_only(monkeypatch):
    url = "http://host.example/v1/zarr/x"
    assert isinstance(to_place(url), HttpPath)
    with pytest.raises(UsageError, match=r"host\.example.*token"):
        to_place(url, SECRET)
    monkeypatch.setenv("GPUPREP_TOKEN", SECRET)
    with pytest.raises(UsageError, match=r"host\.example.*token"):
        to_place(url)
    monkeypatch.setenv("GPUPREP_ALLOW_HTTP", "true")
    assert isinstance(to_place(url), HttpPath)


@pytest.mark.parametrize("place", ["out", "s3://bucket/out"])
def test_a_token_for_what_needs_none_is_refused(place):
    with pytest.raises(UsageError, match="a token is for"):
        gpuprep.open(place, token=SECRET)


def test_nothing_is_written_or_listed_over_http(chunks, cohort_folder, root):
    url = chunks.share("demo", root)
    with pytest.raises(UsageError, match="only read"):
        run(cohort_folder, url, limit=1)
    with pytest.raises(UsageError, match="cannot be listed"):
        verify_cohort(url)


def _mean(case: gpuprep.Case, sent) -> None:
    sent.send(float(np.mean(case.image)))


def test_another_process_reads_with_the_same_token(chunks, root):
    chunks.token = SECRET
    case = gpuprep.open(chunks.share("demo", root), token=SECRET)["case_1"]
    assert pickle.loads(pickle.dumps(case)).path == case.path
    receiver, sender = multiprocessing.get_context("spawn").Pipe(duplex=False)
    child = multiprocessing.get_context("spawn").Process(target=_mean, args=(case, sender))
    child.start()
    assert receiver.poll(60)
    assert receiver.recv() == pytest.approx(voxels_of(1)[0].mean())
    child.join(30)


def test_any_server_of_files_will_do_with_the_list_of_the_cohort(chunks, made):
    from starlette.staticfiles import StaticFiles

    chunks.app.mount("/files", StaticFiles(directory=made))
    far, near = gpuprep.open(f"{chunks.base}/files"), gpuprep.open(made)
    with pytest.warns(CohortWarning, match="lists no cases"):
        assert list(far) == list(near)
    assert far.table().from_records == ()
    assert far.known.records()["volume-1"]["files"] == near["volume-1"].record["files"]
    np.testing.assert_array_equal(far["volume-2"].image, near["volume-2"].image)
    (made / "manifest.jsonl").rename(made / "away.jsonl")
    with pytest.raises(StoreError, match="no list of its own"):
        list(gpuprep.open(f"{chunks.base}/files"))
    (made / "away.jsonl").rename(made / "manifest.jsonl")
