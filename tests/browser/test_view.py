"""``gpuprep view``: an input file, a stored case and a cohort in the browser, from one command."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nibabel
import pytest
from support.case_page import LETTERS, PLANES, CasePage, Upright
from support.chromium import SETTLED
from support.serving import COMMAND


@contextmanager
def viewing(path: Path) -> Iterator[str]:
    """The link of the command."""
    with subprocess.Popen(
        [*COMMAND, "view", str(path), "--no-browser"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=os.environ,
    ) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


def test_an_input_file_is_seen_as_it_lies(opened, site) -> None:
    file = site.data / "turned" / "SRP-image.nii.gz"
    with viewing(file) as link:
        page = opened(link.split("/login")[0])
        page.goto(link, SETTLED)
        seen, shown = CasePage(page), Upright(nibabel.load(file))
        index = [i - 1 for i in seen.index("before")]
        value = page.js("window.gpuprepView.state().before.value")
        assert value == shown.data[tuple(index)]
        for plane in PLANES:
            assert seen.letters("before", plane) == LETTERS[plane]


@pytest.mark.parametrize("what", ["series", "case", "cohort"])
def test_whatever_is_named_opens(opened, site, what: str) -> None:
    path = {
        "series": site.data / "hostile" / "s0",
        "case": site.cohort("liver") / "cases" / "volume-1.zarr",
        "cohort": site.cohort("planted"),
    }[what]
    with viewing(path) as link:
        page = opened(link.split("/login")[0])
        page.goto(link, SETTLED)
        if what == "cohort":
            page.wait("document.body.innerText.includes('planted')")
            page.wait("[...document.images].every((each) => each.complete)")
        else:
            CasePage(page)
