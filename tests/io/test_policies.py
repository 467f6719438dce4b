"""Every code that readers raise, under every policy: it does what its row says, or the config refuses it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from pydantic import ValidationError
from support.hostile import ALWAYS_FAIL, MAKERS

import gpuprep.io
from gpuprep.config.image import Image
from gpuprep.config.input import Input
from gpuprep.config.model import Config
from gpuprep.io.reader import read
from gpuprep.io.rules import ReadRules
from gpuprep.io.scan import Scan
from gpuprep.values.case import Sister, Source
from gpuprep.values.codes import CODES, Policy
from gpuprep.values.errors import InputError
from gpuprep.values.findings import Findings, default_policy

INPUTS = [(code, at) for code, makers in MAKERS.items() for at in range(len(makers))]
IDS = [f"{code}-{at}" for code, at in INPUTS]


def loaded(path: Path, code: str, policy: Policy) -> Scan:
    asking = Image(intensity=({"suv": "bodyweight"},))
    reader = "itk" if code == "E_ITK" else "checked"
    rules = ReadRules.of(Config(input=Input(policy={code: policy}, reader=reader), image=asking))
    image = path.parent / "ct"  # beside what was drawn on it
    drawn_on = Source(str(image)) if image.is_dir() else None
    sister = Sister("b0", 20) if code == "W_SHORT_VOLUME" else None
    told = {"spacing": (1.0, 1.0, 2.0), "drawn_on": drawn_on, "sister": sister}
    return read(Source(str(path), **told), rules)


def severities(scan: Scan, code: str) -> set[str]:
    return {item.severity for item in scan.findings if item.code == code}


def test_no_code_of_a_reader_is_left_out():
    texts = [path.read_text() for path in Path(gpuprep.io.__path__[0]).rglob("*.py")]
    raised = {code for text in texts for code in re.findall(r'"([EW]_[A-Z0-9_]+)"', text)}
    assert raised == set(MAKERS)
    assert raised <= set(CODES)


def test_the_first_letter_alone_says_what_a_code_does_by_default():
    for code in CODES:
        assert default_policy(code) == {"E": "error", "W": "warn"}[code[0]]
        assert (
            ReadRules().findings().policy(code) == Findings().policy(code) == default_policy(code)
        )


@pytest.mark.parametrize(("code", "at"), INPUTS, ids=IDS)
def test_error_refuses_the_input_by_its_code(tmp_path, code, at):
    path = MAKERS[code][at](tmp_path)
    with pytest.raises(InputError) as error:
        loaded(path, code, "error")
    assert error.value.code == code
    assert str(tmp_path) in error.value.path
    assert f"{code}: error" not in error.value.advice


@pytest.mark.parametrize("code", MAKERS)
@pytest.mark.parametrize("policy", get_args(Policy))
def test_what_a_row_does_not_say_is_refused_by_the_config(code, policy):
    if CODES[code].takes(policy):
        assert Config(input=Input(policy={code: policy})).input.policy == {code: policy}
        return
    with pytest.raises(ValidationError, match=f"'{policy}' does nothing for {code} "):
        Input(policy={code: policy})


@pytest.mark.parametrize(
    ("code", "at"), [case for case in INPUTS if CODES[case[0]].allowed], ids=str
)
def test_warn_goes_on_and_tells_and_skip_does_the_same_in_silence(tmp_path, code, at):
    path = MAKERS[code][at](tmp_path)
    warned, skipped = loaded(path, code, "warn"), loaded(path, code, "skip")
    assert severities(warned, code) == {"warn"}
    assert severities(skipped, code) == set()
    assert warned.geometry == skipped.geometry
    assert not warned.geometry.sheared
    assert warned.stack is skipped.stack is None
    for one, other in zip(warned.volumes, skipped.volumes, strict=True):
        np.testing.assert_array_equal(one.array, other.array)
    for item in warned.findings:
        assert f"{code}: warn" not in item.advice
    others = [[item for item in scan.findings if item.code != code] for scan in (warned, skipped)]
    assert others[0] == others[1]


@pytest.mark.parametrize(("code", "at"), [case for case in INPUTS if CODES[case[0]].fixed], ids=str)
def test_fix_repairs_and_tells(tmp_path, code, at):
    scan = loaded(MAKERS[code][at](tmp_path), code, "fix")
    assert severities(scan, code) == {"fix"}
    REPAIRED[code](scan)
    for item in scan.findings:
        assert f"{code}: fix" not in item.advice


@pytest.mark.parametrize("code", ALWAYS_FAIL)
def test_the_rest_of_a_code_fails_under_every_policy(tmp_path, code):
    for at, make in enumerate(ALWAYS_FAIL[code]):
        (tmp_path / str(at)).mkdir()
        path = make(tmp_path / str(at))
        for policy in ("error", "warn", "skip"):
            with pytest.raises(InputError) as error:
                loaded(path, code, policy)
            assert error.value.code == code


def straightened(scan: Scan) -> None:
    assert scan.geometry.sheared
    assert scan.stack is not None
    assert not scan.stack.geometry.sheared
    assert scan.stack.geometry.shape[0] == scan.geometry.shape[0]


def filled(scan: Scan) -> None:
    assert scan.stack is not None
    assert scan.stack.geometry.shape[0] == 6
    assert scan.stack.geometry.spacing[2] == 2.0


def kept_alike(scan: Scan) -> None:
    assert scan.geometry.shape in ((5, 4, 5), (3, 4, 5))
    assert scan.stack is None


def lines_of_their_own(scan: Scan) -> None:
    starts = scan.volumes[0].array[:, 0, 0]
    np.testing.assert_array_equal(starts, [100 * n * (n + 1) for n in range(5)])


def copies_dropped(scan: Scan) -> None:
    assert scan.geometry.shape[0] == 5
    assert scan.geometry.spacing[2] == 2.0


def as_thick_as_nnunet_has_it(scan: Scan) -> None:
    x, y, z = scan.geometry.spacing
    assert (scan.geometry.shape[0], z) == (1, 999 * max(x, y))


def inverted(scan: Scan) -> None:
    starts = scan.volumes[0].array[:, 0, 0]
    np.testing.assert_array_equal(starts, [65_535 - 100 * n for n in range(5)])


def grey(scan: Scan) -> None:
    assert scan.volumes[0].array[0].tolist() == [[0, 1, 2], [3, 4, 5]]


def read_by_the_checked_reader(scan: Scan) -> None:
    assert "reader" not in scan.header
    assert np.isnan(scan.volumes[0].array).any()


REPAIRED = {
    "E_ITK": read_by_the_checked_reader,
    "E_COLOURS": grey,
    "W_MONOCHROME1": inverted,
    "W_FLAT": as_thick_as_nnunet_has_it,
    "E_SHEAR": straightened,
    "E_TILT": straightened,
    "E_SLICE_GAP": filled,
    "E_MIXED_SERIES": kept_alike,
    "E_MIXED_RESCALE": lines_of_their_own,
    "E_SLICE_DUP": copies_dropped,
}


def test_every_repair_has_its_check():
    assert {code for code in MAKERS if CODES[code].fixed} == set(REPAIRED)
