"""The first sight: the printed link logs a browser in, once, and the home page shows the cohorts."""

import shutil


def test_without_the_link_the_page_says_what_to_do(opened, site) -> None:
    page = opened(site.url)
    page.allowed.append("401")
    page.goto("/", "document.body.innerText.includes('Not logged in')")
    assert "gpuprep serve" in page.text()
    assert "liver" not in page.text()


def test_the_printed_link_worked_once_and_led_to_the_cohorts(opened, site, visit) -> None:
    page = visit("/", "document.body.innerText.includes('liver')")
    assert "operator" in page.text("header")
    again = opened(site.url)
    again.allowed += ["401", "403", "favicon"]
    again.goto(site.served.link, "document.body.innerText")
    assert "liver" not in again.text()


def test_an_address_that_is_no_text_is_said_and_no_page_is_blank(visit) -> None:
    for path in ("/cohorts/%zz", "/cohorts/liver/cases/%e9", "/jobs/%"):
        page = visit(path, "document.querySelector('.failure')")
        assert "in the address is no text" in page.text(".failure")
        assert page.js("document.title") == "Cannot be shown · gpuprep"


def test_a_damaged_cohort_says_so_beside_the_others(visit, site) -> None:
    root = site.cohort("torn")
    (root / "cases").mkdir(parents=True)
    (root / "gpuprep.json").write_text("{}")
    (root / "agreement.json").write_text("{")
    try:
        page = visit("/", "document.body.innerText.includes('liver')")
        cards = page.js("[...document.querySelectorAll('.cohorts .card')].map((c) => c.innerText)")
        (torn,) = [card for card in cards if card.startswith("torn")]
        assert "agreement.json" in torn
        assert "0 cases" not in torn
        assert page.js("document.querySelectorAll('.cohorts .failure').length") == 1
    finally:
        shutil.rmtree(root)
