"""The first sight: the printed link logs a browser in, and the home page shows the cohorts."""

import pytest
from support.cohorts import run, write_pair
from support.serving import Served, serving


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    folder, data = tmp_path_factory.mktemp("service"), tmp_path_factory.mktemp("data")
    write_pair(data, 1)
    (folder / "cohorts").mkdir()
    run(data, folder / "cohorts" / "liver")
    with serving(folder, data) as served:
        yield served


def test_the_printed_link_leads_to_the_cohorts(opened, service: Served) -> None:
    page = opened(service.url)
    page.allowed.append("401")
    page.goto("/", "document.body.innerText.includes('Not logged in')")
    page.goto(service.link)
    page.wait("document.body.innerText.includes('liver')")
    assert "operator" in page.text("header")
    assert page.js("location.pathname") == "/"
