"""Pictures of the guide: each that a page shows is there and small, and a page shows each that is there."""

import re

from guide.pages import GUIDE, PAGES

MOST = 60_000  # bytes, for they are in every wheel
SHOWN = re.compile(r"!\[(.+?)\]\((pictures/.+?)\)", re.DOTALL)


def test_pictures_are_there_small_and_shown_with_words() -> None:
    shown = {path for page in PAGES.values() for _, path in SHOWN.findall(page.read_text("utf-8"))}
    there = {f"pictures/{path.name}" for path in (GUIDE / "pictures").iterdir()}
    assert shown == there
    assert shown
    assert all((GUIDE / path).stat().st_size <= MOST for path in shown)
