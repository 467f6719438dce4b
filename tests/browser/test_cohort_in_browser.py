"""The page of a cohort in use: ranges by mouse and keys, one case marked in all plots, the table by keys."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

import pytest
from support.chromium import Page

import gpuprep
from gpuprep.quality.cohort_quality import CohortQuality
from gpuprep.quality.selection import Range

Visit = Callable[..., Page]
READY = "document.querySelector('.cases .case') && document.querySelector('.plot')"
PLOT = "[...document.querySelectorAll('.plot')].find((e) => e.getAttribute('aria-label') === %r)"
SPACING = PLOT % "spacing z, before"
STATUS = "document.querySelector('.selection [role=status]').textContent"


@pytest.fixture(scope="module")
def quality(site) -> CohortQuality:
    with gpuprep.open(site.cohort("planted")) as cohort:
        return CohortQuality(cohort.table(), cohort.agreement)


@pytest.fixture
def page(visit: Visit) -> Page:
    return visit("/cohorts/planted", READY)


def ranges(page: Page) -> list[Range]:
    """Those that the address tells."""
    query = parse_qs(urlsplit(page.js("location.href")).query)
    return [Range.parse(text) for text in query.get("where", [])]


def check_selection(page: Page, quality: CohortQuality) -> int:
    """What is said to be selected is what the numbers in the address select; how many."""
    chosen = int(quality.choose(ranges(page)).sum())
    page.wait(f"{STATUS} === '{chosen} of {len(quality.ids)} cases selected'")
    page.wait(
        f"document.querySelector('#cases ~ .row [role=status]').textContent === '{cases(chosen)}'"
    )
    return chosen


def cases(count: int) -> str:
    return f"{count} case" if count == 1 else f"{count} cases"


def box(page: Page, of: str) -> dict[str, float]:
    page.js(f"{of}.scrollIntoView({{block: 'center'}})")
    found: dict[str, float] = page.js(f"{of}.getBoundingClientRect().toJSON()")
    return found


def test_the_worst_of_every_kind_is_on_the_first_screen_with_its_reason(
    page: Page, quality: CohortQuality
) -> None:
    worst = {each.kind: each for each in reversed(quality.outliers)}
    shown = page.js(
        "[...document.querySelectorAll('.outliers li')]"
        ".filter((e) => e.getBoundingClientRect().bottom <= innerHeight).map((e) => e.textContent)"
    )
    for kind, each in worst.items():
        assert any(
            quality.ids[each.row] in text and kind in text and each.text in text for text in shown
        ), kind


def test_a_range_dragged_with_the_mouse_selects_its_cases(
    page: Page, quality: CohortQuality
) -> None:
    at = box(page, f"{SPACING}.querySelector('svg')")
    y = at["y"] + at["height"] / 2
    page.drag((at["x"] + 0.1 * at["width"], y), (at["x"] + 0.6 * at["width"], y))
    page.wait("location.search.includes('where=')")
    (first,) = ranges(page)
    assert first.measure == "source_spacing_z"
    some = check_selection(page, quality)
    assert 0 < some < len(quality.ids)

    other = box(page, f"{PLOT % 'shape x, before'}.querySelector('svg')")
    page.click(other["x"] + other["width"] / 2, other["y"] + other["height"] / 2)  # one bar
    page.wait("new URLSearchParams(location.search).getAll('where').length === 2")
    assert check_selection(page, quality) <= some


def test_a_range_typed_with_the_keys_alone_selects_its_cases(
    page: Page, quality: CohortQuality
) -> None:
    page.js(f"{SPACING}.querySelector('summary').focus()")
    page.press("Enter")
    page.wait(f"{SPACING}.querySelector('input')")
    page.press("Tab")
    page.type("8.9")
    page.press("Tab")
    page.wait("location.search.includes('8.9')")
    page.type("9.1")
    page.press("Tab")
    page.wait("location.search.includes('9.1')")
    assert ranges(page) == [Range("source_spacing_z", 8.9, 9.1)]
    chosen = check_selection(page, quality)
    told = page.js(
        f"[...{SPACING}.querySelectorAll('tbody td:last-child')].map((e) => +e.textContent)"
    )
    assert sum(told) == chosen  # bars in figures
    page.press("Enter")  # on Clear
    page.wait(f"{STATUS} === 'all {len(quality.ids)} cases'")
    page.wait("location.search === ''")


def test_one_case_is_marked_in_all_plots_with_its_value(page: Page, quality: CohortQuality) -> None:
    marked = quality.ids[quality.outliers[0].row]
    page.js("document.querySelector('.outliers .marker').focus()")  # the worst comes first
    page.press("Enter")
    page.wait(
        "document.querySelectorAll('.numbers.lit').length === document.querySelectorAll('.plot').length"
    )
    values = quality.case_json(quality.ids.index(marked))["values"]
    for measure in quality.measures.values():
        plot = PLOT % measure.title
        if not page.js(f"!!({plot})"):
            continue  # the same in all cases, and told in words
        told = page.js(f"{plot}.querySelector('.numbers.lit').textContent")
        value = values[measure.name]
        assert page.js(f"!!{plot}.querySelector('.mark')") == (value is not None), measure.name
        if value is not None:
            number = float(told.split(": ")[1].split()[0].replace(",", "").replace("−", "-"))
            assert number == pytest.approx(value, rel=2e-3, abs=1e-4), measure.name
    page.goto(page.js("location.pathname + location.search"), READY)  # the address has it
    assert marked in page.text(".selection")


def test_the_table_is_sorted_and_walked_with_the_keys(page: Page, quality: CohortQuality) -> None:
    head = "[...document.querySelectorAll('.cases th')].find((e) => e.textContent.startsWith('Stored'))"
    page.js(f"{head}.querySelector('button').focus()")
    page.press("Enter")
    everyone = quality.choose()
    rising = [quality.ids[row] for row in quality.order(everyone, "bytes")]
    shown = "[...document.querySelectorAll('.cases .case')].slice(0, 5).map((e) => e.textContent).join()"
    page.wait(
        f"{shown} === '{','.join(rising[:5])}' && {head}.getAttribute('aria-sort') === 'ascending'"
    )
    page.press("Enter")
    falling = [quality.ids[row] for row in quality.order(everyone, "-bytes")]
    page.wait(
        f"{shown} === '{','.join(falling[:5])}' && {head}.getAttribute('aria-sort') === 'descending'"
    )

    page.js("document.querySelector('.cases tbody button').focus()")
    page.press("ArrowDown", "ArrowDown")
    page.wait(
        f"document.activeElement.getAttribute('aria-label') === 'Mark {falling[2]} in all plots'"
    )
    page.press("End")
    page.wait(
        f"document.activeElement.getAttribute('aria-label') === 'Mark {falling[-1]} in all plots'"
    )
    page.press("Tab")
    assert page.js("document.activeElement.textContent") == falling[-1]
    page.press("Enter")
    page.wait(f"location.pathname === '/cohorts/planted/cases/{falling[-1]}'")


def test_a_code_of_a_finding_selects_its_cases(page: Page, quality: CohortQuality) -> None:
    found = quality.to_json(quality.choose())["findings"][0]
    named = f"(e) => e.textContent === {found['code']!r}"
    page.js(f"[...document.querySelectorAll('.codes button')].find({named}).click()")
    page.wait(f"{STATUS}.startsWith('{found['cases']} of ')")
