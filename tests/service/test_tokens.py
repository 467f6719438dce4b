"""Tokens: made once, kept as hashes, known and ended at once, whatever befalls their file."""

import json
import os
import stat
import threading

import pytest
from support.service_app import App

from gpuprep.service.door.tokens import TOKENS_FILE, Principal, Tokens, hashed
from gpuprep.values.errors import CorruptStoreError, UsageError

ANNA = Principal("anna", "submit", ("data",), ("anna-*",))


def test_a_token_is_found_again_with_all_that_it_opens(tmp_path) -> None:
    token = Tokens(tmp_path).add(ANNA)
    assert Tokens(tmp_path).find(token) == ANNA
    assert Tokens(tmp_path).find(token[:-1]) is None
    assert Tokens(tmp_path).find(hashed(token)) is None
    assert Tokens(tmp_path).find("") is None


def test_the_file_opens_nothing_and_to_nobody(tmp_path) -> None:
    before = os.umask(0)
    try:
        (tmp_path / f".{TOKENS_FILE}.partial").write_text("of a crash, open to all")
        token = Tokens(tmp_path).add(ANNA)
    finally:
        os.umask(before)
    path = tmp_path / TOKENS_FILE
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert token not in path.read_text()
    assert token.removeprefix("gpr_") not in path.read_text()
    assert json.loads(path.read_text())["sha256"] == hashed(token)


def test_a_revoked_token_opens_nothing_from_then_on(tmp_path) -> None:
    app = App(tmp_path / "folder")
    client = app.client(ANNA)
    assert client.get("/v1/jobs").status_code == 200
    Tokens(app.folder).revoke("anna")  # by another process, for all it knows
    assert client.get("/v1/jobs").status_code == 401


def test_every_change_is_seen_however_fast_it_comes(tmp_path) -> None:
    running = Tokens(tmp_path)
    for number in range(50):
        token = Tokens(tmp_path).add(Principal(f"n{number}"))
        assert running.find(token) is not None
        Tokens(tmp_path).revoke(f"n{number}")
        assert running.find(token) is None


def test_tokens_made_at_one_time_are_all_kept(tmp_path) -> None:
    makers = [
        threading.Thread(target=lambda n=n: Tokens(tmp_path).add(Principal(f"n{n}")))
        for n in range(20)
    ]
    for maker in makers:
        maker.start()
    for maker in makers:
        maker.join()
    assert len(Tokens(tmp_path).names()) == 20


GOOD = {"sha256": "0" * 64, "name": "b", "scope": "read", "roots": ["*"], "cohorts": ["*"]}
BAD = [
    b'{"sha256": "00',
    b"\xff\xfe",
    b"[]",
    b"null",
    b"[" * 100_000,
    *(
        json.dumps({**GOOD, **wrong}).encode()
        for wrong in (
            {"scope": "root"},
            {"scope": ["admin"]},
            {"roots": "*"},
            {"cohorts": [1]},
            {"sha256": "0"},
            {"name": "../x"},
            {"name": 1},
        )
    ),
    json.dumps({key: value for key, value in GOOD.items() if key != "cohorts"}).encode(),
]


@pytest.mark.parametrize("line", BAD, ids=range(len(BAD)))
def test_a_line_that_says_nothing_shuts_nobody_out(tmp_path, capsys, line: bytes) -> None:
    tokens = Tokens(tmp_path)
    token = tokens.add(ANNA)
    assert tokens.find(token) == ANNA
    with (tmp_path / TOKENS_FILE).open("ab") as file:
        file.write(line + b"\n")
    assert tokens.find(token) == ANNA
    assert tokens.find("other") is None
    told = capsys.readouterr().err
    assert told.count("line 2") == 1, "it says so, and once"
    assert "as last read count on" in told
    assert token not in told
    with pytest.raises(CorruptStoreError, match="line 2"):  # and is not started with it
        App(tmp_path)
    before = (tmp_path / TOKENS_FILE).read_bytes()
    with pytest.raises(CorruptStoreError, match="line 2"):
        Tokens(tmp_path).add(Principal("new"))
    assert (tmp_path / TOKENS_FILE).read_bytes() == before


def test_a_mended_file_counts_again(tmp_path, capsys) -> None:
    tokens = Tokens(tmp_path)
    token = tokens.add(ANNA)
    assert tokens.find(token) == ANNA
    whole = (tmp_path / TOKENS_FILE).read_text()
    (tmp_path / TOKENS_FILE).write_text(whole + "torn")
    assert tokens.find(token) == ANNA
    assert tokens.fault
    (tmp_path / TOKENS_FILE).write_text(json.dumps(GOOD) + "\n")
    assert tokens.find(token) is None
    assert not tokens.fault


def test_without_a_file_nobody_has_a_token(tmp_path) -> None:
    tokens = Tokens(tmp_path)
    token = tokens.add(ANNA)
    assert tokens.find(token)
    (tmp_path / TOKENS_FILE).unlink()
    assert tokens.find(token) is None


def test_a_name_has_one_token(tmp_path) -> None:
    Tokens(tmp_path).add(ANNA)
    with pytest.raises(UsageError, match="anna"):
        Tokens(tmp_path).add(ANNA)
    with pytest.raises(UsageError, match="berta"):
        Tokens(tmp_path).revoke("berta")
    with pytest.raises(UsageError, match="no name"):
        Tokens(tmp_path).add(Principal("a b"))


def test_scopes_contain_one_another() -> None:
    scopes = ("read", "submit", "admin")
    has = [[Principal("x", mine).has(asked) for asked in scopes] for mine in scopes]
    assert has == [[True, False, False], [True, True, False], [True, True, True]]
    assert Principal("x", "submit").may_change("x")
    assert not Principal("x", "submit").may_change("y")
    assert not Principal("x", "read").may_change("x")
    assert Principal("x", "admin").may_change("y")
    assert ANNA.may_see("anna-1")
    assert not ANNA.may_see("berta-1")
    assert not ANNA.may_see("ANNA-1")
    assert not ANNA.may_use("database")
