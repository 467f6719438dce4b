"""The shell of the pages and its files: open to all, nothing of anybody's data, and nothing beside them."""

import re
from pathlib import Path

import pytest
from support.service_app import App

from gpuprep.service.pages import routes
from gpuprep.service.pages.routes import FOLDER, PAGES


@pytest.fixture(scope="module")
def app(tmp_path_factory) -> App:
    return App(tmp_path_factory.mktemp("service") / "folder")


@pytest.mark.parametrize("path", [re.sub("{.*?}", "x%20y", page) for page in PAGES])
def test_every_page_is_the_same_shell_under_a_strict_policy(app: App, path: str) -> None:
    answer = app.client().get(path)
    assert answer.text == (FOLDER / "index.html").read_text("utf-8")
    policy = dict(
        part.split(" ", 1) for part in answer.headers["content-security-policy"].split("; ")
    )
    assert (policy["script-src"], policy["default-src"]) == ("'self'", "'none'")
    assert "http" not in answer.headers["content-security-policy"]


def test_files_come_with_their_type_and_are_asked_for_anew_by_their_etag(app: App) -> None:
    first = app.client().get("/pages/vendor/preact.js")
    assert first.headers["content-type"].startswith("text/javascript")
    again = app.client().get(
        "/pages/vendor/preact.js", headers={"If-None-Match": first.headers["etag"]}
    )
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize(
    "path", ["routes.py", "../app.py", "%2e%2e/app.py", "vendor/", "", "index.html"]
)
def test_nothing_else_is_handed_out(app: App, path: str) -> None:
    assert app.client().get(f"/pages/{path}").status_code == 404


def test_who_asks_is_told_who_they_are(app: App) -> None:
    assert app.client().get("/v1/about").status_code == 401
    told = app.browser().get("/v1/about").json()
    assert (told["who"], told["scope"]) == ("operator", "admin")


def test_a_file_is_read_once(app: App, monkeypatch) -> None:
    reads: list[Path] = []
    read = Path.read_bytes

    def noting(path: Path) -> bytes:
        reads.append(path)
        return read(path)

    routes._content.cache_clear()
    monkeypatch.setattr(Path, "read_bytes", noting)
    answers = [app.client().get("/pages/shell.js") for _ in range(3)]
    assert [path.name for path in reads if FOLDER in path.parents] == ["shell.js"]
    assert {answer.content for answer in answers} == {read(FOLDER / "shell.js")}
    assert len({answer.headers["etag"] for answer in answers}) == 1
