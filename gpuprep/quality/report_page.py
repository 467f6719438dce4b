"""A report as one HTML document that asks for nothing and shows without scripts, too."""

from __future__ import annotations

import base64
import hashlib
import itertools
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from importlib.resources import files
from typing import Any

from gpuprep.quality.plots import histogram_svg
from gpuprep.quality.report_data import ReportContent, embedded, failure_json, report_data
from gpuprep.quality.wording import number_text

_STATIC_CASES = 500  # rows of the table that needs no script
_STATIC_IDS = 20  # of a reason
_PAGES = "service/pages"
_PRELUDE = """(() => {
  const told = document.getElementById("report-data"), data = JSON.parse(told.textContent);
  data.thumbnails = {};
  for (const each of document.querySelectorAll("#report img")) data.thumbnails[each.alt] = each.src;
  told.textContent = JSON.stringify(data);
})();
"""
"""Gives the script the pictures that the document has already, so that it has them once."""
_OWN_STYLE = """
.histogram { cursor: default; }
@media print { .card { break-inside: avoid; } }
"""


def render(content: ReportContent) -> bytes:
    """The document, UTF-8."""
    data = report_data(content)
    style = _asset("style.css") + _OWN_STYLE
    script = _asset("vendor/report.js")
    script = script and _PRELUDE + script
    policy = "; ".join(
        [
            "default-src 'none'",
            "img-src data:",
            f"style-src {_hash(style)}",
            f"script-src {_hash(script)}" if script else "script-src 'none'",
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )
    parts = [
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n',
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n',
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n',
        '<meta name="color-scheme" content="light dark">\n',
        '<meta name="referrer" content="no-referrer">\n',
        f"<title>{escape(content.name)}</title>\n<style>{style}</style>\n</head>\n<body>\n",
        '<a class="skip" href="#main">Skip to the content</a>\n',
        f'<main id="main" tabindex="-1">\n<div id="report">\n{"".join(_static(content, data))}</div>\n',
        f'<p class="quiet">Made by gpuprep {escape(data["version"])} on {escape(content.made)}. ',
        f"{escape(_pictured(content))}</p>\n</main>\n",
        f'<script type="application/json" id="report-data">{embedded(data)}</script>\n',
        f"<script>{script}</script>\n" if script else "",
        "</body>\n</html>\n",
    ]
    return "".join(parts).encode("utf-8", "backslashreplace")


def _asset(name: str) -> str:
    """A file of the pages; empty where it was not built."""
    file = files("gpuprep").joinpath(_PAGES).joinpath(name)
    return file.read_text("utf-8").replace("</script", "<\\/script") if file.is_file() else ""


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _pictured(content: ReportContent) -> str:
    shown, count = len(content.pictures.urls), len(content.quality.ids)
    if not shown:
        return "It has no pictures."
    return f"It has pictures of {shown:,} of {count:,} cases, outliers first."


def _static(content: ReportContent, data: dict[str, Any]) -> Iterator[str]:
    """What stands there before, or without, the script."""
    overview = data["qc"]
    yield f"<h1>{escape(content.name)}</h1>\n"
    yield _facts(content, overview)
    for note in overview["notes"]:
        yield f'<p class="quiet">{escape(note)}</p>\n'
    yield from _outliers(overview["outliers"])
    yield from _failures([failure_json(group) for group in content.failures])
    yield from _findings(overview)
    yield from _distributions(overview["measures"])
    yield from _classes(overview)
    yield from _mosaic(content)
    yield from _cases(content)


def _facts(content: ReportContent, overview: dict[str, Any]) -> str:
    failed = sum(len(group.cases) for group in content.failures)
    stored = int(sum(content.quality.table["bytes"].tolist()))
    told = {
        "cases": f"{overview['cases']:,}",
        "channels": ", ".join(content.channels) or "none",
        "stored": number_text(stored, "bytes"),
        "failed": f"{failed:,}",
        "outliers": f"{overview['outliers']['total']:,}",
    }
    rows = (f"<div><dt>{name}</dt><dd>{escape(text)}</dd></div>" for name, text in told.items())
    return f'<dl class="glance">{"".join(rows)}</dl>\n'


def _outliers(told: dict[str, Any]) -> Iterator[str]:
    yield '<section class="card"><h2>What stands out</h2>\n'
    if not told["items"]:
        yield '<p class="quiet">No case is unlike the others.</p>'
    else:
        rows = ([each["kind"], each["case"], each["text"]] for each in told["items"])
        yield _table(["kind", "case", "why"], rows)
    if told["total"] > len(told["items"]):
        yield f'<p class="quiet">{told["total"]:,} in all; the worst of each kind are listed.</p>'
    yield "</section>\n"


def _failures(groups: Sequence[dict[str, Any]]) -> Iterator[str]:
    if not groups:
        return
    yield '<section class="card"><h2>What failed</h2>\n'
    rows = (
        [f"{each['count']:,}", each["code"], each["example"], each["advice"], _some(each["cases"])]
        for each in groups
    )
    yield _table(["cases", "code", "for example", "what to do", "which"], rows)
    yield "</section>\n"


def _some(ids: Sequence[str]) -> str:
    more = f" and {len(ids) - _STATIC_IDS:,} more" if len(ids) > _STATIC_IDS else ""
    return ", ".join(ids[:_STATIC_IDS]) + more


def _findings(overview: dict[str, Any]) -> Iterator[str]:
    yield '<section class="card"><h2>Findings</h2>\n'
    rows = [[f"{each['cases']:,}", each["code"], each["text"]] for each in overview["findings"]]
    yield _table(["cases", "code", "what"], rows) if rows else '<p class="quiet">None.</p>'
    codes = [f"{each['code']} {each['cases']:,}" for each in overview["orientations"]]
    yield f"<p>Orientation of the sources: {escape(', '.join(codes) or 'not known')}</p>"
    yield "</section>\n"


def _mosaic(content: ReportContent) -> Iterator[str]:
    urls = content.pictures.urls
    if not urls:
        return
    yield f'<section><h2>Pictures</h2>\n<p class="quiet">{escape(_pictured(content))}</p>\n'
    yield '<ul class="mosaic">'
    for case_id, url in urls.items():
        name = escape(case_id)
        yield f'<li><span class="thumb"><img loading="lazy" alt="{name}" src="{url}"></span>'
        yield f'<span class="name">{name}</span></li>'
    yield "</ul></section>\n"


def _distributions(measures: Sequence[dict[str, Any]]) -> Iterator[str]:
    yield "<section><h2>Distributions</h2>\n"
    for group, members in itertools.groupby(measures, key=lambda each: each["group"]):
        yield f'<h3>{escape(group)}</h3><div class="plots">'
        for each in members:
            unit = f' <span class="quiet">{escape(each["unit"])}</span>' if each["unit"] else ""
            yield f'<div class="card plot"><h4>{escape(each["title"])}{unit}</h4>{histogram_svg(each)}'
            yield f'<p class="numbers">{escape(_usual(each))}</p></div>'
        yield "</div>\n"
    yield "</section>\n"


def _usual(measure: dict[str, Any]) -> str:
    low, high = number_text(measure["low"]), number_text(measure["high"])
    missing = f" · {measure['missing']:,} cases without" if measure["missing"] else ""
    return f"median {number_text(measure['median'])} · usual {low} to {high}{missing}"


def _classes(overview: dict[str, Any]) -> Iterator[str]:
    if not overview["classes"]:
        return
    rows = (
        [
            each["map"],
            str(each["value"]),
            each["name"],
            f"{each['present']:,}",
            f"{each['absent']:,}",
        ]
        for each in overview["classes"]
    )
    yield '<section class="card"><h2>Classes</h2>\n'
    yield _table(["label map", "value", "name", "cases with", "cases without"], rows)
    yield "</section>\n"


def _cases(content: ReportContent) -> Iterator[str]:
    table, count = content.quality.table, len(content.quality.ids)
    shown = min(count, _STATIC_CASES)
    yield '<section class="card"><h2>Cases</h2>\n'
    if shown < count:
        yield f'<p class="quiet">The first {shown:,} of {count:,}; with scripts, all can be searched.</p>'
    columns = {name: column[:shown].tolist() for name, column in table.items() if "." not in name}
    yield _table(["case", "size", "spacing, mm", "bytes", "findings"], _case_rows(columns, shown))
    yield "</section>\n"


def _case_rows(columns: dict[str, list[Any]], count: int) -> Iterator[list[str]]:
    for k in range(count):
        size, spacing = (
            " × ".join(number_text(float(columns[f"{name}_{axis}"][k])) for axis in "xyz")
            for name in ("shape", "spacing")
        )
        bytes_text = number_text(float(columns["bytes"][k]))
        yield [columns["case"][k], size, spacing, bytes_text, columns["findings"][k]]


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f'<th scope="col">{escape(each)}</th>' for each in heads)
    body = "".join(
        f"<tr>{''.join(f'<td>{escape(str(each))}</td>' for each in row)}</tr>" for row in rows
    )
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
