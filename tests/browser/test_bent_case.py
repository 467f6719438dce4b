"""The page of a case whose values went through a table: its two sides say the same value of a place."""

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
from support.case_page import CasePage
from support.chromium import Chromium
from support.cohorts import run
from support.serving import serving

BENT = {
    "image": {
        "orientation": "keep",
        "intensity": [{"clip": {"low": 0, "high": 400}}, {"gamma": {"value": 0.4}}, {"zscore": {}}],
    },
    "store": {"dtype": "float32", "fsync": "never"},
}


def test_the_readout_and_the_window_are_in_the_units_of_the_source(
    browser: Chromium, tmp_path: Path
) -> None:
    data, folder = tmp_path / "data", tmp_path / "service"
    data.mkdir()
    voxels = np.random.default_rng(5).integers(20, 380, (12, 10, 8)).astype(np.int16)
    voxels[0, 0, 0], voxels[1, 0, 0] = 0, 400
    nibabel.save(nibabel.Nifti1Image(voxels, np.diag([-1.0, -1.0, 1.0, 1.0])), data / "a.nii.gz")
    run(data, folder / "cohorts" / "bent", BENT)
    with serving(folder, data) as served:
        page = browser.page(served.url)
        page.goto(served.link)
        page.wait("document.body.innerText.includes('bent')")
        page.goto("/cohorts/bent/cases/a")
        seen = CasePage(page)
        page.wait("window.gpuprepView && window.gpuprepView.state().after.value !== null")
        seen.settle()
        for side in ("before", "after"):
            at = tuple(index - 1 for index in seen.index(side))
            value = page.js("side => window.gpuprepView.state()[side].value", side)
            assert value == pytest.approx(float(voxels[at]), abs=0.01), side
        assert not page.complaints(), json.dumps(page.complaints())
        page.close()
