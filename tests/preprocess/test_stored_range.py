"""What a stored dtype cannot hold is refused, what it rounds is told: alike for every dtype."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.in_memory import Files, computed, config_of

from gpuprep.config.file import parse_config
from gpuprep.ops.statistics import are_whole, measure
from gpuprep.preprocess.intensity import Intensity, resolve_intensity
from gpuprep.preprocess.stored_range import check_dtype, numbers_between, report_constant
from gpuprep.values.case import Case
from gpuprep.values.errors import ValueRangeError
from gpuprep.values.findings import Findings

DTYPES = ["float16", "float32", "int16"]


def resolve(steps: list[dict], *values: float, dtype: str = "f4") -> Intensity:
    array = np.array([[values]], dtype)
    steps = parse_config({"image": {"intensity": steps}}).image.intensity
    return resolve_intensity(steps, measure(array), lambda: measure(array))


def told(steps: list[dict], dtype: str, *values: float, whole: bool = False) -> list[str]:
    findings = Findings()
    check_dtype(resolve(steps, *values), dtype, findings, "ct", whole=whole)
    return [item.code for item in findings.items]


@pytest.mark.parametrize(
    ("step", "values", "found"),
    [
        ({"clip": {"low": 40, "high": 50}}, (-3, 9), 1),
        ({"multiply": {"by": 0}}, (-3, 9), 1),
        ({"nyul": {"percentiles": [10, 90], "standard": {"a": [0, 1]}}}, (0,) * 99 + (9,), 1),
        ({"nyul": {"percentiles": [10, 90], "standard": {"a": [3, 3]}}}, (0, 4, 9), 1),
        ({"nyul": {"percentiles": [10, 90], "standard": {"a": [0, 1]}}}, (0, 4, 9), 0),
        ({"multiply": {"by": 0}}, (3, 3), 0),
        ({"equalize": {}}, (3, 3), 0),
    ],
)
def test_a_channel_that_its_steps_make_one_value_is_told(step, values, found):
    findings = Findings()
    report_constant(resolve([step], *values), min(values), max(values), findings, "ct")
    assert [item.code for item in findings.items] == ["W_CONSTANT"] * found


def test_values_beyond_the_dtype_are_refused_and_rounding_is_noted():
    for dtype in ("float16", "int16"):
        with pytest.raises(ValueRangeError, match=f"{dtype} ends at"):
            told([], dtype, -40000, 70000, whole=True)
    assert told([], "float32", -40000, 70000, whole=True) == []
    with pytest.raises(ValueRangeError, match="float32 ends at"):
        told([{"multiply": {"by": 1e20}}], "float32", 0, 1e20)
    assert told([], "float16", -1024, 3071, whole=True) == ["W_PRECISION"]
    assert told([], "int16", -1024, 3071, whole=True) == []
    assert told([{"offset": {"by": 0.5}}], "int16", -1024, 3071, whole=True) == ["W_PRECISION"]
    assert told([{"zscore": {}}], "int16", -1024, 3071) == ["W_PRECISION"]
    assert told([{"clip": {"low": -9.5, "high": 9}}], "int16", -10, 10, whole=True)
    assert told([], "float32", 2**24 - 2, 2**24, whole=True) == []
    assert told([{"offset": {"by": 1}}], "float32", 0, 2**24, whole=True) == ["W_PRECISION"]


@pytest.mark.parametrize(
    ("dtype", "steps", "values"),
    [
        ("int16", [], (0.0, 1.0)),
        ("int16", [{"rescale": {"to": [0, 1]}}], (-1000, 400)),
        ("int16", [], (0.1, 0.4)),
        ("int16", [], (-0.4, 0.4)),
        ("int16", [], (0.3, 0.3)),
        ("int16", [], (100.6, 101.4)),
        ("float16", [], (0.0, 3e-9)),
        ("float16", [], (0.0, 5e-5)),
        ("float16", [], (1000.0, 1000.2)),
        ("float16", [], (40000.0, 40010.0)),
        ("float32", [{"multiply": {"by": 1e-30}}], (0, 1e-9)),
        ("float32", [{"offset": {"by": 1e9}}], (0, 20)),
    ],
)
def test_values_that_would_vanish_are_refused_by_every_dtype(dtype, steps, values):
    with pytest.raises(ValueRangeError, match=f"{dtype} (is coarse|has [12] number)") as caught:
        told(steps, dtype, *values)
    assert "store.dtype" in caught.value.advice


@pytest.mark.parametrize("dtype", DTYPES)
def test_constant_images_and_masks_of_whole_numbers_do_not_vanish(dtype):
    for values in ((0.0, 0.0), (1.0, 1.0), (7.0, 7.0), (0.0, 1.0)):
        assert told([], dtype, *values, whole=True) == []
    assert told([{"zscore": {}}], dtype, 5, 5) == ["W_PRECISION"] * (dtype == "int16")
    assert told([], "float32", 1e9, np.nextafter(np.float32(1e9), np.float32(2e9))) == []


@given(
    st.sampled_from(["float16", "int16"]),
    st.floats(-30000, 30000) | st.floats(-3, 3),
    st.floats(0, 3) | st.floats(0, 1e-3),
)
def test_the_numbers_left_are_those_that_numpy_leaves(dtype, low, width):
    high = low + width
    dense = np.linspace(low, high, 40001)
    stored = (np.rint(dense) if dtype == "int16" else dense).astype(dtype)
    left = len(set(stored.tolist()))  # NumPy 2.4 sorts some arrays of float16 wrongly
    counted = numbers_between(low, high, dtype)
    assert left <= counted
    if counted < 2000:
        assert left == counted


def image_of(dtype: str, array: np.ndarray) -> tuple[np.ndarray, list[str]]:
    files = Files()
    case, config = Case("a", (files.add("a", array),)), config_of({"store": {"dtype": dtype}})
    done, findings = computed(files, case, config)
    return np.asarray(done.image), [item.code for item in findings]


def test_whole_numbers_in_files_of_fractions_are_whole():
    """A mask and a CT stored as float32 lose nothing in int16, and are told in float16 where they do."""
    mask = np.random.default_rng(0).integers(0, 2, (5, 6, 7)).astype("f4")
    scan = np.random.default_rng(0).integers(-1024, 3071, (5, 6, 7)).astype("f4")
    scan[0, 0, 0] = np.nan
    for array in (mask, scan):
        image, codes = image_of("int16", array)
        known = np.isfinite(array)
        assert codes == []
        np.testing.assert_array_equal(image[known], array[known])
    assert image_of("float16", scan)[1] == ["W_PRECISION"]
    assert image_of("int16", scan + np.float32(0.25))[1] == ["W_PRECISION"]
    assert are_whole(scan)
    assert not are_whole(mask + np.float32(0.5))
