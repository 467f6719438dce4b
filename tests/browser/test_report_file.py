"""A report opened from a file, with the network off: drawn, searchable, and every text a text."""

import json
import subprocess
from pathlib import Path

import pytest
from support.chromium import Page
from support.hostile_texts import CASE_IDS, LABEL
from support.odd_scans import PLANTED
from support.serving import COMMAND


def report_of(cohort: Path, folder: Path) -> Path:
    file = folder / "report.html"
    subprocess.run([*COMMAND, "report", str(cohort), "--html", str(file)], check=True, timeout=120)
    return file


@pytest.fixture
def offline(opened):
    def at(file: Path, **options) -> Page:
        page = opened("", **options)
        page.go_offline()
        page.goto(file.as_uri(), "document.querySelector('h1')")
        return page

    return at


def test_the_report_opens_from_a_file_and_is_searchable(offline, site, tmp_path) -> None:
    file = report_of(site.cohort("planted"), tmp_path)
    page = offline(file)
    page.wait(
        "document.querySelector('.cases tbody tr[data-row] a, .cases tbody tr[data-row] button')"
    )
    for case in PLANTED:
        assert case in page.text(".outliers")
    page.js("document.querySelector('input[type=search], .selection input').focus()")
    page.type("planted-")
    page.wait(
        "(() => { const rows = [...document.querySelectorAll('.cases tbody tr[data-row]')];"
        f" return rows.length === {len(PLANTED)}; }})()",
        15,
    )
    assert page.js("[...document.images].filter((e) => e.naturalWidth > 20).length") > 0
    assert page.requests() == [file.as_uri()] or all(
        url.startswith(("data:", "blob:", file.as_uri())) for url in page.requests()
    )
    for width in (1280, 390):
        page.resize(width, 800)
        assert page.js("document.scrollingElement.scrollWidth <= innerWidth"), width


def test_hostile_texts_are_texts_in_the_report(offline, site, tmp_path) -> None:
    page = offline(report_of(site.cohort("hostile"), tmp_path))
    page.wait("document.querySelector('.cases tbody tr[data-row]')")
    for case_id in CASE_IDS:
        page.wait(f"document.body.textContent.includes({json.dumps(case_id)})", 10)
    assert page.js("window.ran === undefined")
    assert (
        page.js("document.querySelectorAll('img[src=x], svg[onload], b[onmouseover]').length") == 0
    )
    assert LABEL in page.js("document.body.textContent")


def test_without_scripts_the_report_still_says_what_stands_out(offline, site, tmp_path) -> None:
    page = offline(report_of(site.cohort("planted"), tmp_path), javaScriptEnabled=False)
    assert "planted-wrong-spacing" in page.text()
