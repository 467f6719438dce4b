"""Grey values under windows, colours of labels by pixel, the crop box, and every road of the voxels."""

import numpy as np
import pytest
from support.case_page import LETTERS, PLANES, CasePage, Upright
from support.phantoms import BOX, SHAPE, boxed, gapped_labels, many_labels, oriented, values
from support.phantoms import affine as upright_affine

FLOAT16 = "delete globalThis.Float16Array;"
NO_WEBGL = (
    "const own = HTMLCanvasElement.prototype.getContext; HTMLCanvasElement.prototype.getContext ="
    " function (kind, ...more) { return kind.startsWith('webgl') ? null : own.call(this, kind, ...more); };"
)
SMALL = (
    "const own = WebGL2RenderingContext.prototype, ask = own.getParameter; own.getParameter = function"
    " (name) { return name === this.MAX_3D_TEXTURE_SIZE ? 16 : ask.call(this, name); };"
)
HU = {"lung": (-1350, 150), "bone": (-500, 1500), "stroke": (20, 60), "mediastinum": (-125, 225)}


def file_of(array: np.ndarray) -> Upright:
    return Upright(oriented(array, upright_affine(), "LIP"))


@pytest.fixture
def look(visit):
    """Opens a case of a cohort of the same name."""

    def at(name: str, query: str = "", **options) -> CasePage:
        page = CasePage(visit(f"/cohorts/{name}/cases/{name}{query}", **options))
        page.page.wait("document.querySelector('[data-read=label]').textContent !== '–'")
        page.scroll_to_planes()
        page.uncover()
        return page

    return at


def choose(page: CasePage, label: str, text: str) -> None:
    """Choose an option of a select by its label, as a change of a user does."""
    done = page.page.js(
        "(label, text) => { const select = [...document.querySelectorAll('label')].find((e) =>"
        " e.textContent.trim().startsWith(label)).querySelector('select');"
        " const found = [...select.options].find((e) => e.textContent.startsWith(text));"
        " if (!found) return false; select.value = found.value;"
        " select.dispatchEvent(new Event('change', {bubbles: true})); return true; }",
        label,
        text,
    )
    assert done, (label, text)
    page.settle()


def opacity(page: CasePage, key: str) -> None:
    """``Home`` makes labels clear, ``End`` covers the image."""
    page.page.js("document.querySelector('input[type=range]').focus({preventScroll: true})")
    page.page.press(key)
    page.settle()


def seen_and_planes(page: CasePage, side: str, array: np.ndarray):
    """Per plane what is seen in each cell, and what the array holds there."""
    file = file_of(array)
    at = file.upright([i - 1 for i in page.index("before")])  # the stored box holds the same voxels
    planes = {name: file.plane(name, at) for name in PLANES}
    if side == "after":
        planes = {name: cut(name, plane) for name, plane in planes.items()}
    seen = page.all_cells({(side, name): plane.shape for name, plane in planes.items()})
    return [(name, seen[side, name], plane) for name, plane in planes.items()]


def cut(name: str, plane: np.ndarray) -> np.ndarray:
    """The part of a plane of the whole that is in the box, as rows on the screen."""
    x, y, z = BOX
    across, up = {"axial": (x, y), "coronal": (x, z), "sagittal": (y, z)}[name]
    return plane[::-1, ::-1][up, across][::-1, ::-1]


@pytest.mark.parametrize("name", HU)
def test_windows_are_in_hu_on_both_sides(look, name: str) -> None:
    page = look("gaps")
    opacity(page, "Home")
    choose(page, "Window", name)
    low, high = HU[name]
    assert page.page.js("window.gpuprepView.state().window") == [low, high]
    for side in ("before", "after"):
        for plane, seen, voxels in seen_and_planes(page, side, boxed(values())):
            grey = np.clip((voxels - low) / (high - low), 0, 1) * 255
            tolerance = (
                2 if side == "before" else 2 + 255 * 1.0 / (high - low)
            )  # float16: within 1 HU
            off = np.abs(seen - grey[..., None]).max()
            assert off <= tolerance, (side, plane, off)
    assert "HU" in page.read("after")["value"]


@pytest.mark.parametrize(("name", "labels"), [("gaps", gapped_labels()), ("many", many_labels())])
def test_every_label_has_its_colour_in_every_pixel(
    look, site, name: str, labels: np.ndarray
) -> None:
    page = look(name)
    opacity(page, "End")
    told = page.page.js(
        f"fetch('/v1/cohorts/{name}/cases/{name}').then((answer) => answer.json())"
        ".then((view) => view.after.labels[0].values)"
    )
    colors = {
        each["value"]: [int(each["color"][k : k + 2], 16) for k in (1, 3, 5)] for each in told
    }
    there = {int(value) for value in np.unique(labels)} - {0}
    assert there <= set(colors)
    assert len({tuple(colors[value]) for value in there}) == len(there)
    table = np.zeros((65536, 3), int)
    for value, color in colors.items():
        table[value] = color
    for side in ("before", "after"):
        for plane, seen, values_of in seen_and_planes(page, side, labels):
            off = np.abs(seen.astype(int) - table[values_of])[values_of > 0]
            assert off.size > 100
            assert off.max() <= 2, (side, plane, off.max())


