"""Cohorts on an object store: runs, races, killed writers and range reads against a real S3 service."""

import json
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from support.cohorts import run
from support.stored import store_cohort, voxels_of

import gpuprep
from gpuprep.host.owners import mark
from gpuprep.store.layout import case_folder
from gpuprep.store.objects import path as objects
from gpuprep.store.objects.shard import join_spans
from gpuprep.store.objects.upload import sweep_uploads, upload_case
from gpuprep.store.places import ObjectPath, to_place
from gpuprep.store.verify import verify_cohort
from gpuprep.values.errors import BackendError, CorruptStoreError, StoreError, UsageError

pytest.importorskip("obstore")
pytest.importorskip("moto.server")


@pytest.fixture
def stored(tmp_path, url):
    """A cohort of five cases, the same in a folder and on the store."""
    root = store_cohort(tmp_path / "stored")
    place = ObjectPath(url)
    (place / "gpuprep.json").write(b"{}")
    for number in range(5):
        assert upload_case(case_folder(root, f"case_{number}"), place, f"case_{number}")
    return root, url


def test_run_equals_a_local_run(cohort_folder, tmp_path, url):
    run(cohort_folder, tmp_path / "out", limit=2)
    report = run(cohort_folder, url, limit=2)
    assert (report.exit_code, report.finished.done) == (0, 2)
    local, remote = gpuprep.open(tmp_path / "out"), gpuprep.open(url)
    assert list(remote) == list(local)
    for name, case in local.items():
        assert remote[name].record["files"] == case.record["files"]
        np.testing.assert_array_equal(remote[name].image, case.image)
        np.testing.assert_array_equal(
            remote[name].labels["segmentation"], case.labels["segmentation"]
        )
    assert verify_cohort(url, full=True) == []
    manifest = (ObjectPath(url) / "manifest.jsonl").read_bytes().splitlines()
    assert {json.loads(line)["case"] for line in manifest} == set(local)
    again = run(cohort_folder, url, limit=2)
    assert (again.finished.done, again.finished.skipped) == (0, 2)
    assert list((ObjectPath(url) / ".staging").files()) == []


def test_zarr_python_reads_a_case(stored):
    zarr = pytest.importorskip("zarr")
    from obstore.store import from_url
    from zarr.storage import ObjectStore

    _, url = stored
    store = from_url(f"{url}/cases/case_1.zarr", client_options={"allow_http": True})
    group = zarr.open_group(ObjectStore(store, read_only=True), mode="r")
    image, label = voxels_of(1)
    np.testing.assert_array_equal(group["0"][...], image)
    np.testing.assert_array_equal(group["labels/organ/0"][...], label)


def test_another_config_is_refused_and_overwrite_replaces(cohort_folder, url):
    run(cohort_folder, url, limit=1)
    other = {"image": {"resample": {"spacing": [2.0, 2.0, 3.0]}}}
    with pytest.raises(UsageError, match="another config"):
        run(cohort_folder, url, config=other, limit=1)
    old = gpuprep.open(url)["volume-0"]
    assert run(cohort_folder, url, config=other, limit=1, overwrite=True).exit_code == 0
    assert gpuprep.open(url)["volume-0"].image.shape != old.image.shape
    with pytest.raises(StoreError, match="replaced"):
        np.asarray(old.image)
    assert verify_cohort(url, full=True) == []


def test_refused_service_is_asked_again(stored, proxy):
    root, url = stored
    proxy.fail = 2
    np.testing.assert_array_equal(gpuprep.open(url)["case_2"].image, voxels_of(2)[0])
    proxy.fail = 2
    folder = case_folder(root, "case_0")
    assert upload_case(folder, ObjectPath(url), "case_0", replace=True)
    assert verify_cohort(url, full=True) == []


