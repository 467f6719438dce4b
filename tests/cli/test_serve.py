"""``gpuprep serve``: its settings checked, and tokens made, listed and ended."""

import json
from pathlib import Path

import pytest
import yaml
from support.commands import call

from gpuprep.service.door.tokens import Principal, Tokens


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path / "srv"


def test_a_token_is_printed_once_and_opens_what_was_said(home: Path) -> None:
    words = ("--scope", "submit", "--root", "ct*", "--root", "mr", "--cohort", "anna-*")
    made = call("serve", "token", "anna", *words, "--folder", home, check=0)
    assert made.stdout.count("\n") == 1
    found = Tokens(home).find(made.stdout.strip())
    assert found == Principal("anna", "submit", ("ct*", "mr"), ("anna-*",))
    assert home.stat().st_mode & 0o077 == 0
    again = call("serve", "token", "anna", "--folder", home, check=2)
    assert "there is a token of the name anna" in again.stderr
    assert not again.stdout


def test_the_folder_may_stand_on_either_side(home: Path, tmp_path) -> None:
    call("serve", "--folder", home, "token", "anna", check=0)
    call("serve", "token", "berta", "--folder", home, check=0)
    call("serve", "--folder", home, "token", "carla", "--folder", home, check=0)
    assert [each.name for each in Tokens(home).names()] == ["anna", "berta", "carla"]
    call("serve", "token", "dora", check=0)
    assert [each.name for each in Tokens(tmp_path / "gpuprep-service").names()] == ["dora"]
    twice = call("serve", "--folder", home, "token", "eve", "--folder", tmp_path, check=2)
    assert "given twice" in twice.stderr


@pytest.mark.parametrize(
    "words", [("--port", "0"), ("--root", "a=b"), ("--check",), ("--settings", "x.yaml")]
)
def test_what_is_about_serving_means_nothing_before_token(home: Path, words) -> None:
    told = call("serve", *words, "token", "anna", "--folder", home, check=2)
    assert f"{words[0]} before 'token' means nothing" in told.stderr
    assert not home.exists()


def test_tokens_are_listed_and_ended(home: Path) -> None:
    token = call("serve", "token", "anna", "--folder", home, check=0).stdout.strip()
    call("serve", "token", "berta", "--scope", "admin", "--folder", home, check=0)
    listed = call("serve", "token", "--list", "--folder", home, check=0)
    assert listed.stdout.splitlines() == [
        "anna: read, roots *, cohorts *",
        "berta: admin, roots *, cohorts *",
    ]
    assert token not in listed.stdout
    tree = json.loads(call("serve", "token", "--list", "--json", "--folder", home, check=0).stdout)
    assert [each["scope"] for each in tree["tokens"]] == ["read", "admin"]
    call("serve", "token", "anna", "--revoke", "--folder", home, check=0)
    assert Tokens(home).find(token) is None
    gone = call("serve", "token", "anna", "--revoke", "--folder", home, check=2)
    assert "--list" in gone.stderr


def test_words_that_make_no_sense(home: Path) -> None:
    for words in ([], ["anna", "--list"], ["--revoke"], ["--list", "--revoke"]):
        assert "--list" in call("serve", "token", *words, "--folder", home, check=2).stderr
    assert (
        "scope" in call("serve", "token", "x", "--scope", "root", "--folder", home, check=2).stderr
    )
    for words in (["--list"], ["anna", "--revoke"]):
        told = call("serve", "token", *words, "--folder", home, check=2).stderr
        assert "there is no folder" in told
    assert not home.exists()


def test_settings_are_checked_without_serving(home: Path, tmp_path) -> None:
    (tmp_path / "scans").mkdir()
    right = call("serve", "--root", "data=scans", "--folder", home, "--check", check=0)
    assert right.stdout == "settings are right: 1 roots, 0 profiles, 0 tokens\n"
    assert not home.exists()
    home.mkdir()
    (home / "service.yaml").write_text(yaml.safe_dump({"limits": {"job": 1}}))
    wrong = call("serve", "--folder", home, "--check", check=2)
    assert "limits.job: unknown key; did you mean 'jobs'?" in " ".join(wrong.stderr.split())
    one = {"config": {"label": {"required": True}}, "slots": 1}
    (home / "service.yaml").write_text(yaml.safe_dump({"profiles": {"one": one}}))
    assert "profile one needs a label" in call("serve", "--folder", home, "--check", check=2).stderr
    (home / "service.yaml").write_text("{}")
    (home / "tokens.jsonl").write_text("{torn")
    torn = call("serve", "--folder", home, "--check")
    assert torn.returncode != 0
    assert "line 1" in torn.stderr
