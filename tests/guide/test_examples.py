"""Every example of the README and the guide works: shell lines and Python run, configs are valid."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import re
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from gpuprep.cli.app import app, main
from gpuprep.cli.terminal import session
from gpuprep.config.file import load_config
from guide.background import background
from guide.conftest import Shell
from guide.pages import PAGES, Block, blocks, inline_code

pytestmark = pytest.mark.usefixtures("reads_here")

COMMAND = typer.main.get_command(app)
EXITS = re.compile(r"exits with (\d+)")
OTHER_SCRIPTS = {"--decode", "--copies"}  # options of benchmarks that pages name by themselves
ALL_BLOCKS = [block for page in PAGES for block in blocks(page)]
RUN_PAGES = sorted({block.page for block in ALL_BLOCKS if block.language in ("sh", "python")})


def lines(block: Block) -> list[str]:
    return [line for line in block.text.splitlines() if line.strip() and not line.startswith("#")]


def commands(line: str) -> list[list[str]]:
    """The words of every gpuprep command in a shell line, without the word gpuprep."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split, lexer.commenters = True, "#"
    found: list[list[str]] = [[]]
    for word in lexer:
        if set(word) <= set("&|;<>()"):
            found.append([])
        else:
            found[-1].append(word)
    return [words[1:] for words in found if words and Path(words[0]).name == "gpuprep"]


def resolve(words: list[str]) -> tuple[Any, list[str]]:
    """The command that words name, and its own words."""
    command: Any = COMMAND
    while hasattr(command, "commands") and not _stands_alone(command, words):
        assert words, "the group of commands needs one of them"
        assert words[0] in command.commands, f"there is no command {words[0]!r}"
        command, words = command.commands[words[0]], words[1:]
    return command, words


def _stands_alone(group: Any, words: list[str]) -> bool:
    """Whether a group of commands is meant itself, as ``gpuprep serve`` is."""
    return group.invoke_without_command and not (words and words[0] in group.commands)


def parse(words: list[str]) -> None:
    """Check a command and all its words as typing them would, and do nothing."""
    command, rest = resolve(words)
    command.make_context(command.name, list(rest))


@pytest.fixture(autouse=True)
def _session(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parsing --json and --verbose sets them for the whole process."""
    monkeypatch.setattr(session, "json", False)
    monkeypatch.setattr(session, "verbose", False)


SHELL_LINES = [
    (block.page, line) for block in ALL_BLOCKS if block.language == "sh" for line in lines(block)
]


@pytest.mark.parametrize(("page", "line"), SHELL_LINES)
def test_shell_lines_have_no_stale_command_or_option(page: str, line: str) -> None:
    for words in commands(line):
        parse(words)


@pytest.mark.parametrize("page", PAGES)
def test_code_in_prose_has_no_stale_command_or_option(page: str) -> None:
    known = {name for command in _leaves(COMMAND) for name in _options(command)}
    for code in inline_code(page):
        words = code.split()
        if words[0] == "gpuprep" and len(words) > 1:
            command, rest = resolve(words[1:])
            given = {word.partition("=")[0] for word in rest if word.startswith("-")}
            assert given <= _options(command), code
        elif re.match(r"--\w", code) and "gres" not in code:
            assert words[0].partition("=")[0] in known | OTHER_SCRIPTS, code


def _leaves(command: Any) -> list[Any]:
    inner = getattr(command, "commands", {})
    own = [] if inner and not command.invoke_without_command else [command]
    return own + [leaf for each in inner.values() for leaf in _leaves(each)]


def _options(command: Any) -> set[str]:
    return {name for parameter in command.params for name in parameter.opts}


def test_a_stale_option_would_be_found() -> None:
    parse(["run", "in", "out", "--limit", "3"])
    for stale in (["run", "in", "out", "--limits", "3"], ["rerun"], ["config", "chek"], ["run"]):
        with pytest.raises(Exception, match=r"(?i)no such|no command|missing"):
            parse(stale)
    assert commands(
        "a | gpuprep run x --only-from - && .venv/bin/gpuprep demo d  # gpuprep no"
    ) == [
        ["run", "x", "--only-from", "-"],
        ["demo", "d"],
    ]


CONFIGS = [block for block in ALL_BLOCKS if block.language == "yaml" and block.mark != "settings"]


@pytest.mark.parametrize("block", CONFIGS, ids=lambda block: f"{block.page}-{block.text[:12]!r}")
def test_configs_are_valid(block: Block, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(block.text, "utf-8")
    load_config(tmp_path / "config.yaml")


@pytest.mark.parametrize("page", RUN_PAGES)
def test_a_page_works_from_top_to_bottom(
    page: str, workplace: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its shell lines and its Python, in order, in one folder; a block that lacks its library is left out."""
    monkeypatch.chdir(workplace)
    names: dict[str, Any] = {"__name__": page}
    with background(workplace, shell, monkeypatch) as behind:
        for block in blocks(page):
            if block.mark and (block.mark == "unrun" or not importlib.util.find_spec(block.mark)):
                continue
            if block.language == "sh":
                for line in map(behind.real, lines(block)):
                    if not behind.takes(line):
                        run_line(line, workplace, page, shell)
            elif block.language == "python":
                run_python(block, behind.real(block.text), names)


def run_line(line: str, where: Path, page: str, shell: Shell) -> None:
    told = EXITS.search(line)
    (words, *others) = commands(line) or [[]]
    is_redirected = " > " in line.partition("#")[0]
    if not words or others or is_redirected or (page == "README" and words[0] == "run"):
        done = shell(line, where)
        code, printed = done.returncode, done.stdout + done.stderr
    else:
        code, printed = run_here(words)
    assert code == (int(told[1]) if told else 0), f"{line}\n{printed}"
    assert "Traceback" not in printed, printed


def run_here(words: list[str]) -> tuple[int, str]:
    """A command in this process, a run without workers: each process more would take a second or two."""
    if words[0] == "run" and "--scheduler" not in words:
        words = [*words, "--scheduler", "serial"]
    session.json = session.verbose = False
    printed = io.StringIO()
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(printed),
        contextlib.redirect_stderr(printed),
    ):
        patch.setattr(sys, "argv", ["gpuprep", *words])
        try:
            main()
        except SystemExit as end:
            return int(end.code or 0), printed.getvalue()
    return 0, printed.getvalue()


def run_python(block: Block, text: str, names: dict[str, Any]) -> None:
    """Run a block; what it prints must stand in its comments."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(text, f"{block.page}.md", "exec"), names)
    for line in printed.getvalue().splitlines():
        assert f"# {line}" in block.text, f"{block.page} prints {line}"