@pytest.mark.parametrize("threads", [1, 3])
def test_patches_equal_local_ones(stored, threads):
    root, url = stored
    random = np.random.default_rng(5)
    for number in range(5):
        near = gpuprep.open(root)[f"case_{number}"].image
        far = gpuprep.open_case(f"{url}/cases/case_{number}.zarr", threads=threads).image
        for _ in range(4):
            low = [int(random.integers(0, n)) for n in near.shape]
            high = [
                int(random.integers(a + 1, n + 1)) for a, n in zip(low, near.shape, strict=True)
            ]
            np.testing.assert_array_equal(far.read(low, high), near.read(low, high))


def test_a_patch_asks_for_its_chunks_only(url, proxy, tmp_path):
    from gpuprep.store.case import write_case
    from gpuprep.store.record import write_record
    from gpuprep.values.geometry import Geometry

    shape = (128, 128, 256)
    voxels = np.random.default_rng(0).integers(0, 60_000, shape, np.uint16)
    grid = Geometry(shape, (1.0, 1.0, 1.0), (0.0, 0.0, 0.0))
    files = write_case(tmp_path / "noise", image=voxels, labels={}, geometry=grid, durable=False)
    write_record(tmp_path / "noise", {"files": files}, durable=False)
    upload_case(tmp_path / "noise", ObjectPath(url), "noise")
    image = gpuprep.open_case(f"{url}/cases/noise.zarr").image
    image[:1, :1, :1]
    proxy.seen.clear()
    patch = image[0:32, 0:32, 64:128]
    np.testing.assert_array_equal(patch, voxels[0:32, 0:32, 64:128])
    (request,) = proxy.seen
    assert request[0] == "GET"
    assert request[2] <= 1.05 * patch.nbytes
    assert files["0/c.0.0.0"]["size"] > 20 * request[2]


def test_two_writers_one_winner(stored, tmp_path):
    from concurrent.futures import ThreadPoolExecutor

    root, url = stored
    place = ObjectPath(url)
    folders = [case_folder(root, f"case_{number}") for number in (1, 2, 3, 4)]
    with ThreadPoolExecutor(4) as pool:
        won = list(pool.map(lambda folder: upload_case(folder, place, "raced"), folders))
    assert sum(won) == 1
    winner = folders[won.index(True)]
    case = gpuprep.open(url)["raced"]
    np.testing.assert_array_equal(case.image, gpuprep.open_case(winner).image)
    assert not upload_case(folders[0], place, "raced")
    assert verify_cohort(url, full=True) == []


WRITER = """
import sys
from pathlib import Path
from gpuprep.store.places import ObjectPath
from gpuprep.store.objects.upload import upload_case
upload_case(Path(sys.argv[1]), ObjectPath(sys.argv[2]), "killed")
"""


def test_killed_writer_leaves_no_case(stored, proxy):
    root, url = stored
    folder, place = case_folder(root, "case_3"), ObjectPath(url)
    proxy.hold_after = "killed.zarr/record.json"
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(folder), url])
    assert proxy.held.wait(30)
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    proxy.hold_after = ""
    leftovers = place / "cases/killed.zarr"
    assert len(dict(leftovers.files())) > 3
    assert "killed" not in gpuprep.open(url)
    assert "killed" not in list(gpuprep.open(url))
    with pytest.raises(StoreError, match="not a finished case"):
        gpuprep.open_case(leftovers.url)
    assert upload_case(folder, place, "killed")  # takes over the dead writer's claim
    np.testing.assert_array_equal(gpuprep.open(url)["killed"].image, voxels_of(3)[0])
    assert sweep_uploads(place) == 0


@pytest.mark.parametrize("name", ["two words", "50% #1?", "Müller_ä", "a&b=c+d"])
def test_any_case_id_names_objects(stored, name):
    root, url = stored
    assert upload_case(case_folder(root, "case_1"), ObjectPath(url), name)
    cohort = gpuprep.open(url)
    assert name in list(cohort)
    np.testing.assert_array_equal(cohort[name].labels["organ"], voxels_of(1)[1])


