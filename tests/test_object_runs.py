"""Runs whose output is an object store: watched, killed and taken over, and worked on by other hosts."""

import json
import time

import pytest
from conftest import write_pair
from test_cli import call
from test_run import run

import gpuprep
from gpuprep import desk
from gpuprep.desk import open_desk
from gpuprep.errors import StoreError
from gpuprep.events import CaseDone
from gpuprep.failures import group_failures
from gpuprep.index import rebuild_manifest
from gpuprep.store.layout import MANIFEST_FILE, STATUS_FILE
from gpuprep.store.objects import ObjectPath

pytest.importorskip("obstore")
pytest.importorskip("moto.server")
from s3_server import Proxy, fresh_prefix, s3_behind_proxy


@pytest.fixture(scope="module")
def proxy():
    with s3_behind_proxy() as running:
        yield running


@pytest.fixture
def url(proxy: Proxy, monkeypatch):
    return fresh_prefix(proxy, monkeypatch)


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
    monkeypatch.setattr(desk, "_RENEWED_EVERY", 0.05)
    state = ObjectPath(url) / STATUS_FILE

    def wait_for(content):
        deadline = time.monotonic() + 20
        while not (state.is_file() and state.read_bytes() == content):
            assert time.monotonic() < deadline
            time.sleep(0.02)

    with open_desk(url) as held:
        file = held.folder / STATUS_FILE
        file.parent.mkdir()
        for content in (b"first", b"second"):
            file.write_bytes(content)
            wait_for(content)
        file.unlink()
    assert not state.is_file()
    assert not held.folder.exists()


def test_the_list_of_cases_is_made_anew(cohort_folder, url):
    run(cohort_folder, url, limit=2)
    place = ObjectPath(url)
    before = sorted((place / MANIFEST_FILE).read_bytes().splitlines())
    place.delete([MANIFEST_FILE, "cases/volume-1.zarr/record.json"])
    assert rebuild_manifest(url) == (1, ("volume-1",))
    assert (place / MANIFEST_FILE).read_bytes().splitlines() == before[:1]
    assert "1 cases listed" in call("index", url, check=1).stdout
    with open_desk(url):
        assert "another run" in call("index", url, check=2).stderr


@pytest.mark.parametrize("ask", [gpuprep.status, group_failures, rebuild_manifest])
def test_a_prefix_without_an_output_is_named(url, ask):
    with pytest.raises(StoreError, match=f"{url} is no gpuprep output"):
        ask(url)
