"""The guide command: pages for users, Markdown files in ``gpuprep/guide`` that ship with the package."""

from __future__ import annotations

import difflib
import os
import shutil
import sys
from dataclasses import asdict, dataclass
from importlib.resources import files
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from gpuprep.cli.terminal import JsonOption, command, out, print_json
from gpuprep.values.errors import UsageError

app = typer.Typer()

_WIDEST = 110  # columns; longer lines of prose are hard to follow


@dataclass(frozen=True, slots=True)
class Page:
    """One page: the word that opens it, its heading, what a reader knows after it, and its Markdown."""

    topic: str
    title: str
    summary: str
    text: str


def pages() -> dict[str, Page]:
    """Every page of the guide by its topic, in alphabetical order."""
    folder = files("gpuprep") / "guide"
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".md"))
    return {
        name.removesuffix(".md"): _page(name, (folder / name).read_text("utf-8")) for name in names
    }


def _page(name: str, text: str) -> Page:
    """A page from its Markdown: the first paragraph is the heading, the second the summary."""
    heading, summary, _ = text.split("\n\n", 2)
    return Page(name.removesuffix(".md"), heading.lstrip("# "), " ".join(summary.split()), text)


@command(app)
def guide(
    topic: Annotated[
        str | None, typer.Argument(help="Page to read; without it, all are listed.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Read the guide: every topic in one line, or one page. A pipe gets plain Markdown."""
    known = pages()
    if topic is None:
        _list(known, as_json=as_json)
        return
    if topic not in known:
        near = difflib.get_close_matches(topic, known, 3, 0.5)
        raise UsageError(
            f"the guide has no page {topic!r}",
            advice=f"gpuprep guide {' or '.join(near)}" if near else f"one of {', '.join(known)}",
        )
    if as_json:
        print_json(asdict(known[topic]))
    elif sys.stdout.isatty():
        _show(known[topic])
    else:
        sys.stdout.write(known[topic].text)


def _list(known: dict[str, Page], *, as_json: bool) -> None:
    if as_json:
        rows = [{"topic": page.topic, "summary": page.summary} for page in known.values()]
        print_json({"schema": 1, "topics": rows})
        return
    width = max(map(len, known))
    for page in known.values():
        out.print(f"[bold]{page.topic:{width}}[/]  {escape(page.summary)}", highlight=False)


def _show(page: Page) -> None:
    """A page in the terminal's pager, in colour where that is ``less``, which is told to keep it."""
    from rich.markdown import Markdown

    os.environ.setdefault("LESS", "FRX")
    pager = os.environ.get("MANPAGER") or os.environ.get("PAGER") or shutil.which("less") or ""
    console = Console(width=min(out.width, _WIDEST))
    with console.pager(styles="less" in pager):
        console.print(Markdown(page.text))