def test_the_crop_box_is_drawn_around_what_was_kept(look) -> None:
    page = look("gaps")
    boxes = page.page.js(
        "Object.fromEntries([...document.querySelectorAll('.side[data-side=before] .plane')].map((plane) => {"
        " const [own, box] = [plane, plane.querySelector('rect.crop')].map((e) => e.getBoundingClientRect());"
        " return [plane.dataset.plane, [(box.left - own.left) / own.width,"
        " (box.right - own.left) / own.width,"
        " (own.bottom - box.bottom) / own.height, (own.bottom - box.top) / own.height]]; }))"
    )
    x, y, z = BOX
    for plane, (across, up) in {"axial": (0, 1), "coronal": (0, 2), "sagittal": (1, 2)}.items():
        (a, b), (n, m) = ([(x, y, z)[k] for k in (across, up)], [SHAPE[k] for k in (across, up)])
        expected = [1 - a.stop / n, 1 - a.start / n, b.start / m, b.stop / m]  # R and A on the left
        assert boxes[plane] == pytest.approx(expected, abs=0.006)
    assert not page.page.js("document.querySelector('.side[data-side=after] rect.crop')")


def test_chunks_and_nifti_give_the_same_pixels(look) -> None:
    pictures = []
    for query, road in (("", "chunks"), ("?force=nii", "nii")):
        page = look("gaps", query)
        assert page.page.js("window.gpuprepView.state().after.road") == road
        assert any("/zarr/" in url for url in page.page.requests()) == (road == "chunks")
        pictures.append({name: page.page.pixels(box) for name, box in page.planes("after").items()})
    for name in PLANES:
        assert np.count_nonzero(pictures[0][name] != pictures[1][name]) == 0
        assert np.ptp(pictures[0][name]) > 100


@pytest.mark.parametrize(
    ("cohort", "query", "script", "road"),
    [
        ("gaps", "", FLOAT16, "nii"),
        ("dense", "", "", "nii"),
        ("gaps", "", NO_WEBGL, "png"),
        ("gaps", "?force=png", "", "png"),
    ],
    ids=["no float16", "zstd", "no WebGL2", "asked for planes"],
)
def test_every_fallback_shows_and_says_the_same(look, cohort, query, script, road) -> None:
    page = look(cohort, query, before=[script])
    if road == "png":
        page.page.wait("[...document.querySelectorAll('.stage img')].every((e) => e.complete)")
    assert page.page.js("window.gpuprepView.state().after.road") == road
    voxels = boxed(values())
    opacity(page, "Home")
    if road == "png":
        page.page.wait("[...document.querySelectorAll('.stage img')].every((e) => e.complete)")
        page.settle()
    low, high = page.page.js("window.gpuprepView.state().window")
    for side in ("before", "after"):
        for plane, seen, inside in seen_and_planes(page, side, voxels):
            assert page.letters(side, plane) == LETTERS[plane]
            grey = np.clip((inside - low) / (high - low), 0, 1) * 255
            assert np.abs(seen - grey[..., None]).max() <= 3, (side, plane)
    told = [i - 1 for i in page.index("before")]
    file = file_of(voxels)
    assert page.page.js("window.gpuprepView.state().before.value") == file.data[tuple(told)]
    label = file_of(gapped_labels()).data[tuple(told)]
    assert page.read("before")["label"].startswith(f"{label} ")


def test_a_volume_too_large_is_drawn_coarser_and_says_so(look) -> None:
    page = look("many", before=[SMALL])
    assert page.page.js("window.gpuprepView.state().after.level") == 1
    assert "level 1" in page.page.text(".side[data-side=after]")
    assert "level" not in page.page.text(".side[data-side=before] .level")


def test_the_patient_may_be_seen_from_the_other_side(look) -> None:
    page = look("gaps")
    opacity(page, "Home")
    before = page.cells("before", "axial", (SHAPE[1], SHAPE[0]))
    page.page.js("document.querySelector('.plane').focus({preventScroll: true})")
    page.page.press("r")
    page.settle()
    assert page.letters("before", "axial")["left"] == "L"
    assert page.letters("before", "coronal")["left"] == "L"
    after = page.cells("before", "axial", (SHAPE[1], SHAPE[0]))
    np.testing.assert_array_equal(after, before[:, ::-1])
    assert np.any(after != before)


def test_the_legend_counts_voxels(look) -> None:
    page = look("gaps")
    rows = page.page.js(
        "[...document.querySelectorAll('.legend tbody tr')].map((row) =>"
        " [...row.cells].map((cell) => cell.textContent.trim()))"
    )
    counts = {int(row[1]): int(row[5].replace(",", "")) for row in rows}
    values_of, voxels = np.unique(gapped_labels(), return_counts=True)
    found = dict(zip(values_of.tolist(), voxels.tolist(), strict=True))
    assert {value: count for value, count in counts.items() if value} == {
        k: v for k, v in found.items() if k
    }
