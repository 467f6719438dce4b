"""``gpuprep view``: an input file, a stored case and a cohort in the browser, from one command."""

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import nibabel
import pytest
from support.case_page import LETTERS, PLANES, CasePage, Upright
from support.chromium import SETTLED
from support.serving import COMMAND

View = Callable[[Path], str]


@pytest.fixture
def view() -> Iterator[View]:
    """The link of the command; it ends after the pages that ask it, whose fixture comes later."""
    with ExitStack() as ended:

        def begin(path: Path) -> str:
            process = subprocess.Popen(
                [*COMMAND, "view", str(path), "--no-browser"],
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                env=os.environ,
            )
            ended.push(process)
            ended.callback(process.terminate)
            assert process.stdout is not None
            return process.stdout.readline().strip()

        yield begin


def test_an_input_file_is_seen_as_it_lies(view: View, opened, site) -> None:
    file = site.data / "turned" / "SRP-image.nii.gz"
    link = view(file)
    page = opened(link.split("/login")[0])
    page.goto(link, SETTLED)
    seen, shown = CasePage(page), Upright(nibabel.load(file))
    index = [i - 1 for i in seen.index("before")]
    value = page.js("window.gpuprepView.state().before.value")
    assert value == shown.data[tuple(index)]
    for plane in PLANES:
        assert seen.letters("before", plane) == LETTERS[plane]


@pytest.mark.parametrize("what", ["series", "case", "cohort"])
def test_whatever_is_named_opens(view: View, opened, site, what: str) -> None:
    path = {
        "series": site.data / "hostile" / "s0",
        "case": site.cohort("liver") / "cases" / "volume-1.zarr",
        "cohort": site.cohort("planted"),
    }[what]
    link = view(path)
    page = opened(link.split("/login")[0])
    page.goto(link, SETTLED)
    if what == "cohort":
        page.wait("document.body.innerText.includes('planted')")
        page.wait("document.images.length && [...document.images].every((each) => each.complete)")
    else:
        CasePage(page)
