"""The pictures of the guide, of a phantom: ``PYTHONPATH=.:tests python tests/browser/guide_pictures.py``."""

import io
import tempfile
from pathlib import Path

import nibabel
import numpy as np
from PIL import Image
from support.case_page import CasePage
from support.chromium import SETTLED, TREE, Page, chromium
from support.phantoms import store
from support.serving import serving

FOLDER = TREE / "gpuprep/guide/pictures"
NAMES = {"lung": 1, "liver": 2, "spine": 3, "lesion": 4}
CONFIG = {
    "image": {
        "crop": {"to": "body", "margin": 4},
        "intensity": [{"clip": {"low": -1000, "high": 1000}}, {"rescale": {"to": [0, 1]}}],
        "resample": {"spacing": [3.0, 3.0, 3.0]},
    },
    "label": {"names": NAMES},
}
SHAPE, SPACING = (128, 104, 60), (2.5, 2.5, 5.0)


def torso() -> tuple[np.ndarray, np.ndarray]:
    """A trunk of ellipsoids in HU, and its labels; axes run to the Left, Posterior and Superior."""
    grid = (np.stack(np.indices(SHAPE), -1) - (np.array(SHAPE) - 1) / 2) * SPACING

    def inside(center, radii):
        return (((grid - center) / radii) ** 2).sum(-1) < 1

    random = np.random.default_rng(1)
    voxels, label = np.full(SHAPE, -1000.0), np.zeros(SHAPE, np.uint8)
    voxels[(((grid / [140, 100, 1]) ** 2)[..., :2].sum(-1) < 1)] = -90
    voxels[(((grid / [128, 88, 1]) ** 2)[..., :2].sum(-1) < 1)] = 45
    for side in (-1, 1):
        lung = inside([62 * side, -5, 80], [46, 62, 110])
        voxels[lung], label[lung] = -820, NAMES["lung"]
    heart = inside([18, -35, 45], [42, 38, 45])
    voxels[heart], label[heart] = 40, 0
    for name, value, center, radii in (
        ("liver", 105, [-50, -12, -75], [66, 62, 48]),
        ("lesion", 60, [-70, -20, -80], [14, 14, 14]),
        ("spine", 420, [0, 62, 0], [17, 17, 400]),
    ):
        part = inside(center, radii)
        voxels[part], label[part] = value, NAMES[name]
    return (voxels + random.normal(0, 9, SHAPE)).astype(np.int16), label


def save(page: Page, name: str, selector: str) -> None:
    box = page.js(
        "s => { const r = document.querySelector(s).getBoundingClientRect();"
        " return {x: r.x, y: r.y + scrollY, width: r.width, height: r.height}; }",
        selector,
    )
    picture = Image.open(io.BytesIO(page.png(box, whole=True))).convert("RGB")
    picture.save(FOLDER / f"{name}.webp", quality=72, method=6)
    print(name, picture.size, (FOLDER / f"{name}.webp").stat().st_size)


def choose(page: Page, window: str) -> None:
    page.js(
        "name => { const select = [...document.querySelectorAll('label')].find((each) =>"
        " each.textContent.trim().startsWith('Window')).querySelector('select');"
        " select.value = [...select.options].find((each) => each.textContent.startsWith(name)).value;"
        " select.dispatchEvent(new Event('change', {bubbles: true})); }",
        window,
    )


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name, chromium() as browser:
        work = Path(name)
        data, made = work / "data", work / "service/cohorts"
        data.mkdir(), made.mkdir(parents=True)
        voxels, label = torso()
        place = np.diag([-SPACING[0], -SPACING[1], SPACING[2], 1.0])
        place[:3, 3] = -place[:3, :3] @ (np.array(SHAPE) - 1) / 2
        for kind, array in (("volume", voxels), ("segmentation", label)):
            nibabel.save(nibabel.Nifti1Image(array, place), data / f"{kind}-0.nii.gz")
        row = {"case_id": "volume-0", "image": "volume-0.nii.gz", "label": "segmentation-0.nii.gz"}
        store(data, [{**row, "modality": "CT"}], made / "out", CONFIG)
        with serving(work / "service", data) as served:
            page = browser.page(served.url, viewport={"width": 1080, "height": 900})
            page.goto(served.link, SETTLED)
            page.goto("/cohorts/out/cases/volume-0", SETTLED)
            case = CasePage(page)
            page.wait("document.querySelector('[data-read=label]').textContent !== '–'")
            choose(page, "soft tissue")
            case.go_to([70, 20, -80])
            save(page, "planes", ".sides")
            save(page, "readout", ".readout")
            save(page, "controls", ".controls")
            save(page, "labels", ".legend")
            page.js("document.querySelector('.plane').focus({preventScroll: true})")
            page.press("l")
            choose(page, "lung")
            case.go_to([60, 0, 60])
            save(page, "lung", ".sides")


if __name__ == "__main__":
    main()
