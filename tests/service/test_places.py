"""Where inputs lie: below their roots, whatever a path or a link says, now and when they are opened."""

import os
from pathlib import Path

import pytest
from support.cohorts import write_pair
from support.serving import Served, serving

from gpuprep.service.places import Places
from gpuprep.service.problems import Problem
from gpuprep.service.settings import Settings


@pytest.fixture
def places(tmp_path) -> Places:
    (tmp_path / "root/in").mkdir(parents=True)
    (tmp_path / "root2").mkdir()
    (tmp_path / "secret").mkdir()
    (tmp_path / "folder").mkdir()
    roots = {"data": str(tmp_path / "root")}
    return Places(tmp_path / "folder", Settings(roots=roots))


def refusal(places: Places, path: str, root: str = "data") -> str:
    with pytest.raises(Problem) as error:
        places.source(root, path)
    assert error.value.status == 422
    return error.value.code


def test_a_path_below_its_root(places: Places, tmp_path) -> None:
    assert places.source("data", "in") == tmp_path / "root/in"
    assert places.source("data", "./in/") == tmp_path / "root/in"
    assert places.source("data", "") == tmp_path / "root"
    (tmp_path / "root/link").symlink_to("in")
    assert places.source("data", "link") == tmp_path / "root/in"


@pytest.mark.parametrize(
    "path",
    [
        *("..", "../root2", "in/../../root2", "in/..", "/etc", "//etc", "in/../../../etc/passwd"),
        *("in\0", "nothing", "in/" + "x" * 300, "/".join(["in"] * 3000), "~", "file:///etc"),
        *("%2e%2e/secret", "..\\secret", "in\n"),
    ],
)
def test_a_path_that_is_none(places: Places, path: str) -> None:
    assert refusal(places, path) == "E_PATH"


def test_links_out_of_the_root(places: Places, tmp_path) -> None:
    root = tmp_path / "root"
    (root / "out").symlink_to(tmp_path / "secret")
    (root / "beside").symlink_to(tmp_path / "root2")
    (root / "loop").symlink_to("loop")
    (root / "gone").symlink_to("nothing")
    (root / "in/up").symlink_to("../..")
    for path in ("out", "beside", "loop", "gone", "in/up", "in/up/secret"):
        assert refusal(places, path) == "E_PATH", path


def test_a_root_that_is_none(places: Places) -> None:
    for root in ("other", "", "..", "data/in"):
        assert refusal(places, "", root) == "E_ROOT"


def test_names_of_cohorts_are_no_paths(places: Places, tmp_path) -> None:
    (tmp_path / "folder/gpuprep.json").touch()
    for name in ("..", ".", "", "a/b", "../cohorts", "a\0", "a\n", ".hidden", "é"):
        assert places.cohort(name) is None, name
        with pytest.raises(Problem):
            places.output(name)


def test_texts_lose_the_paths_of_this_machine(places: Places, tmp_path) -> None:
    text = f"{tmp_path}/root/in/x.nii and {tmp_path}/folder/cohorts/c1 and {tmp_path}/folder/jobs"
    assert places.hidden(text) == "root data/in/x.nii and cohorts/c1 and service/jobs"


@pytest.fixture(scope="module")
def served(tmp_path_factory) -> Served:
    folder = tmp_path_factory.mktemp("places")
    for name in ("data/in", "secret"):
        (folder / name).mkdir(parents=True)
        write_pair(folder / name, 0)
    settings = {"limits": {"jobs": 1}}
    with serving(folder / "folder", folder / "data", settings) as found:
        yield found


def test_a_manifest_leads_nowhere_out_of_the_root(served: Served) -> None:
    secret = served.folder.parent / "secret"
    image = next(path for path in secret.rglob("*.nii*"))
    manifest = served.folder.parent / "data/list.csv"
    for number, path in enumerate((image, os.path.relpath(image, manifest.parent), "/etc/passwd")):
        manifest.write_text(f"case_id,image\nx,{path}\n")
        with served.ask() as client:
            body = {
                "root": "data",
                "path": "list.csv",
                "output": f"m-{number}",
                "executor": "serial",
            }
            answer = client.post("/v1/jobs", json=body)
        assert answer.status_code == 422, answer.text
        assert answer.json()["code"] == "E_UNSAFE_PATH", answer.text
        assert str(served.folder.parent / "data") not in answer.text


def test_a_link_in_the_input_leads_nowhere_out_of_the_root(served: Served) -> None:
    data = served.folder.parent / "data/linked"
    data.mkdir()
    for path in (served.folder.parent / "secret").rglob("*.nii*"):
        (data / path.name).symlink_to(path)
    with served.ask() as client:
        body = {"root": "data", "path": "linked", "output": "linked", "executor": "serial"}
        answer = client.post("/v1/jobs", json=body)
    assert answer.status_code == 422, answer.text


def test_what_became_a_link_while_it_waited_is_not_followed(served: Served) -> None:
    """Accepted as a folder, a link by the time that its turn comes."""
    data = served.folder.parent / "data"
    held = data / "turn"
    held.mkdir()
    write_pair(held, 1)
    first = served.submit(output="first", path="in")
    second = served.submit(output="second", path="turn")
    held.rename(data / "was")
    Path(held).symlink_to(served.folder.parent / "secret")
    assert served.ended(first["id"])["state"] == "succeeded"
    ended = served.ended(second["id"])
    assert ended["state"] == "failed"
    assert "turn" in ended["reason"]
    assert str(served.folder.parent) not in ended["reason"]
    assert not (served.folder / "cohorts/second/cases").exists()


def test_no_answer_tells_where_anything_lies(served: Served) -> None:
    """Of a cohort with a case that failed: its job, events, failures, and the plan of a retry."""
    data = served.folder.parent / "data/broken"
    data.mkdir()
    write_pair(data, 0)
    write_pair(data, 1)
    victim = sorted(data.rglob("*.nii*"))[-1]
    job = served.submit(output="broken", path="broken")
    victim.write_bytes(victim.read_bytes()[:1000])
    ended = served.ended(job["id"])
    with served.ask() as client:
        paths = [f"/v1/jobs/{job['id']}", f"/v1/jobs/{job['id']}/events", "/v1/jobs"]
        paths += [f"/v1/cohorts/broken{rest}" for rest in ("", "/cases", "/failures")]
        told = [client.get(path) for path in paths]
        told += [client.post(f"/v1/jobs/{job['id']}/retry", params={"dry_run": True})]
        body = {"root": "data", "path": "broken", "output": "other"}
        told += [client.post("/v1/jobs", json=body, params={"dry_run": True})]
    assert ended["state"] in ("succeeded_with_failures", "succeeded")
    assert all(answer.status_code == 200 for answer in told)
    assert "E_" in told[-1].text, "the plan tells of the refusal"
    for answer in told:
        assert str(served.folder.parent) not in answer.text, answer.request.url
