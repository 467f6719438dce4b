"""One Chromium and one service for all tests of pages; a page that complains fails its test."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support.chromium import Chromium, Page, chromium
from support.cohorts import run, write_pairs
from support.hostile_texts import hostile_cohort
from support.odd_scans import planted_cohort
from support.phantoms import labelled_cohorts, turned_cohort
from support.serving import Served, serving

Open = Callable[..., Page]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def browser() -> Iterator[Chromium]:
    with chromium() as running:
        yield running


@pytest.fixture
def opened(browser: Chromium) -> Iterator[Open]:
    """Opens pages of an origin, and closes them when the test is over."""
    pages: list[Page] = []

    def open_page(origin: str, **options: Any) -> Page:
        pages.append(browser.page(origin, **options))
        return pages[-1]

    yield open_page
    found = [complaint for page in pages for complaint in page.complaints()]
    for page in pages:
        page.close()
    assert not found, "\n".join(found)


@dataclass(frozen=True)
class Site:
    """A service with cohorts, and the cookies that its link gave."""

    served: Served
    data: Path
    state: Any

    @property
    def url(self) -> str:
        return self.served.url

    def cohort(self, name: str) -> Path:
        return self.served.folder / "cohorts" / name


@pytest.fixture(scope="session")
def cohorts(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A service's folder with its cohorts, and their sources."""
    folder, data = tmp_path_factory.mktemp("service"), tmp_path_factory.mktemp("data")
    made = folder / "cohorts"
    made.mkdir()
    write_pairs(data / "pairs", 2)
    run(data / "pairs", made / "liver")
    turned_cohort(data / "turned", made / "turned")
    labelled_cohorts(data / "labelled", made)
    planted_cohort(data / "planted", made / "planted")
    hostile_cohort(data / "hostile", made / "hostile")
    return folder, data


@pytest.fixture(scope="session")
def site(browser: Chromium, cohorts: tuple[Path, Path]) -> Iterator[Site]:
    folder, data = cohorts
    with serving(folder, data) as served:
        page = browser.page(served.url)
        page.goto(served.link)
        page.wait("document.body.innerText.includes('liver')")
        state = page.state()
        page.close()
        yield Site(served, data, state)


@pytest.fixture
def visit(opened: Open, site: Site) -> Callable[..., Page]:
    """Opens a path of the site, logged in; ``ready`` is what must be true before the test goes on."""

    def at(path: str, ready: str = "", **options: Any) -> Page:
        page = opened(site.url, storageState=site.state, **options)
        page.goto(path, ready)
        return page

    return at
