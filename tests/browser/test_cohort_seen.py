"""The page of a cohort: what was planted is on the first screen, a search chooses, a long table is fast."""

import time

from support.chromium import SETTLED
from support.odd_scans import ALIKE, PLANTED

REASONS = {
    "planted-wrong-spacing": ("spacing", "spacing z", "16 mm"),
    "planted-empty-label": ("empty label", "segmentation", "empty"),
    "planted-flipped": ("orientation", "LAS", "LPS"),
    "planted-absent-class": ("absent class", "lesion", "28 of 29"),
    "planted-clipped": ("clipped intensity", "share at the lower end", "%"),
    "planted-tiny": ("field of view", "field of view z", "4.8 mm"),
}
ROWS = 100_000


def test_every_planted_outlier_is_on_the_first_screen_with_its_reason(visit) -> None:
    page = visit("/cohorts/planted", SETTLED, viewport={"width": 1280, "height": 800})
    page.wait("document.querySelector('.outliers li')")
    shown = page.js(
        "[...document.querySelectorAll('.outliers li')].filter((e) => { const r ="
        " e.getBoundingClientRect(); return r.top >= 0 && r.bottom <= innerHeight && r.height > 8; })"
        ".map((e) => e.innerText.replace(/\\s+/g, ' '))"
    )
    assert page.js("scrollY") == 0
    assert set(REASONS) == set(PLANTED)
    for case, words in REASONS.items():
        rows = [row for row in shown if case in row and all(word in row for word in words)]
        assert rows, (case, words, shown)


def test_a_search_chooses_cases_everywhere(visit) -> None:
    page = visit("/cohorts/planted", SETTLED)
    page.js("document.querySelector('input[type=search], .selection input').focus()")
    page.type("planted-")
    page.wait(f"document.body.innerText.includes('{len(PLANTED)} of {ALIKE + len(PLANTED)}')", 15)
    page.wait(
        "(() => { const rows = [...document.querySelectorAll('.cases tbody tr[data-row]')];"
        f" return rows.length === {len(PLANTED)} &&"
        " rows.every((row) => row.innerText.includes('planted-')); })()",
        15,
    )


def test_a_case_is_lit_in_all_plots(visit) -> None:
    page = visit("/cohorts/planted", SETTLED)
    page.js("document.querySelector('.outliers li button').click()")
    page.wait("document.querySelectorAll('.outliers button[aria-pressed=true]').length > 0")
    assert (
        page.js("location.href").endswith("planted-wrong-spacing")
        or "planted-wrong-spacing" in page.text()
    )


LONG = f"""const own = fetch; window.fetch = async (url, ...more) => {{
  const asked = new URL(url, location.href), rows = asked.searchParams;
  if (!asked.pathname.endsWith("/cases")) return own(url, ...more);
  const first = Number(rows.get("first")), count = Math.min(Number(rows.get("limit")), {ROWS} - first);
  rows.set("first", "0"), rows.set("limit", "1");
  const [row] = (await (await own(asked)).json()).items;
  const items = Array.from({{ length: count }}, (_, k) =>
    ({{ ...row, id: "case-" + String(first + k).padStart(6, "0") }}));
  return new Response(JSON.stringify({{ items, total: {ROWS} }}));
}};"""
"""The answers of a service whose cohort has as many cases, each like the first."""


def test_a_table_of_a_hundred_thousand_rows_scrolls_to_its_end(visit) -> None:
    page = visit("/cohorts/liver", "document.querySelector('.cases tr[data-row] a')", before=[LONG])
    page.allowed.append("thumbnail")  # of cases that are not there
    page.js("document.querySelector('.scroll.cases').scrollIntoView()")
    began = time.monotonic()
    page.js(
        "const box = document.querySelector('.scroll.cases'); box.scrollTop = box.scrollHeight; 0"
    )
    page.wait(f"document.querySelector('.cases').innerText.includes('case-{ROWS - 1:06d}')", 10)
    seconds = time.monotonic() - began
    assert page.js("document.querySelectorAll('.cases tr').length") < 100
    assert page.js("document.querySelectorAll('*').length") < 4000
    assert seconds < 5
    page.js("box.scrollTop = box.scrollHeight / 2; 0")
    page.wait(
        "[...document.querySelectorAll('.cases tbody tr[data-row] a')].some((a) => {"
        " const n = Number(a.textContent.split('-').at(-1)); return n > 49000 && n < 51000; })",
        10,
    )