def test_sweep_removes_what_a_dead_attempt_left(stored):
    _, url = stored
    place = ObjectPath(url)
    (place / ".staging/gone.json").write(b"{}")
    (place / "cases/gone.zarr/0/c.0.0.0").write(b"half a case")
    assert sweep_uploads(place) == 1
    assert not any("gone" in name for name, _ in place.files())


def test_next_run_takes_over_from_a_dead_one(cohort_folder, url):
    place = ObjectPath(url)
    machine, *_ = mark().split("-")
    dead = {"attempt": f"{machine}-{2**22 + 1}-1-feed"}  # beyond the highest process id
    for name in (".run.json", "volume-0.json"):
        (place / ".staging" / name).write(json.dumps(dead).encode())
    (place / "gpuprep.json").write(b'{"digest": "none"}')
    (place / "cases/volume-0.zarr/0/c.0.0.0").write(b"half a case")
    assert run(cohort_folder, url, limit=1, overwrite=True).exit_code == 0
    assert list(gpuprep.open(url)) == ["volume-0"]
    assert verify_cohort(url, full=True) == []


def test_absent_bucket_is_named(cohort_folder, url):
    with pytest.raises(UsageError, match="no such bucket"):
        run(cohort_folder, "s3://absent-bucket/cohort", limit=1)


def test_second_run_is_refused(cohort_folder, url):
    from gpuprep.ledger.hold import hold

    with hold(url), pytest.raises(UsageError, match="another run"):
        run(cohort_folder, url, limit=1)


def test_damage_is_found(stored):
    _, url = stored
    case = gpuprep.open(url)["case_4"]
    shard = ObjectPath(url) / "cases/case_4.zarr/0/c.0.0.0.0"
    content = bytearray(shard.read_bytes())
    content[5] ^= 1
    shard.write(bytes(content))
    with pytest.raises(CorruptStoreError, match="CRC32C"):
        np.asarray(case.image)
    assert {problem.case for problem in verify_cohort(url, full=True)} == {"case_4"}


def _mean(case: gpuprep.Case, sent) -> None:
    try:
        sent.send(float(np.mean(case.image)))
    except StoreError as error:
        sent.send(str(error))


@pytest.mark.parametrize("method", ["spawn", "fork"])
def test_another_process_reads_or_says_why_not(stored, method):
    case = gpuprep.open(stored[1])["case_1"]
    assert pickle.loads(pickle.dumps(case)).geometry == case.geometry
    context = multiprocessing.get_context(method)
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=_mean, args=(case, sender))
    child.start()
    assert receiver.poll(30)
    answer = receiver.recv()
    child.join(10)
    if method == "spawn":
        assert answer == pytest.approx(voxels_of(1)[0].mean())
    else:
        assert "forked" in answer


@pytest.mark.parametrize(
    "wrong", ["s3://user:secret@bucket/x", "s3://bucket/x?secret=1", "s3://bucket", "s3:///x"]
)
def test_unusable_urls_are_refused_without_their_secrets(wrong):
    with pytest.raises(UsageError) as caught:
        to_place(wrong)
    assert "secret" not in str(caught.value)


def test_plain_http_to_another_machine_is_refused(monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://example.org:9000")
    with pytest.raises(UsageError, match=r"example\.org.*http://"):
        gpuprep.open("s3://elsewhere/x")


def test_missing_library_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "obstore", None)
    objects.load_obstore.cache_clear()
    with pytest.raises(BackendError) as caught:
        gpuprep.open("s3://bucket/x")
    assert "gpuprep[s3]" in caught.value.advice
    objects.load_obstore.cache_clear()


def test_neighbouring_spans_are_joined():
    far = 10 << 20
    assert join_spans([(10, 20), (0, 10), (far, far + 5), (30, 40)]) == [(0, 40), (far, far + 5)]
    assert join_spans([]) == []


def test_import_and_local_use_need_no_obstore(tmp_path):
    script = (
        f"import gpuprep, sys; gpuprep.open({str(store_cohort(tmp_path))!r})['case_1'].image[0]"
    )
    script += "; assert 'obstore' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], check=True, env={**os.environ}, cwd=Path.cwd())
