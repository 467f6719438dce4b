"""One headless Chromium for many tests: pages that write down every request and every complaint."""

from __future__ import annotations

import base64
import io
import itertools
import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

TREE = Path(__file__).parents[2]
DRIVER = TREE / "tests" / "browser" / "driver.mjs"
SETTLED = (
    "document.querySelector('h1') && !/Loading/.test("
    "[...document.querySelectorAll('[role=status]')].map((e) => e.textContent).join())"
)
"""A page that has got what it asked for."""


class Failed(AssertionError):
    """What the browser could not do."""


class Chromium:
    """The browser's process; ``missing()`` says why there is none."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [_node() or "node", str(DRIVER), _chromium() or "chromium"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._numbers = itertools.count()

    def tell(self, command: str, **given: Any) -> Any:
        """The value of a command of ``driver.mjs``."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"command": command, **given}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise Failed(f"the browser ended at {command}")
        answer = json.loads(line)
        if "failed" in answer:
            raise Failed(f"{command}: {answer['failed']}")
        return answer["value"]

    def page(self, origin: str, **options: Any) -> Page:
        """A page in a profile of its own; ``options`` are those of Playwright's contexts."""
        number = next(self._numbers)
        options.setdefault("viewport", {"width": 1280, "height": 800})
        self.tell("open", id=number, **options)
        return Page(self, number, origin)

    def close(self) -> None:
        self._process.__exit__(None, None, None)  # closes its pipes, which ends it, and waits


@dataclass
class Page:
    """A page; ``origin`` is the only place that it may ask, empty for a file."""

    browser: Chromium
    number: int
    origin: str
    allowed: list[str] = field(default_factory=list)
    """Parts of complaints that a test expects."""

    def _tell(self, command: str, **given: Any) -> Any:
        return self.browser.tell(command, id=self.number, **given)

    def goto(self, path: str, ready: str = "", seconds: float = 30) -> None:
        """Open a path of the origin (or a whole address) and wait until an expression is true."""
        self._tell("goto", url=path if ":" in path.split("/")[0] else self.origin + path)
        self.wait(ready or "document.querySelector('h1')", seconds)

    def js(self, expression: str, *given: Any) -> Any:
        """The value of an expression, or of a function called with what is given."""
        if given:
            expression = f"({expression})({', '.join(json.dumps(each) for each in given)})"
        return self._tell("evaluate", expression=expression)

    def wait(self, expression: str, seconds: float = 30) -> Any:
        return self._tell("wait", expression=f"!!({expression})", seconds=seconds)

    def text(self, selector: str = "body") -> str:
        return str(self.js("s => document.querySelector(s)?.innerText ?? ''", selector))

    def click(self, x: float, y: float) -> None:
        self._tell("click", x=x, y=y)

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        self._tell("drag", **{"from": start, "to": end})

    def wheel(self, x: float, y: float, by: float) -> None:
        self._tell("wheel", x=x, y=y, by=by)

    def press(self, *keys: str) -> None:
        for key in keys:
            self._tell("press", key=key)

    def type(self, text: str) -> None:
        self._tell("type", text=text)

    def resize(self, width: int, height: int) -> None:
        self._tell("size", width=width, height=height)

    def scheme(self, scheme: str) -> None:
        """``light`` or ``dark``."""
        self._tell("scheme", scheme=scheme)

    def go_offline(self) -> None:
        self._tell("offline", isOffline=True)

    def png(self, clip: dict[str, float] | None = None, *, whole: bool = False) -> bytes:
        return base64.b64decode(self._tell("picture", clip=clip, whole=whole))

    def pixels(self, clip: dict[str, float] | None = None) -> np.ndarray:
        """What is seen, uint8 ``(height, width, 3)``."""
        return np.asarray(Image.open(io.BytesIO(self.png(clip))).convert("RGB"))

    def state(self) -> Any:
        """Cookies, which let another page in."""
        return self._tell("state")

    def requests(self) -> list[str]:
        return list(self._tell("heard")["requests"])

    def complaints(self) -> list[str]:
        """Requests to elsewhere, errors of scripts, of the console and of the policy."""
        heard = self._tell("heard")
        own = (f"{self.origin}/" if self.origin else "file:", "data:", "blob:")
        away = [f"asked {url}" for url in heard["requests"] if not url.startswith(own)]
        errors = [e for e in heard["errors"] if not any(part in e for part in self.allowed)]
        return away + errors

    def close(self) -> None:
        self._tell("close")


@contextmanager
def chromium() -> Iterator[Chromium]:
    """The browser, or a skipped test that says what is missing."""
    if why := missing():
        pytest.skip(why)
    browser = Chromium()
    try:
        yield browser
    finally:
        browser.close()


def missing() -> str:
    """What there is not of a browser, in words; empty where it is all there."""
    if not _node():
        return "no node in PATH; Debian: apt-get install nodejs npm"
    if not _chromium():
        return "no chromium in PATH; Debian: apt-get install chromium"
    if not (TREE / "web/node_modules/playwright-core").is_dir():
        return "no web/node_modules; run npm ci in web/"
    return ""


def _node() -> str | None:
    return shutil.which("node")


def _chromium() -> str | None:
    return shutil.which("chromium") or shutil.which("chromium-browser")
