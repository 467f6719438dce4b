"""What lines of a page leave behind for the lines after them: a service at work, and variables."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from guide.conftest import Shell

_EXPORT = re.compile(r"export (\w+)=(.*)")
_PORT = re.compile(r"--port (\d+)")


class Background:
    """Takes the lines that work on: ``gpuprep serve … &``, or ``view``, and ``export NAME=VALUE``."""

    def __init__(self, where: Path, shell: Shell, patch: pytest.MonkeyPatch) -> None:
        self._where, self._shell, self._patch = where, shell, patch
        self._addresses: dict[str, str] = {}
        self.services: list[subprocess.Popen[str]] = []

    def real(self, text: str) -> str:
        """A text with the addresses at which services really are: their ports are free ones."""
        for told, real in self._addresses.items():
            text = text.replace(told, real)
        return text

    def takes(self, line: str) -> bool:
        """Do a line that works on; False for any other."""
        plain = re.sub(r"\s+#.*", "", line)
        exported = _EXPORT.fullmatch(plain)
        if exported:
            done = self._shell(f'printf %s "{exported[2]}"', self._where)
            assert done.returncode == 0, done.stderr
            self._patch.setenv(exported[1], done.stdout)
        elif plain.endswith(" &"):
            self._serve(plain.removesuffix(" &"))
        return bool(exported) or plain.endswith(" &")

    def _serve(self, line: str) -> None:
        port = _PORT.search(line)
        assert port, "a service in the background needs a port that later lines name"
        words = shlex.split(_PORT.sub("--port 0", line))
        assert words[:2] in (["gpuprep", "serve"], ["gpuprep", "view"])
        process = subprocess.Popen(
            [sys.executable, "-m", "gpuprep.cli.app", *words[1:]],
            cwd=self._where,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.services.append(process)
        assert process.stdout is not None
        url = process.stdout.readline().strip().partition("/login")[0]
        assert url.startswith("http://"), url + process.stdout.read()
        self._addresses[f"http://127.0.0.1:{port[1]}"] = url


@contextmanager
def background(where: Path, shell: Shell, patch: pytest.MonkeyPatch) -> Iterator[Background]:
    """The background of one page; its services end with the page."""
    made = Background(where, shell, patch)
    try:
        yield made
    finally:
        for process in made.services:
            process.terminate()
        for process in made.services:
            process.communicate(timeout=20)
