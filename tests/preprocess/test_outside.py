"""``label.outside``: background outside the foreground as a value of its own, which is no class."""

import numpy as np
import pytest
from scipy.ndimage import binary_fill_holes
from support.in_memory import Files, computed, config_of, put_together

from gpuprep.config.file import parse_config
from gpuprep.preprocess.compute import Computed
from gpuprep.preprocess.outside import dtype_with
from gpuprep.values.case import Case, LabelSource
from gpuprep.values.errors import ConfigError, InputError

SHAPE = (12, 14, 13)
HEAD = np.zeros(SHAPE, np.int16)
HEAD[2:10, 3:11, 2:12] = np.random.default_rng(2).integers(1, 400, (8, 8, 10))
HEAD[4:7, 5:9, 4:8] = 0  # a cavity
HEAD[7:10, 8:11, 9:12] = 0  # a dent
LABEL = np.zeros(SHAPE, np.uint8)
LABEL[3:6, 4:6, 3:6] = 1
LABEL[1, 1:3, 1] = 2  # outside the head


def made(label: np.ndarray = LABEL, outside: int | None = -1, **image) -> Computed:
    files = Files()
    images, labels = (files.add("i", HEAD),), (LabelSource((files.add("l", label),)),)
    foreground = {"where": "nonzero", "fill_holes": True} | image.pop("foreground", {})
    tree = {"image": {"orientation": "keep", "foreground": foreground, **image}}
    config = config_of({**tree, "label": {"outside": outside, "loss": 1.0}})
    return computed(files, Case("c", images, labels), config)[0]


def stored(case: Computed) -> np.ndarray:
    return case.labels["segmentation"]


@pytest.mark.parametrize("fill", [True, False])
def test_background_outside_the_foreground_is_marked(fill: bool) -> None:
    mask = binary_fill_holes(HEAD != 0) if fill else HEAD != 0
    case = made(foreground={"fill_holes": fill})
    expected = np.where((LABEL == 0) & ~mask, -1, LABEL.astype(int))
    np.testing.assert_array_equal(stored(case), expected)
    assert stored(case).dtype == np.int8
    assert case.record["outside"] == {
        "value": -1,
        "voxels": {"segmentation": int((expected == -1).sum())},
    }
    inside = {str(v): int((expected == v).sum()) for v in (0, 1, 2)}
    assert case.record["labels"] == {"segmentation": inside}
    assert not {"W_LABEL_LOST", "W_LABEL_VANISHED"} & {
        row["code"] for row in case.record["findings"]
    }


def test_without_it_nothing_is_marked() -> None:
    case = made(outside=None)
    assert stored(case).dtype == np.uint8
    assert "outside" not in case.record


def test_the_mask_of_the_zscore_takes_in_what_is_labelled() -> None:
    """nnU-Net's ``seg >= 0``: the non-zero mask with its holes filled, or labelled."""
    inside = binary_fill_holes(HEAD != 0) | (LABEL > 0)
    case = made(
        foreground={"where": "nonzero_or_label", "outside": "zero"},
        intensity=[{"zscore": {"over": "foreground"}}],
    )
    values = HEAD.astype(np.float64)
    expected = np.where(inside, (values - values[inside].mean()) / values[inside].std(), 0)
    np.testing.assert_allclose(np.asarray(case.image), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(stored(case) == -1, ~inside)
    assert case.record["statistics"][0]["foreground"] == pytest.approx(inside.mean())


def test_without_a_label_it_is_the_nonzero_mask() -> None:
    files = Files()
    case = Case("c", (files.add("i", HEAD),), ())
    images = []
    for where in ("nonzero", "nonzero_or_label"):
        foreground = {"where": where, "outside": "zero"}
        steps = [{"zscore": {"over": "foreground"}}]
        tree = {"image": {"foreground": foreground, "intensity": steps}, "label": {"outside": -1}}
        images.append(np.asarray(computed(files, case, config_of(tree))[0].image))
    np.testing.assert_array_equal(*images)


def test_it_is_voted_on_inside_the_crop() -> None:
    case = made(crop={"to": "nonzero"}, resample={"shape": [5, 4, 4]})
    assert stored(case).shape == (4, 4, 5)
    assert -1 in stored(case)  # of the dent


def test_beyond_a_reference_there_is_nothing_but_outside() -> None:
    grid = {"shape": [20, 14, 13], "spacing": [1, 1, 1], "origin": [0, 0, -4]}
    grid["direction"] = [1, 0, 0, 0, 1, 0, 0, 0, 1]
    case = made(resample={"reference": {"grid": grid}})
    assert (stored(case)[:4] == -1).all()
    assert (stored(case)[16:] == -1).all()


@pytest.mark.parametrize(
    ("values", "dtype"), [((), "i1"), ((127,), "i1"), ((128,), "i2"), ((40_000,), "i4")]
)
def test_the_map_has_room_for_both(values: tuple[int, ...], dtype: str) -> None:
    assert dtype_with(-1, values) == np.dtype(dtype)
    label = np.zeros(SHAPE, np.uint16)
    label[4, 5, 6] = values[0] if values else 0
    assert stored(made(label)).dtype == np.dtype(dtype)
    assert stored(made(label))[0, 0, 0] == -1


def test_a_map_that_holds_the_value_itself_is_refused() -> None:
    label = LABEL.astype(np.int16)
    label[0, 0, 0] = -1
    with pytest.raises(InputError, match=r"E_LABEL_VALUES: .*holds -1, which label.outside"):
        made(label)
    with pytest.raises(InputError, match=r"E_LABEL_VALUES: .*holds 4000000000"):
        made(LABEL.astype(np.uint32) * 2_000_000_000)


@pytest.mark.parametrize(
    ("label", "told"),
    [
        ({"outside": -1, "only": True}, "label.only"),
        ({"outside": 0}, "outside"),
        ({"outside": 3}, "outside"),
        ({"outside": -2, "names": {"air": -2}}, "outside is -2, which"),
        ({"outside": -2, "map": {5: -2}}, "outside is -2, which"),
    ],
)
def test_a_value_that_is_none_of_its_own_is_refused(label: dict, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        parse_config({"label": label})


def test_a_label_map_is_read_the_same_with_and_without_it() -> None:
    """So that a case which lies decoded serves both."""
    files = Files()
    case = Case("c", (files.add("i", HEAD),), (LabelSource((files.add("l", LABEL),)),))
    plain, marked = (
        put_together(files, case, config_of({"label": {"outside": outside}}))[0]
        for outside in (None, -1)
    )
    assert plain.labels["segmentation"].dtype == marked.labels["segmentation"].dtype == np.uint8
