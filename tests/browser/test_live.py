"""Jobs as they go on: the queue changes before one's eyes; the keyboard alone cancels, ranks and retries."""

import os
import signal
from collections.abc import Callable, Iterator

import pytest
from support.chromium import SETTLED, Chromium, Page
from support.cohorts import write_pairs
from support.serving import Served, serving

ACTIVE = "(document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent)"
DAMAGED = "volume-2"
Look = Callable[[str, str], Page]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One job at a time; each stops at its first stored case until it is told to go on."""
    folder = tmp_path_factory.mktemp("live")
    write_pairs(folder / "data", 4)
    (folder / "data" / f"{DAMAGED}.nii.gz").write_bytes(b"\x1f\x8b no volume")
    settings = {"limits": {"jobs": 1}}
    points = {"GPUPREP_FAILPOINTS": "after_record=stop:1"}
    with serving(folder / "folder", folder / "data", settings, **points) as found:
        yield found


@pytest.fixture(scope="module")
def cookies(browser: Chromium, served: Served) -> object:
    page = browser.page(served.url)
    page.goto(served.link, "document.body.innerText.includes('operator')")
    state = page.state()
    page.close()
    return state


@pytest.fixture
def look(opened: Callable[..., Page], served: Served, cookies: object) -> Look:
    def at(path: str, ready: str = SETTLED) -> Page:
        page = opened(served.url, storageState=cookies)
        page.goto(path, ready)
        return page

    return at


def go_on(served: Served, job_id: str) -> None:
    os.kill(served.wait_for_child(job_id), signal.SIGCONT)


def tab_to(page: Page, name: str) -> None:
    """Press Tab until what has the focus is called so."""
    for _ in range(60):
        page.press("Tab")
        if page.js(ACTIVE) == name:
            return
    raise AssertionError(f"Tab does not reach {name!r}")


def row(output: str) -> str:
    """The row of a job, as an expression."""
    return (
        f"[...document.querySelectorAll('tr')].find((tr) => tr.innerText.includes('{output}'))"
        "?.innerText.replace(/\\s+/g, ' ')"
    )


def test_the_queue_changes_before_ones_eyes(served: Served, look: Look) -> None:
    page = look("/jobs", "document.body.innerText.includes('Nothing is at work')")
    page.js("window.isTheSame = true")
    first = served.submit(output="first")["id"]
    page.wait(f"/at work.*of 4 cases/.test({row('first')})")
    second, third = (served.submit(output=name)["id"] for name in ("second", "third"))
    page.wait(f"{row('third')}?.startsWith('2.')")

    tab_to(page, "Priority of third")
    page.press("9")
    page.wait(f"{row('third')}?.startsWith('1.')")
    assert served.job(third)["priority"] == 9

    tab_to(page, "Cancel second")
    page.press("Enter", "Escape")
    assert page.js(ACTIVE) == "Cancel second"
    assert served.job(second)["state"] == "queued"
    page.press("Enter")
    page.wait("document.activeElement.getAttribute('role') === 'group'")
    page.press("Tab", "Enter")
    page.wait(f"/cancelled/.test({row('second')})")
    assert served.job(second)["state"] == "cancelled"
    assert page.js(ACTIVE) == "At work and in the queue"

    for job in (first, third):
        go_on(served, job)
        served.ended(job)
    page.wait(
        f"/done, some failed/.test({row('first')}) && /done, some failed/.test({row('third')})"
    )
    assert page.js("window.isTheSame")


def test_exactly_what_failed_is_retried_once_it_is_told(served: Served, look: Look) -> None:
    job = served.submit(output="again")["id"]
    page = look(f"/jobs/{job}", "document.querySelector('h1')?.innerText.includes('again')")
    go_on(served, job)
    page.wait("/3 of|4 of 4 cases, 1 failed/.test(document.body.innerText)")
    page.wait("document.querySelector('h1').innerText.includes('some failed')")
    assert DAMAGED in page.text("table[aria-label='Failures by reason']")
    assert "Where the time went" in page.text()
    tab_to(page, "Retry what failed")
    page.press("Enter")
    page.wait("/would do this case again/.test(document.querySelector('.confirm')?.innerText)")
    assert page.js("[...document.querySelectorAll('.confirm li')].map((li) => li.innerText)") == [
        DAMAGED
    ]
    before = len(listed(served))
    page.press("Tab", "Tab", "Enter")
    page.wait(f"!location.pathname.endsWith('{job}') && document.querySelector('h1 .badge')")
    new = served.job(page.js("location.pathname").rpartition("/")[2])
    assert (new["retry_of"], new["only"], len(listed(served))) == (job, 1, before + 1)


def listed(served: Served) -> list[str]:
    with served.ask("admin") as client:
        return [job["id"] for job in client.get("/v1/jobs").json()["items"]]


def test_the_machine_is_told_over_time(served: Served, look: Look) -> None:
    page = look("/machine", "document.querySelectorAll('.drawing').length >= 5")
    for name in ("Cores", "Memory", "Disk", "Workers", "Jobs", "GPUs", "store"):
        assert name in page.text("main")
    page.wait("document.querySelector('.drawing').getAttribute('aria-valuetext').startsWith('now')")
    page.js("document.querySelector('.drawing').focus()")
    page.press("ArrowLeft", "ArrowLeft")
    page.wait("/s ago: /.test(document.querySelector('.drawing').getAttribute('aria-valuetext'))")
    page.press("Escape")
    page.wait("document.querySelector('.drawing').getAttribute('aria-valuetext').startsWith('now')")


def test_a_job_of_nobody_is_told_as_such(served: Served, look: Look) -> None:
    page = look(f"/jobs/{'0' * 20}", "document.querySelector('[role=alert]')")
    page.allowed.append("404")
    assert "no such job" in page.text("main")
