"""The foreground's statistics against NumPy, whichever way they are taken: by mask, or from counts."""

import numpy as np
import pytest
from support.in_memory import Files, computed, config_of

from gpuprep.ops import operations
from gpuprep.values.case import Case, LabelSource

SHAPE = (9, 11, 13)
WHOLE = np.random.default_rng(4).integers(-3, 4, SHAPE).astype(np.int16) * 300
OTHER = np.roll(WHOLE, 5)
REGION = (np.random.default_rng(5).random(SHAPE) < 0.3).astype(np.uint8)
RULES = {
    "nonzero": ({"where": "nonzero"}, lambda first, union: union != 0),
    "body": ({"where": "body", "threshold": -450.5}, lambda first, union: first > -450.5),
    "label": ({"where": "label"}, lambda first, union: REGION != 0),
    "nonzero_or_label": (
        {"where": "nonzero_or_label"},
        lambda first, union: (union != 0) | (REGION != 0),
    ),
}


@pytest.mark.parametrize("dtype", ["i2", "f4"])
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("arrays", [[WHOLE], [WHOLE, OTHER]], ids=["one", "two"])
def test_zscore_over_the_foreground_is_numpys(arrays, rule, dtype) -> None:
    told, foreground = RULES[rule]
    files = Files()
    images = tuple(
        files.add(f"{number}.nii", array.astype(dtype)) for number, array in enumerate(arrays)
    )
    labels = (LabelSource((files.add("label.nii", REGION),)),) if "label" in rule else ()
    steps = [{"zscore": {"over": "foreground"}}]
    config = config_of({"image": {"orientation": "keep", "foreground": told, "intensity": steps}})
    stored, _ = computed(files, Case("c", images, labels), config)
    inside = foreground(arrays[0], np.any([array != 0 for array in arrays], 0))
    for array, found in zip(arrays, np.reshape(stored.image, (-1, *SHAPE)), strict=True):
        values = array.astype(np.float64)
        expected = (values - values[inside].mean()) / values[inside].std()
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_an_image_whose_values_say_what_is_foreground_is_walked_once(monkeypatch) -> None:
    walks, files = [], Files()
    measure = operations.measure
    monkeypatch.setattr(operations, "measure", lambda *a, **k: walks.append(a) or measure(*a, **k))
    case = Case("c", (files.add("0.nii", WHOLE),), ())
    computed(files, case, config_of({"image": {"intensity": [{"zscore": {"over": "foreground"}}]}}))
    assert len(walks) == 1
