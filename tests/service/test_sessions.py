"""Sessions of browsers: a link opens one once, a cookie carries it, and it ends."""

import pytest
from support.service_app import HERE, App

from gpuprep.service.door import access
from gpuprep.service.door.access import COOKIE, Sessions
from gpuprep.service.door.tokens import Principal

BOSS = Principal("operator", "admin")
OWN = {"Origin": HERE}


@pytest.fixture
def app(tmp_path) -> App:
    return App(tmp_path / "folder")


@pytest.fixture
def clock(monkeypatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr(access.time, "monotonic", lambda: now[0])
    return now


def test_a_link_opens_one_session_and_no_other(app: App) -> None:
    code = app.service.sessions.link(BOSS)
    first = app.client().get("/login", params={"code": code})
    again = app.client().get("/login", params={"code": code})
    assert (first.status_code, first.headers["location"]) == (303, "/")
    assert (again.status_code, again.json()["code"]) == (403, "E_LINK")
    assert COOKIE not in again.headers.get("set-cookie", "")


def test_a_link_that_was_used_leads_a_person_to_the_page_that_says_what_to_do(app: App) -> None:
    code = app.service.sessions.link(BOSS)
    app.client().get("/login", params={"code": code})
    again = app.client(accept="text/html,*/*").get("/login", params={"code": code})
    assert (again.status_code, again.headers["location"]) == (303, "/")
    assert "set-cookie" not in again.headers


def test_asking_for_headers_alone_uses_no_link_up(app: App) -> None:
    code = app.service.sessions.link(BOSS)
    assert app.client().request("HEAD", "/login", params={"code": code}).status_code == 204
    assert app.client().get("/login", params={"code": code}).status_code == 303


@pytest.mark.parametrize(
    ("settings", "secure"), [({}, False), ({"behind_proxy": True}, True)], ids=["plain", "proxy"]
)
def test_no_script_and_no_other_page_has_the_cookie(tmp_path, settings, secure) -> None:
    app = App(tmp_path / "folder", **settings)
    code = app.service.sessions.link(BOSS)
    cookie = app.client().get("/login", params={"code": code}).headers["set-cookie"]
    parts = {part.strip().lower() for part in cookie.split(";")}
    assert {"httponly", "samesite=strict", "path=/"} <= parts
    assert ("secure" in parts) == secure
    assert not any(part.startswith("domain") for part in parts)
    assert code not in cookie


def test_a_session_asks_as_its_owner_until_it_logs_out(app: App) -> None:
    browser = app.browser()
    assert browser.get("/v1/jobs").status_code == 200
    held = browser.cookies[COOKIE]
    assert browser.post("/logout").status_code == 403  # which page it was says nobody
    assert browser.post("/logout", headers=OWN).status_code == 204
    stolen = app.client(None, Cookie=f"{COOKIE}={held}")
    assert stolen.get("/v1/jobs").status_code == 401


def test_sessions_and_links_grow_old(clock: list[float]) -> None:
    sessions = Sessions()
    old, code = sessions.link(BOSS), sessions.link(BOSS)
    cookie = sessions.open(code)
    clock[0] += 601
    assert sessions.open(old) is None
    assert sessions.find(cookie) == BOSS
    clock[0] += 12 * 3600
    assert sessions.find(cookie) is None


def test_a_wrong_token_is_not_made_good_by_a_cookie(app: App) -> None:
    browser = app.browser()
    assert browser.get("/v1/jobs", headers={"Authorization": "Bearer no"}).status_code == 401
    assert browser.get("/v1/jobs", headers={"Authorization": "Basic eDp5"}).status_code == 401


def test_neither_codes_nor_cookies_are_kept_as_they_are(app: App) -> None:
    sessions = app.service.sessions
    code = sessions.link(BOSS)
    assert code not in repr(vars(sessions))
    cookie = sessions.open(code)
    assert cookie
    assert cookie not in repr(vars(sessions))
