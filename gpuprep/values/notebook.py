"""How values show themselves in a notebook: small tables, every text of a file escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape


def facts_html(title: str, rows: Iterable[tuple[str, object]]) -> str:
    """A bold title over a table of names and what they are."""
    lines = "".join(
        f"<tr><th style='text-align:left'>{escape(name)}</th>"
        f"<td style='text-align:left'>{escape(str(value))}</td></tr>"
        for name, value in rows
    )
    return f"<div><strong>{escape(title)}</strong><table>{lines}</table></div>"


def table_html(heads: Sequence[str], rows: Iterable[Sequence[object]], more: int = 0) -> str:
    """A table with a head; ``more`` says how many rows were left out."""
    head = "".join(f"<th style='text-align:left'>{escape(name)}</th>" for name in heads)
    lines = "".join(
        "<tr>"
        + "".join(f"<td style='text-align:left'>{escape(str(cell))}</td>" for cell in row)
        + "</tr>"
        for row in rows
    )
    left = f"<div>… and {more:,} more</div>" if more > 0 else ""
    return f"<table><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table>{left}"
