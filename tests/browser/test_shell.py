"""The first sight: the printed link logs a browser in, once, and the home page shows the cohorts."""


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
