"""Errors and findings: pickling, kinds, the policy."""

import pickle

import pytest

from gpuprep.values import errors
from gpuprep.values.codes import CODES
from gpuprep.values.failure import FailureCode
from gpuprep.values.findings import Finding, Findings, default_policy


def tree(cls):
    return [cls, *(leaf for child in cls.__subclasses__() for leaf in tree(child))]


@pytest.mark.parametrize("cls", tree(errors.GpuprepError), ids=lambda cls: cls.__name__)
def test_every_error_survives_pickling(cls):
    arguments = ("E_TRUNCATED",) if cls is errors.InputError else ()
    error = cls(*arguments, "what happened", advice="what to do")
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is cls
    assert str(again) == str(error)
    assert again.__dict__ == error.__dict__
    assert again.args == (error.message,)


def test_every_error_is_drawn_in_the_docstring():
    for cls in tree(errors.GpuprepError):
        assert cls.__name__ in errors.__doc__


def test_policy_decides_between_error_warning_fix_and_silence():
    findings = Findings({"E_TILT": "error", "E_SLICE_DUP": "fix", "W_4D": "skip"})
    with pytest.raises(errors.InputError, match="E_TILT: tilted"):
        findings.report("E_TILT", "tilted", path="a", degrees=3.0)
    assert findings.report("E_SLICE_DUP", "twice") == "fix"
    assert findings.report("W_4D", "channels") == "skip"
    assert findings.report("W_NAN", "3 voxels", voxels=3) == "warn"
    assert [item.code for item in findings.items] == ["E_SLICE_DUP", "W_NAN"]
    assert findings.items[1].values == {"voxels": 3}
    assert Finding.from_json(findings.items[1].to_json()) == findings.items[1]


def test_defaults_follow_the_prefix_and_unknown_codes_are_bugs():
    assert {code: default_policy(code) for code in CODES} == {
        code: "error" if code.startswith("E_") else "warn" for code in CODES
    }
    with pytest.raises(KeyError):
        Findings().report("E_NOPE", "")


def test_every_kind_of_error_has_a_failure_code():
    told_elsewhere = {errors.GpuprepError, errors.InputError, errors.ServiceError}
    kinds = {each.kind for each in tree(errors.GpuprepError) if each not in told_elsewhere}
    assert {kind.upper() for kind in kinds} <= set(FailureCode.__members__)
    assert not set(FailureCode) & set(CODES)
