"""One Chromium for all tests of pages; whatever a page complains of, or asks elsewhere, fails its test."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from support.chromium import Chromium, Page, chromium


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/browser" in item.path.as_posix():
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def browser() -> Iterator[Chromium]:
    with chromium() as running:
        yield running


@pytest.fixture
def opened(browser: Chromium) -> Iterator[Callable[..., Page]]:
    """Opens pages, and closes them when the test is over."""
    pages: list[Page] = []

    def open_page(origin: str, **options: Any) -> Page:
        pages.append(browser.page(origin, **options))
        return pages[-1]

    yield open_page
    found = [complaint for page in pages for complaint in page.complaints()]
    for page in pages:
        page.close()
    assert not found, "\n".join(found)
