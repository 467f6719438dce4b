"""What a cohort, a case, a grid and findings show in a notebook; no text is taken for markup."""

from html.parser import HTMLParser

import pytest
from support.cohorts import run, write_pair

import gpuprep
from gpuprep.values.findings import Finding, FindingList

EVIL = "<script>alert('&')</script>"


class Shown(HTMLParser):
    """What a browser would show, and the elements it would make."""

    def __init__(self, value: object) -> None:
        super().__init__()
        self.elements: set[str] = set()
        self.text = ""
        self.feed(value._repr_html_())  # type: ignore[attr-defined]

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.elements.add(tag)

    def handle_data(self, data: str) -> None:
        self.text += f"{data}\n"


@pytest.fixture(scope="module")
def cohort(tmp_path_factory) -> gpuprep.Cohort:
    folder = tmp_path_factory.mktemp("notebook")
    (folder / "in").mkdir()
    for number in range(22):
        write_pair(folder / "in", number)
    run(folder / "in", folder / "out")
    return gpuprep.open(folder / "out")


def test_a_cohort_shows_its_first_cases_and_how_many_there_are(cohort) -> None:
    shown = Shown(cohort)
    assert f"\n{cohort.ids[0]}\n" in shown.text
    assert f"\n{cohort.ids[-1]}\n" not in shown.text
    assert "\n22\n" in shown.text
    assert "and 2 more" in shown.text


def test_a_case_shows_its_grid_and_what_was_odd(cohort) -> None:
    case = cohort[cohort.ids[3]]
    shown = Shown(case)
    assert case.geometry.describe() in shown.text
    assert case.geometry.describe() in Shown(case.geometry).text
    assert isinstance(case.findings, FindingList)


def test_a_text_of_a_file_makes_no_element() -> None:
    finding = Finding("W_NAN", EVIL, EVIL, values={EVIL: EVIL})
    for value in (finding, FindingList([finding])):
        shown = Shown(value)
        assert EVIL in shown.text
        assert "script" not in shown.elements
