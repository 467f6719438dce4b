"""The README and the pages of the guide as values: fenced blocks, tables, inline code."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "gpuprep" / "guide"
PAGES = {"README": ROOT / "README.md"} | {page.stem: page for page in sorted(GUIDE.glob("*.md"))}
TEXTS = {name: path.read_text("utf-8") for name, path in PAGES.items()}

_FENCED = re.compile(r"^```(?P<info>[^\n]*)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """One fenced block. ``mark`` is the word behind the language: a library it needs, or ``unrun``."""

    page: str
    language: str
    mark: str
    text: str


def blocks(page: str) -> list[Block]:
    found = []
    for match in _FENCED.finditer(TEXTS[page]):
        language, _, mark = match["info"].partition(" ")
        found.append(Block(page, language, mark, match["text"]))
    return found


def prose(page: str) -> str:
    """A page without its fenced blocks."""
    return _FENCED.sub("", TEXTS[page])


def inline_code(page: str) -> list[str]:
    return re.findall(r"`([^`\n]+)`", prose(page))


def tables(page: str) -> list[list[list[str]]]:
    """Every table as rows of cells, the heads first."""
    found: list[list[list[str]]] = [[]]
    for line in prose(page).splitlines():
        if not line.startswith("|"):
            found.append([])
        elif not line.startswith("| ---"):
            found[-1].append([cell.strip() for cell in line.strip().strip("|").split("|")])
    return [table for table in found if table]


def table(page: str, *heads: str) -> list[list[str]]:
    """The rows of the one table whose heads begin so."""
    (rows,) = [rows for rows in tables(page) if rows[0][: len(heads)] == list(heads)]
    return rows[1:]
