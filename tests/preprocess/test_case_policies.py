"""Every finding that comes up after reading, under every policy: what the guide's table says, or refused."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest
from support.hostile import MAKERS
from support.in_memory import Files, computed, config_of

from gpuprep.values.agreement import Agreement, Classes
from gpuprep.values.case import Case, LabelSource, Source
from gpuprep.values.codes import CODES
from gpuprep.values.errors import ConfigError, InputError
from gpuprep.values.findings import Finding, default_policy
from gpuprep.values.geometry import Geometry

SHAPE = (6, 7, 8)
GRID = Geometry(SHAPE, (1.0, 1.0, 2.0), (5.0, 6.0, 7.0))
IMAGE = np.arange(336, dtype=np.int16).reshape(SHAPE) + 1
LIVER = Classes({1: "liver"})


class Situation(NamedTuple):
    """A case that brings up one code, with what else has to be set."""

    files: Files
    case: Case
    tree: dict = {}  # noqa: RUF012  (read only)
    agreement: Agreement = Agreement()
    also: dict = {}  # noqa: RUF012  policies of other codes on the way


def labelled(
    label: np.ndarray, grid: Geometry = GRID, classes: Classes | None = None, **more
) -> Situation:
    files = Files()
    files.add("image", IMAGE, grid=GRID)
    entry = LabelSource((files.add("label", label, grid=grid),), classes=classes or Classes())
    return Situation(files, Case("a", (Source("image"),), (entry,)), **more)


def alone(**more) -> Situation:
    files = Files()
    return Situation(
        files, Case("a", (files.add("image", more.pop("image", IMAGE), grid=GRID),)), **more
    )


def two_channels(grid: Geometry, **more) -> Situation:
    files = Files()
    sources = (files.add("T1", IMAGE, grid=GRID), files.add("T2", IMAGE, grid=grid))
    return Situation(files, Case("a", sources), **more)


def structures(*masks: np.ndarray, **more) -> Situation:
    files = Files()
    files.add("image", IMAGE, grid=GRID)
    sources = tuple(
        Source(files.add(f"s{n}", mask, grid=GRID).path, name=f"s{n}")
        for n, mask in enumerate(masks)
    )
    names = Classes({n + 1: f"s{n}" for n in range(len(masks))})
    return Situation(
        files, Case("a", (Source("image"),), (LabelSource(sources, classes=names),)), **more
    )


def some(dtype: type = np.uint8) -> np.ndarray:
    label = np.zeros(SHAPE, dtype)
    label[1:4, 1:4, 1:4] = 1
    return label


def moved(x: float) -> Geometry:
    return Geometry(SHAPE, GRID.spacing, (GRID.origin[0] + x, *GRID.origin[1:]))


def halves() -> np.ndarray:
    label = some(np.float32)
    label[0, 0, 0] = 0.75
    return label


def at_the_edge(number: int) -> np.ndarray:
    """Many labelled voxels inside, and some in the last column, which a shift by one takes outside."""
    label = np.ones(SHAPE, np.uint8)
    label[..., -1] = 0
    label.reshape(-1, SHAPE[2])[:number, -1] = 1
    return label


def agreed(names: dict[int, str]) -> Agreement:
    return Agreement((), {"segmentation": Classes(names)})


OVER = {"E_SHAPE_MISMATCH": "fix"}
IN_FLOAT32 = {"store": {"dtype": "float32"}}
SITUATIONS: dict[str, Callable[[], Situation]] = {
    "E_SHAPE_MISMATCH": lambda: labelled(some(), moved(2.0)),
    "E_AFFINE_LOST": lambda: labelled(
        some(), Geometry(SHAPE), also={**OVER, "E_LABEL_LOST": "warn"}
    ),
    "E_CHANNELS": lambda: alone(agreement=Agreement(("T1", "T2"))),
    "E_LABEL_MISSING": lambda: alone(tree={"label": {"required": True}}),
    "E_LABEL_VALUES": lambda: labelled(halves()),
    "E_LABEL_UNDECLARED": lambda: labelled(some() * np.uint8(9), classes=LIVER),
    "E_LABEL_LOST": lambda: labelled(at_the_edge(30), moved(1.0), also=OVER),
    "W_LABEL_LOST": lambda: labelled(at_the_edge(2), moved(1.0), also=OVER),
    "W_LABEL_VANISHED": lambda: labelled(
        some() * np.uint8(2), tree={"image": {"resample": {"shape": [1, 1, 1]}}}
    ),
    "W_LABEL_MAPPED": lambda: labelled(some(), tree={"label": {"map": {1: 4}}}),
    "W_LABEL_RENUMBERED": lambda: labelled(
        some(), classes=LIVER, agreement=agreed({1: "skin", 2: "liver"})
    ),
    "E_LABEL_UNNAMED": lambda: labelled(some(), agreement=agreed({1: "liver"})),
    "W_LABEL_ABSENT": lambda: alone(agreement=agreed({1: "liver"})),
    "W_LABEL_PARTIAL": lambda: structures(some(), agreement=agreed({1: "s0", 2: "s1"})),
    "W_LABEL_OVERLAP": lambda: structures(some(), some()),
    "W_LABEL_FLOAT": lambda: labelled(some(np.float32)),
    "W_LABEL_EMPTY": lambda: labelled(some() * np.uint8(0)),
    "W_LABEL_REGRID": lambda: labelled(some(), moved(2.0), also=OVER),
    "W_CHANNEL_REGRID": lambda: two_channels(moved(2.0), also=OVER),
    "W_GEOMETRY_TOLERANCE": lambda: labelled(some(), moved(0.005)),
    "W_EMPTY_FOREGROUND": lambda: alone(
        image=IMAGE - IMAGE, tree={"image": {"crop": {"to": "nonzero"}}}
    ),
    "W_CONSTANT": lambda: alone(
        tree={"image": {"intensity": [{"clip": {"low": 9e4, "high": 1e5}}]}, **IN_FLOAT32}
    ),
    "W_PRECISION": lambda: alone(image=IMAGE * np.int16(90), tree={"store": {"dtype": "float16"}}),
    "E_REFERENCE": lambda: alone(
        tree={
            "image": {
                "resample": {
                    "reference": {
                        "grid": {
                            "shape": [2, 2, 2],
                            "spacing": [1, 1, 1],
                            "origin": [900, 0, 0],
                            "direction": [1, 0, 0, 0, 1, 0, 0, 0, 1],
                        }
                    }
                }
            }
        }
    ),
    "W_ROUNDED": lambda: alone(tree={"store": {"keep_bits": 3}}),
}
CELLS = [
    (code, policy)
    for code in SITUATIONS
    for policy in ("error", "warn", "skip", "fix")
    if CODES[code].takes(policy)
]


def outcome(code: str, policy: str) -> tuple[dict[str, np.ndarray], list[Finding]]:
    """The arrays that would be stored under a policy for one code, and the findings of that code."""
    files, case, tree, agreement, also = SITUATIONS[code]()
    asked = {**also, code: policy}
    config = config_of({**tree, "input": {"policy": asked}})
    result, findings = computed(files, case, config, agreement)
    arrays = {"image": np.asarray(result.image), **result.labels}
    return arrays, [item for item in findings if item.code == code]


def test_every_code_is_tried_here_or_with_the_readers() -> None:
    assert set(SITUATIONS) | set(MAKERS) == set(CODES)


@pytest.mark.parametrize("code", SITUATIONS)
def test_the_first_letter_says_what_happens_by_default(code: str) -> None:
    files, case, tree, agreement, also = SITUATIONS[code]()
    config = config_of({**tree, "input": {"policy": {k: v for k, v in also.items() if k != code}}})
    if default_policy(code) == "warn":
        _, findings = computed(files, case, config, agreement)
        assert code in {item.code for item in findings}
        return
    with pytest.raises(InputError) as refused:
        computed(files, case, config, agreement)
    assert refused.value.code == code


@pytest.mark.parametrize(("code", "policy"), CELLS)
def test_every_cell_of_the_table_does_what_it_says(code: str, policy: str) -> None:
    if policy == "error":
        with pytest.raises(InputError) as refused:
            outcome(code, policy)
        assert refused.value.code == code
        return
    arrays, findings = outcome(code, policy)
    if policy == "skip":
        assert not findings
        warned, _ = outcome(code, "warn")
        for name, array in arrays.items():
            np.testing.assert_array_equal(array, warned[name])
        return
    assert {item.severity for item in findings} == {policy}


@pytest.mark.parametrize("code", SITUATIONS)
@pytest.mark.parametrize("policy", ["warn", "skip", "fix"])
def test_what_the_table_refuses_the_config_refuses(code: str, policy: str) -> None:
    if CODES[code].takes(policy):
        return
    with pytest.raises(ConfigError, match=f"'{policy}' does nothing for {code}"):
        config_of({"input": {"policy": {code: policy}}})


def test_the_repairs_repair() -> None:
    index, _ = outcome("E_AFFINE_LOST", "fix")
    np.testing.assert_array_equal(index["segmentation"], some())
    over, _ = outcome("E_SHAPE_MISMATCH", "fix")
    np.testing.assert_array_equal(over["segmentation"][..., 2:], some()[..., :-2])
    rounded, _ = outcome("E_LABEL_VALUES", "fix")
    np.testing.assert_array_equal(rounded["segmentation"], np.rint(halves()))
