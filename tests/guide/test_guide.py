"""The guide command, and the form of the pages it shows."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.commands import call

from gpuprep.cli import guide as command
from guide.pages import GUIDE, PAGES, ROOT, TEXTS, prose

TOPICS = sorted(set(PAGES) - {"README"})


def test_the_readme_is_one_page() -> None:
    assert len(TEXTS["README"].splitlines()) <= 175


@pytest.mark.parametrize("topic", TOPICS)
def test_a_page_begins_with_a_heading_and_what_it_tells(topic: str) -> None:
    heading, summary, _ = TEXTS[topic].split("\n\n", 2)
    assert re.fullmatch(r"# [^\n]+", heading)
    assert re.fullmatch(r"(How|What|Which|Every) [^.]+\.", summary.replace("\n", " "))
    assert len(TEXTS[topic].splitlines()) <= 200


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", prose(page)):
        assert (PAGES[page].parent / target).is_file(), target


@pytest.mark.parametrize("topic", TOPICS)
def test_every_page_is_reached_from_the_readme(topic: str) -> None:
    assert f"[{topic}](gpuprep/guide/{topic}.md)" in TEXTS["README"]


def test_paths_in_the_repository_exist() -> None:
    for page in PAGES:
        named = re.findall(r"(?:tests|benchmarks|configs)/[\w/.]+\.\w+", TEXTS[page])
        assert not [path for path in named if not (ROOT / path).exists()], page


def test_ci_runs_the_two_commands_of_the_readme() -> None:
    first, second = re.findall(r"^python3 -m venv .*?(?= +#)", TEXTS["README"], re.MULTILINE)
    script = (ROOT / ".ci/run").read_text("utf-8")
    assert first.replace("install -e", "install --quiet -e") in script
    set_up, _, test = second.rpartition(" && ")
    assert set_up.replace("-e", "--quiet -e") in script
    assert f"{test} " in script


def test_without_a_topic_every_page_is_listed_in_one_line() -> None:
    printed = call("guide", check=0).stdout.splitlines()
    assert [line.split()[0] for line in printed] == TOPICS
    listed = json.loads(call("guide", "--json", check=0).stdout)
    assert [entry["topic"] for entry in listed["topics"]] == TOPICS
    for line, entry in zip(printed, listed["topics"], strict=True):
        assert line.endswith(entry["summary"])
        assert entry["summary"] in " ".join(TEXTS[entry["topic"]].split())


@pytest.mark.parametrize("topic", ["start", "config"])
def test_a_pipe_gets_the_page_as_it_is(topic: str) -> None:
    assert call("guide", topic, check=0).stdout == TEXTS[topic]
    page = json.loads(call("guide", topic, "--json", check=0).stdout)
    assert page["text"] == TEXTS[topic]
    assert f"# {page['title']}" == TEXTS[topic].splitlines()[0]


def test_an_unknown_topic_names_the_nearest() -> None:
    assert "gpuprep guide config" in call("guide", "confg", check=2).stderr
    far = call("guide", "x" * 20, check=2).stderr.replace("\n", " ")
    assert all(topic in far for topic in TOPICS)


def test_a_terminal_gets_the_page_in_its_pager(tmp_path: Path) -> None:
    pty = pytest.importorskip("pty")
    pager = tmp_path / "pager"
    pager.write_text(f"#!/bin/sh\ncat > {tmp_path}/shown\n")
    pager.chmod(0o755)
    script = (
        "import os, sys\n"
        f"os.environ['PAGER'] = {str(pager)!r}; os.environ.pop('MANPAGER', None)\n"
        "from gpuprep.cli.app import main\n"
        "sys.argv = ['gpuprep', 'guide', 'runs']; main()"
    )
    inside, outside = pty.openpty()
    with os.fdopen(inside, "rb"), os.fdopen(outside, "r+b", buffering=0) as terminal:
        done = subprocess.run(
            [sys.executable, "-c", script],
            stdin=terminal,
            stdout=terminal,
            stderr=subprocess.PIPE,
            timeout=60,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    shown = (tmp_path / "shown").read_text("utf-8")
    assert "Exit codes" in shown
    assert "## Exit codes" not in shown, "headings are drawn, not written"
    assert "\x1b" not in shown, "this pager was not asked whether it knows colours"


def test_pages_come_with_the_package() -> None:
    assert {page.topic for page in command.pages().values()} == {
        path.stem for path in GUIDE.glob("*.md")
    }
