"""What holds for every page: axe is content, nothing scrolls sideways, hostile texts stay text."""

import json
from collections.abc import Callable
from urllib.parse import quote

import pytest
from support.chromium import SETTLED, Page
from support.chromium import TREE as ROOT
from support.hostile_texts import CASE_IDS, LABEL

PAGES = {
    "home": "/",
    "cohort": "/cohorts/planted",
    "case": "/cohorts/liver/cases/volume-1",
    "oblique": "/cohorts/turned/cases/oblique-SRP",
    "jobs": "/jobs",
    "machine": "/machine",
    "unknown cohort": "/cohorts/nobody",
    "unknown case": "/cohorts/liver/cases/nobody",
    "unknown job": f"/jobs/{'0' * 20}",
}
Visit = Callable[..., Page]


@pytest.fixture(scope="session")
def axe() -> str:
    return (ROOT / "web/node_modules/axe-core/axe.min.js").read_text("utf-8")


@pytest.mark.parametrize("name", PAGES)
def test_every_page_is_accessible_and_fits(visit: Visit, axe: str, name: str) -> None:
    """In both schemes, on a desk and on a telephone; one h1, one main, a title of its own."""
    page = visit(PAGES[name], SETTLED)
    page.allowed += ["404"] if name.startswith("unknown") else []
    assert page.js("document.querySelectorAll('h1').length") == 1
    assert page.js("document.querySelectorAll('main').length") == 1
    assert page.js("document.title") != "gpuprep"
    page.js(axe + ";0")
    for width, scheme in ((1280, "light"), (390, "dark")):
        page.resize(width, 800)
        page.scheme(scheme)
        assert serious(page) == [], (width, scheme)
        assert sideways(page) == [], width


def serious(page: Page) -> list[str]:
    """What axe finds that is serious or critical."""
    found = page.js(
        "axe.run(document, {resultTypes: ['violations']}).then((r) => r.violations.filter((v) =>"
        " ['serious', 'critical'].includes(v.impact)).map((v) => [v.id, v.help,"
        " v.nodes.slice(0, 4).map((n) => n.html.slice(0, 200) + ' ' + (n.any[0]?.message ?? ''))]))"
    )
    return [json.dumps(each) for each in found]


def sideways(page: Page) -> list[str]:
    """The elements that stick out where the page scrolls sideways."""
    return list(
        page.js(
            "document.scrollingElement.scrollWidth <= innerWidth ? [] :"
            " [...document.querySelectorAll('body *')].filter("
            "(e) => e.getBoundingClientRect().right > innerWidth + 1).slice(0, 12)"
            ".map((e) => e.outerHTML.slice(0, 120))"
        )
    )


@pytest.mark.parametrize("case_id", CASE_IDS, ids=["image", "quotes", "turned", "percent"])
def test_a_hostile_case_is_text(visit: Visit, case_id: str) -> None:
    """Ids, headers, attributes and label names; the page's policy would report what it stopped."""
    page = visit(f"/cohorts/hostile/cases/{quote(case_id, safe='')}", SETTLED)
    assert page.js("window.ran === undefined")
    assert case_id in page.js("document.body.textContent")
    assert (
        page.js(
            "document.querySelectorAll('img[src=x], svg[onload], main script, main b[onmouseover]').length"
        )
        == 0
    )
    assert LABEL in page.js("document.body.textContent")
    assert not [url for url in page.requests() if url.endswith("/x")]
    page.wait("window.gpuprepView?.ready")


def test_hostile_cases_are_text_in_the_cohort(visit: Visit) -> None:
    page = visit("/cohorts/hostile", SETTLED)
    for case_id in CASE_IDS:
        page.wait(f"document.body.textContent.includes({json.dumps(case_id)})", 10)
        link = page.js(
            "id => [...document.querySelectorAll('a')].find((a) => a.textContent.includes(id))"
            "?.getAttribute('href')",
            case_id,
        )
        assert (
            link == f"/cohorts/hostile/cases/{quote(case_id, safe='!~*()').replace('%27', chr(39))}"
        )
    assert page.js("window.ran === undefined")
