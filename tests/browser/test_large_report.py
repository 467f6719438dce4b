"""A report of many cases, opened from a file: searched and walked through without a service."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.chromium import Page
from support.measured_tables import usual

from gpuprep.quality.cohort_quality import CohortQuality
from gpuprep.quality.report_data import ReportContent
from gpuprep.quality.report_page import render
from gpuprep.store.table import CaseTable

COUNT = 20_000
STATUS = "document.querySelector('.selection [role=status]').textContent"


@pytest.fixture
def page(opened, tmp_path: Path) -> Page:
    file = tmp_path / "report.html"
    file.write_bytes(
        render(ReportContent("many", "2026-01-01", CohortQuality(CaseTable(usual(COUNT)))))
    )
    page: Page = opened("")
    page.goto(file.as_uri(), f"{STATUS}?.includes('20,000')")
    return page


def test_few_of_many_rows_are_in_the_document_and_each_can_be_reached(page: Page) -> None:
    rows = "document.querySelectorAll('.cases tbody tr').length"
    assert page.js(rows) < 60
    assert (
        page.js("+document.querySelector('.cases table').getAttribute('aria-rowcount')")
        == COUNT + 1
    )
    page.js("document.querySelector('.cases tbody button').focus()")
    page.press("End")
    page.wait(
        f"document.activeElement.getAttribute('aria-label') === 'Mark case_{COUNT - 1} in all plots'"
    )
    page.js(
        "(() => { const box = document.querySelector('.cases'); box.scrollTop = box.scrollHeight / 2; })()"
    )
    page.wait(
        "[...document.querySelectorAll('.cases .case')].some((e) => e.textContent === 'case_10000')"
    )
    assert page.js(rows) < 60


def test_a_search_narrows_all_of_it_without_asking_anybody(page: Page) -> None:
    page.js("document.querySelector('input[type=search]').focus()")
    page.type("case_1999")
    page.wait(f"{STATUS} === '11 of 20,000 cases selected'")  # case_1999 and case_19990 to 19999
    page.wait("document.querySelectorAll('.cases .case').length === 11")
    assert {url.split(":")[0] for url in page.requests()} <= {"file", "data"}
