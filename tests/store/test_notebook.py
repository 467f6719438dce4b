"""What a cohort, a case, a grid and findings show in a notebook; no text is taken for markup."""

from html.parser import HTMLParser

import numpy as np
import pytest
from support.cohorts import run, write_pairs

import gpuprep
from gpuprep.values.errors import UsageError
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
    write_pairs(folder / "in", 22)
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


def test_a_case_draws_itself_in_the_window_of_its_clip(cohort) -> None:
    case = cohort[cohort.ids[0]]
    picture = case.show()
    assert picture._repr_png_()[:4] == b"\x89PNG"  # what a notebook asks for
    drawn = np.asarray(picture)
    coloured = (drawn.max(-1).astype(int) - drawn.min(-1)) > 60
    assert coloured.sum() > 200  # a label map lies over the image
    assert np.asarray(case.show(channel=0)).shape == drawn.shape


def test_a_picture_of_what_is_not_there_is_refused_with_what_is(cohort) -> None:
    case = cohort[cohort.ids[0]]
    with pytest.raises(UsageError, match="no label 'liver'") as refused:
        case.show("liver")
    assert "segmentation" in refused.value.advice
    with pytest.raises(UsageError, match="no channel 1"):
        case.show(channel=1)
