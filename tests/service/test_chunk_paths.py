"""What is not served, however it is asked for: other folders, hidden and private entries, links."""

import os
import shutil
import socket
from pathlib import Path

import pytest
from support.stored import store_cohort

from gpuprep.service.chunks.outputs import parse_name

SHARD = "cases/case_1.zarr/0/c.0.0.0.0"
PRIVATE = [
    "failures.jsonl",
    "attempts.jsonl",
    "report.json",
    "inputs.json",
    "statistics.jsonl",
    "logs/run.jsonl",
    ".gpuprep/status.json",
    ".staging/case_1.json",
    "pruned/case_1.zarr/record.json",
    "cases/.case_1.zarr/record.json",
    "cases/case_1.zarr/.hidden",
    "cases/notes.txt",
    "cases/case_1/record.json",
]
WAYS_OUT = [
    "../secret.txt",
    "..",
    ".",
    "",
    "/",
    "cases/../../secret.txt",
    "cases/case_1.zarr/../../../secret.txt",
    "cases/case_1.zarr/../case_1.zarr/record.json",
    "cases/case_1.zarr/./record.json",
    "cases/case_1.zarr//record.json",
    "cases//case_1.zarr/record.json",
    "//etc/passwd",
    "/etc/passwd",
    "cases/case_1.zarr//etc/passwd",
    "cases/case_1.zarr/",
    "cases/case_1.zarr",
    "cases/case_1.zarr/0/",
    "cases/case_1.zarr\0/record.json",
    "cases/case_1.zarr/record.json\0",
    "cases/case_1.zarr/..\\..\\..\\secret.txt",
    "cases/..zarr/record.json",
    "cases/.zarr/record.json",
    "cases/case_1.zarr/" + "a/" * 50 + "a",
    "cases/case_1.zarr/" + "a" * 5000,
    "gpuprep.json/",
    "gpuprep.json/../gpuprep.json",
]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("served")
    (folder / "secret.txt").write_text("secret")
    root = store_cohort(folder / "out")
    for name in PRIVATE:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("secret")
    shutil.copytree(root / "cases/case_1.zarr", folder / "elsewhere.zarr")
    (root / "cases/linked.zarr").symlink_to(folder / "elsewhere.zarr")
    case = root / "cases/case_2.zarr"
    (case / "1").symlink_to(case / "0")
    (case / "link.json").symlink_to(folder / "secret.txt")
    (case / "inside.json").symlink_to("record.json")
    (root / "agreement.json").symlink_to(folder / "secret.txt")
    os.mkfifo(case / "pipe")
    return root


def ask(url: str, target: str) -> bytes:
    """The answer to exactly this request, which no client has put in order."""
    host, port = url.removeprefix("http://").split("/")[0].split(":")
    with socket.create_connection((host, int(port)), timeout=30) as line:
        line.sendall(f"GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        return b"".join(iter(lambda: line.recv(65536), b""))


def encoded(path: str, *, all_of_it: bool) -> str:
    plain = "" if all_of_it else "abcdefghijklmnopqrstuvwxyz0123456789_./"
    return "".join(c if c in plain else f"%{ord(c):02x}" for c in path)


def test_what_is_served_is_found_by_the_same_request(chunks, root):
    url = chunks.share("demo", root)
    for all_of_it in (False, True):
        answer = ask(url, f"/v1/zarr/demo/{encoded(SHARD, all_of_it=all_of_it)}")
        assert answer.startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("all_of_it", [False, True], ids=["plain", "encoded"])
@pytest.mark.parametrize("view", ["zarr", "zarr32"])
@pytest.mark.parametrize("path", [*PRIVATE, *WAYS_OUT])
def test_nothing_else_is(chunks, root, path, view, all_of_it):
    url = chunks.share("demo", root)
    answer = ask(url, f"/v1/{view}/demo/{encoded(path, all_of_it=all_of_it)}")
    assert answer.startswith(b"HTTP/1.1 404"), answer[:200]
    assert b"secret" not in answer.partition(b"\r\n\r\n")[2]


@pytest.mark.parametrize(
    "path",
    [
        "cases/linked.zarr/record.json",
        "cases/linked.zarr/0/c.0.0.0.0",
        "cases/case_2.zarr/1/zarr.json",
        "cases/case_2.zarr/1/c.0.0.0.0",
        "cases/case_2.zarr/link.json",
        "cases/case_2.zarr/inside.json",
        "cases/case_2.zarr/pipe",
        "cases/case_2.zarr/0",
        "agreement.json",
    ],
)
@pytest.mark.parametrize("view", ["zarr", "zarr32"])
def test_links_pipes_and_folders_are_not_there(chunks, root, path, view):
    url = chunks.share("demo", root)
    assert ask(url, f"/v1/{view}/demo/{path}").startswith(b"HTTP/1.1 404")


@pytest.mark.parametrize("cohort", ["..", "%2e%2e", "demo%2f..", "", ".", "%00", "none"])
def test_a_cohort_is_a_name_and_no_path(chunks, root, cohort):
    url = chunks.share("demo", root)
    assert ask(url, f"/v1/zarr/{cohort}/gpuprep.json").startswith(b"HTTP/1.1 404")


@pytest.mark.parametrize("path", [*WAYS_OUT, *PRIVATE])
def test_such_a_path_is_no_name(path):
    assert parse_name(path) is None
