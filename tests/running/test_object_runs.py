"""Runs whose output is an object store: watched, killed and taken over, and worked on by other hosts."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from support.clusters import loopback_cluster, make_keys
from support.cohorts import contents, run, write_pair
from support.commands import call
from support.runs import command, end, finish, wait_for_stop, wait_until
from support.stored import store_cohort

import gpuprep
from gpuprep.config.cluster import ClusterSpec
from gpuprep.executors import task
from gpuprep.executors.admission import examine
from gpuprep.ledger.failures import group_failures
from gpuprep.ledger.hold import hold
from gpuprep.ledger.index import rebuild_manifest
from gpuprep.store.layout import (
    FAILURES_FILE,
    MANIFEST_FILE,
    RECORD_FILE,
    STATISTICS_FILE,
    case_folder,
)
from gpuprep.store.objects.upload import upload_case
from gpuprep.store.places import ObjectPath
from gpuprep.store.verify import verify_cohort
from gpuprep.training import Foreground, PatchDataset, PatchLoader
from gpuprep.values.errors import StoreError, UsageError
from gpuprep.values.events import CaseDone

pytest.importorskip("obstore")
pytest.importorskip("moto.server")


def contents_of(url: str, folder: Path) -> dict[str, bytes]:
    """What ``contents`` says of a copy of the output."""
    place = ObjectPath(url)
    for name, _ in place.files():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes((place / name).read_bytes())
    return contents(folder)


def versions_of_records(url: str) -> dict[str, str]:
    place = ObjectPath(url)
    records = [name for name, _ in place.files() if name.endswith(RECORD_FILE)]
    return {name: (place / name).stat().etag for name in records}


def test_status_and_failures_are_there_during_the_run_and_after_it(tmp_path, url):
    source = tmp_path / "in"
    source.mkdir()
    for number in range(2):
        write_pair(source, number)
    broken = source / "volume-1.nii.gz"
    broken.write_bytes(broken.read_bytes()[:900])
    seen = []

    def look(event):
        if isinstance(event, CaseDone):
            seen.append(gpuprep.status(url).state)

    assert run(source, url, listeners=[look], command=f"gpuprep run in {url}").exit_code == 1
    assert seen == ["running"]
    state = gpuprep.status(url)
    assert (state.state, state.done, state.failed) == ("finished", 1, 1)
    (group,) = group_failures(url)
    assert group.cases == ("volume-1",)
    assert group.retry == f"gpuprep run in {url} --only=volume-1"
    assert json.loads(call("status", url, "--json", check=1).stdout)["failed"] == 1
    assert call("failures", url, "--ids", check=0).stdout == "volume-1\n"

    write_pair(source, 1)
    assert run(source, url, retry_failed=True).exit_code == 0
    assert group_failures(url) == ()
    assert call("status", url, check=0).stdout.split()[:2] == [url, "finished"]


def test_what_changes_is_uploaded_while_the_output_is_held(url, monkeypatch):
    monkeypatch.setattr("gpuprep.ledger.hold._RENEWED_EVERY", 0.05)
    stored = ObjectPath(url) / FAILURES_FILE
    with hold(url) as held:
        file = held.folder / FAILURES_FILE
        for content in (b"first", b"second"):
            file.write_bytes(content)
            wait_until(
                lambda wanted=content: stored.is_file() and stored.read_bytes() == wanted,
                f"{content} was uploaded",
            )
        file.unlink()
    assert not stored.is_file()
    assert not held.folder.exists()


def test_the_list_of_cases_is_made_anew(cohort_folder, url):
    run(cohort_folder, url, limit=2)
    place = ObjectPath(url)
    before = sorted((place / MANIFEST_FILE).read_bytes().splitlines())
    place.delete([MANIFEST_FILE, "cases/volume-1.zarr/record.json"])
    assert rebuild_manifest(url) == (1, ("volume-1",))
    assert (place / MANIFEST_FILE).read_bytes().splitlines() == before[:1]
    assert "1 cases listed" in call("index", url, check=1).stdout
    with hold(url):
        assert "another run" in call("index", url, check=2).stderr


def test_statistics_of_each_case_stay_in_the_store(cohort_folder, url, monkeypatch):
    cohort = {"image": {"intensity": [{"zscore": {"over": "cohort"}}]}}
    run(cohort_folder, url, cohort)
    write_pair(cohort_folder, 7)
    measured, measure = [], task.measure_case

    def counting(each, *more):
        measured.append(each.case.id)
        return measure(each, *more)

    monkeypatch.setattr(task, "measure_case", counting)
    assert run(cohort_folder, url, cohort).finished.done == 5
    assert measured == ["volume-7"]
    lines = (ObjectPath(url) / STATISTICS_FILE).read_bytes().splitlines()
    assert len(lines) == 5


@pytest.mark.parametrize("ask", [gpuprep.status, group_failures, rebuild_manifest])
def test_a_prefix_without_an_output_is_named(url, ask):
    with pytest.raises(StoreError, match=f"{url} is no gpuprep output"):
        ask(url)


@pytest.mark.parametrize("text", [None, b"{"])
def test_a_lost_config_is_restored_from_the_records(cohort_folder, url, text):
    run(cohort_folder, url, limit=2)
    file = ObjectPath(url) / "gpuprep.json"
    whole = file.read_bytes()
    for name, _ in list(ObjectPath(url).files()):
        if not name.startswith("cases/"):
            ObjectPath(url).delete([name])
    if text is not None:
        file.write(text)
    with pytest.raises(UsageError, match="0 of its cases are of this config, 2 of another"):
        run(cohort_folder, url, config={}, limit=2)
    assert run(cohort_folder, url, limit=2).finished.skipped == 2
    assert file.read_bytes() == whole


@pytest.mark.slow
def test_a_killed_run_is_taken_over_and_finished(some, clean, tmp_path, url, monkeypatch):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setenv("TMPDIR", str(scratch))
    with monkeypatch.context() as armed:
        armed.setenv("GPUPREP_FAILPOINTS", "before_manifest=stop:2")
        process = subprocess.Popen(
            command(some, url, "local"),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
    wait_for_stop(process)
    os.kill(process.pid, signal.SIGKILL)
    end(process)
    assert gpuprep.status(url).state == "died"
    survivors = versions_of_records(url)
    assert survivors
    assert len(survivors) < len(list(some.glob("volume-*")))

    resumed = finish(some, url)
    assert resumed.returncode == 0, resumed.stdout + resumed.stderr
    assert survivors.items() <= versions_of_records(url).items(), "a case was redone"
    assert contents_of(url, tmp_path / "copy") == clean
    assert list((ObjectPath(url) / ".staging").files()) == []
    assert gpuprep.status(url).state == "finished"
    assert not list(scratch.glob("gpuprep-hold-*"))
    assert not list(scratch.glob("gpuprep-slot-*"))


def test_a_run_of_another_host_is_taken_over_once_it_is_silent(cohort_folder, url, monkeypatch):
    elsewhere = {"attempt": "0123456789ab-1-1-feed", "at": 0}
    (ObjectPath(url) / ".staging/.run.json").write(json.dumps(elsewhere).encode())
    with pytest.raises(UsageError, match="another run"):
        run(cohort_folder, url, limit=1)
    monkeypatch.setattr("gpuprep.ledger.hold._EXPIRES", -2.0)  # times of a store are whole seconds
    assert run(cohort_folder, url, limit=1).exit_code == 0


@pytest.fixture
def far_worker(tmp_path, url, monkeypatch):
    """The config of a cluster whose one worker does not see the temporary folder of this process."""
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    tls = make_keys(tmp_path / "keys")
    with loopback_cluster(tls, workers=0) as cluster:
        address = cluster.scheduler_address
        config = tmp_path / "cluster.yaml"
        named = f"{{ca: {tls.ca}, cert: {tls.cert}, key: {tls.key}}}"
        config.write_text(f"cluster: {{kind: existing, address: '{address}', tls: {named}}}\n")
        worker = [sys.executable, "-m", "gpuprep.cli.app", "worker", "-c", str(config)]
        apart = ["unshare", "--mount", "sh", "-c", f'mount -t tmpfs none {hidden} && exec "$@"']
        if subprocess.run([*apart, "sh", "true"], capture_output=True, check=False).returncode:
            pytest.skip("mount namespaces cannot be made here")
        with (tmp_path / "log").open("wb") as log:
            process = subprocess.Popen([*apart, "sh", *worker], stdout=log, stderr=log)
        try:
            cluster.wait_for_workers(1, timeout=60)
            monkeypatch.setattr(tempfile, "tempdir", str(hidden))
            yield ClusterSpec(kind="existing", address=address, tls=tls)
        finally:
            process.terminate()
            process.wait(60)


@pytest.mark.slow
def test_workers_need_not_see_the_folder_of_the_run(far_worker, cohort_folder, tmp_path, url):
    cluster_wide = {"image": {"intensity": [{"zscore": {"over": "cohort"}}]}}
    config = gpuprep.Config.model_validate({**cluster_wide, "cluster": far_worker})
    report = gpuprep.run(cohort_folder, url, config=config)
    assert (report.exit_code, report.finished.done) == (0, 4)
    assert run(cohort_folder, tmp_path / "plain", config=cluster_wide).exit_code == 0
    assert contents_of(url, tmp_path / "copy") == contents(tmp_path / "plain")
    assert not any("token" in name for name, _ in ObjectPath(url).files())
    with pytest.raises(UsageError, match="does not see the output"):
        gpuprep.run(cohort_folder, Path(tempfile.gettempdir()) / "out", config=config)


def test_a_cluster_that_needs_a_folder_is_refused(cohort_folder, url):
    ssh = {"cluster": {"kind": "ssh", "ssh": {"hosts": ["one"]}}}
    with pytest.raises(UsageError, match="kind ssh keeps its keys"):
        run(cohort_folder, url, config=ssh, scheduler=None)


def test_a_training_epoch_equals_one_over_the_folder(tmp_path, url):
    torch = pytest.importorskip("torch")
    root = store_cohort(tmp_path / "stored")
    place = ObjectPath(url)
    (place / "gpuprep.json").write(b"{}")
    for number in range(5):
        assert upload_case(case_folder(root, f"case_{number}"), place, f"case_{number}")

    def epoch(cohort, **options):
        dataset = PatchDataset(
            cohort, patch=(16, 16, 16), sampler=Foreground("organ"), samples=12, seed=3
        )
        return list(PatchLoader(dataset, batch_size=3, **options))

    near = epoch(root)
    assert len(near) == 4
    # a server of forks that an earlier test started would not have the keys in its environment
    for far in (epoch(url), epoch(url, workers=2, start_method="spawn")):
        for one, other in zip(near, far, strict=True):
            assert (one["case"], one.keys()) == (other["case"], other.keys())
            assert torch.equal(one["labels"]["organ"], other["labels"]["organ"])
            for name in ("image", "start"):
                assert torch.equal(one[name], other[name])


def test_a_worker_that_cannot_read_the_store_says_why(url):
    token = ObjectPath(url) / ".token"
    terms = {"inputs": (), "backend": "numpy", "output": url, "file": token.url, "token": "ours"}
    assert f"does not see the output {url}: " in examine(terms)["lacks"][0]
    token.write(b"theirs")
    assert "sees another file" in examine(terms)["lacks"][0]
    token.write(b"ours")
    assert examine(terms)["lacks"] == []


def test_a_prefix_without_a_case_is_free_for_another_config(cohort_folder, url):
    too_large = {"image": {"intensity": [{"multiply": {"by": 1e6}}]}}
    assert run(cohort_folder, url, config=too_large, limit=1).finished.failed == 1
    assert run(cohort_folder, url, limit=1).finished.done == 1
    with pytest.raises(UsageError, match="another config"):
        run(cohort_folder, url, config=too_large, limit=1)
    assert verify_cohort(url, full=True) == []
