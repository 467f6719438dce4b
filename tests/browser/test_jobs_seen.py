"""The pages of jobs by keyboard alone: a job is cancelled, and the list says so while one looks at it."""

import os
import signal

import pytest
from support.chromium import SETTLED, Page
from support.serving import serving


@pytest.fixture
def held(cohorts, tmp_path):
    """A service whose first job stands still, so that others wait."""
    one = {"limits": {"jobs": 1}}
    with serving(tmp_path / "held", cohorts[1], one, GPUPREP_FAILPOINTS="job_begun=stop") as served:
        first = served.submit(path="pairs", output="first")
        child = served.wait_for_child(first["id"])
        second = served.submit(path="pairs", output="second")
        yield served, first, second
        served.kill()
        os.kill(child, signal.SIGKILL)


def tab_to(page: Page, name: str, most: int = 60) -> None:
    """Press Tab until the focus is on what has a name."""
    for _ in range(most):
        page.press("Tab")
        if (
            page.js("document.activeElement.ariaLabel || document.activeElement.textContent.trim()")
            == name
        ):
            return
    raise AssertionError(f"Tab never came to {name!r}")


def test_a_waiting_job_is_cancelled_by_keyboard_and_the_list_follows(held, opened) -> None:
    served, _, second = held
    page = opened(served.url)
    page.goto(served.link, SETTLED)
    page.goto("/jobs", "document.body.innerText.includes('second')")
    assert page.js("[...document.querySelectorAll('main table')][0].innerText").index("first") >= 0
    tab_to(page, "Cancel second")
    assert page.js("getComputedStyle(document.activeElement).outlineStyle") != "none"
    page.press("Enter")
    tab_to(page, "Cancel the job", 5)
    page.press("Enter")
    page.wait(
        "[...document.querySelectorAll('main table tr')].some((row) =>"
        " row.innerText.includes('second') && /cancelled/i.test(row.innerText))",
        15,
    )
    assert served.job(second["id"])["state"] == "cancelled"


def test_a_job_submitted_elsewhere_appears_by_itself(held, opened) -> None:
    served, *_ = held
    page = opened(served.url)
    page.goto(served.link, SETTLED)
    page.goto("/jobs", "document.body.innerText.includes('second')")
    served.submit(path="pairs", output="third")
    page.wait("document.body.innerText.includes('third')", 15)


def test_the_page_of_a_job_says_what_it_waits_for(held, opened) -> None:
    served, _, second = held
    page = opened(served.url)
    page.goto(served.link, SETTLED)
    page.goto(f"/jobs/{second['id']}", "document.querySelector('h1')?.innerText.includes('second')")
    assert "queue" in page.text("main").lower() or "wait" in page.text("main").lower()
