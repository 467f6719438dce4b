"""The page of a cohort: what was planted is on the first screen, brushes and search choose, a long table stays fast."""

import json
import shutil
import time

import pytest
from support.chromium import SETTLED
from support.odd_scans import ALIKE, PLANTED
from support.serving import serving

from gpuprep.ledger.index import write_index
from gpuprep.store.layout import MANIFEST_FILE

REASONS = {
    "planted-wrong-spacing": ("spacing", "spacing z", "16 mm"),
    "planted-empty-label": ("empty label", "segmentation", "empty"),
    "planted-flipped": ("orientation", "LAS", "LPS"),
    "planted-absent-class": ("absent class", "lesion", "28 of 29"),
    "planted-clipped": ("clipped intensity", "share at the lower end", "%"),
    "planted-tiny": ("shape", "shape z", "3 voxels"),
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
        f" return rows.length === {len(PLANTED)} && rows.every((r) => r.innerText.includes('planted-')); }})()",
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


@pytest.fixture(scope="module")
def long_site(cohorts, tmp_path_factory):
    """A service with a cohort whose list has 10⁵ cases, each a copy of one."""
    folder = tmp_path_factory.mktemp("long")
    made = folder / "cohorts" / "long"
    made.parent.mkdir()
    shutil.copytree(cohorts[0] / "cohorts" / "liver", made)
    line = json.loads((made / MANIFEST_FILE).read_text().splitlines()[0])
    with (made / MANIFEST_FILE).open("w") as file:
        for number in range(ROWS):
            file.write(json.dumps({**line, "case": f"case-{number:06d}"}) + "\n")
    (made / "index.npz").unlink(missing_ok=True)
    write_index(made)
    with serving(folder, cohorts[1]) as served:
        yield served


def test_a_table_of_a_hundred_thousand_rows_scrolls_to_its_end(opened, long_site) -> None:
    page = opened(long_site.url)
    page.allowed.append("thumbnail")  # of cases that are not there
    page.goto(long_site.link, SETTLED)
    page.goto("/cohorts/long", "document.querySelector('.cases tbody tr[data-row] a')", 60)
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
