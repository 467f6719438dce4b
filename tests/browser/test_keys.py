"""The page of a case by keyboard alone, and how soon its first picture is there."""

import time

import pytest
from support.case_page import CasePage, Upright
from support.serving import serving

import gpuprep


def tab_into(page: CasePage, side: str, plane: str) -> None:
    wanted = f".side[data-side={side}] .plane[data-plane={plane}]"
    for _ in range(60):
        page.page.press("Tab")
        if page.page.js("s => document.activeElement.matches(s)", wanted):
            return
    raise AssertionError(f"Tab never came to {wanted}")


def test_arrows_move_the_crosshair_by_voxels_as_they_point(visit, site) -> None:
    import nibabel

    page = CasePage(visit("/cohorts/turned/cases/ASL"))
    shown = Upright(nibabel.load(site.data / "turned/ASL-image.nii.gz"))
    tab_into(page, "before", "axial")
    assert page.page.js("getComputedStyle(document.activeElement).outlineStyle") != "none"
    at = shown.upright([i - 1 for i in page.index("before")])
    for key, step in (
        ("ArrowRight", (-1, 0, 0)),  # the patient's left
        ("ArrowUp", (0, 1, 0)),
        ("ArrowLeft", (1, 0, 0)),
        ("ArrowDown", (0, -1, 0)),
        ("PageUp", (0, 0, 1)),
        ("PageDown", (0, 0, -1)),
        ("Shift+ArrowRight", (-10, 0, 0)),
    ):
        page.page.press(key)
        page.settle()
        at = [max(0, value + by) for value, by in zip(at, step, strict=True)]
        assert shown.upright([i - 1 for i in page.index("before")]) == at, key


def test_every_control_has_a_name_and_is_reached_by_tab(visit) -> None:
    page = CasePage(visit("/cohorts/gaps/cases/gaps"))
    names = set()
    for _ in range(70):
        page.page.press("Tab")
        names.add(
            page.page.js(
                "(() => { const e = document.activeElement; return e.ariaLabel"
                " || e.labels?.[0]?.textContent.trim() || e.textContent.trim(); })()"
            )[:40]
        )
    for name in (
        "Before, axial plane",
        "After, sagittal plane",
        "Radiological",
        "Opacity",
        "Level",
    ):
        assert any(each.startswith(name) for each in names), (name, names)
    assert "" not in names


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    pytest.importorskip("nilearn", reason="the demo's volumes come with nilearn")
    from gpuprep.cli.demo import build_input

    folder = tmp_path_factory.mktemp("demo")
    build_input(folder)
    service = folder / "service"
    (service / "cohorts").mkdir(parents=True)
    cases, output = folder / "input/cases.csv", service / "cohorts" / "demo"
    gpuprep.run(cases, output, config=folder / "demo.yaml", only=("mni152",), scheduler="serial")
    with serving(service, folder / "input") as served:
        yield served


def test_the_first_picture_of_the_demo(opened, demo, record_property, capsys) -> None:
    page = opened(demo.url)
    page.goto(demo.link)
    began = time.monotonic()
    drawn = "document.querySelector('.side[data-side=after] .plane') !== null"
    page.goto(
        "/cohorts/demo/cases/mni152", f"{drawn} && window.gpuprepView?.state().after?.road", 60
    )
    first = time.monotonic() - began
    CasePage(page)
    seconds = time.monotonic() - began
    record_property("seconds", first)
    with capsys.disabled():
        print(f"\nthe demo's brain after {first:.2f} s, both sides after {seconds:.2f} s")
    assert page.js("window.gpuprepView.state().after.value") is not None
