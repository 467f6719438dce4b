"""Sandboxes that leave their process to one another."""

import os
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from gpuprep.io.rules import ReadRules
from gpuprep.io.sandbox.parent import Sandbox
from gpuprep.io.sandbox.process import process_kept
from gpuprep.values.case import Source

RULES = ReadRules()


@pytest.fixture
def source(tmp_path: Path) -> Source:
    path = str(tmp_path / "a.nii.gz")
    sitk.WriteImage(sitk.GetImageFromArray(np.arange(60, dtype=np.int16).reshape(3, 4, 5)), path)
    return Source(path)


def read_once(source: Source, rules: ReadRules = RULES) -> int:
    """The process that read."""
    with Sandbox(rules) as sandbox:
        assert int(sandbox.read(source).volumes[0].array.sum()) == 59 * 30
        assert sandbox.pid is not None
        return sandbox.pid


def lives(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def test_a_sound_process_goes_on_until_the_block_ends(source: Source, tmp_path: Path) -> None:
    with process_kept():
        first = read_once(source)
        inside = replace(RULES, roots=(str(tmp_path),), policy={"W_FLAT": "fix"})
        assert read_once(source) == read_once(source, inside) == first
        assert lives(first)
    assert not lives(first)
    assert not lives(read_once(source))


def test_other_rules_get_a_process_of_their_own(source: Source) -> None:
    with process_kept():
        first = read_once(source)
        second = read_once(source, ReadRules(memory_bytes=300_000_000))
        assert second != first
        assert not lives(first)
    assert not lives(second)


def test_a_process_that_died_meanwhile_is_replaced(source: Source) -> None:
    with process_kept():
        first = read_once(source)
        os.kill(first, signal.SIGKILL)
        os.waitid(os.P_PID, first, os.WEXITED | os.WNOWAIT)
        assert read_once(source) != first


def test_two_at_one_time_have_two_processes(source: Source) -> None:
    with process_kept(), Sandbox(RULES) as one, Sandbox(RULES) as other:
        one.read(source)
        other.read(source)
        assert one.pid != other.pid
