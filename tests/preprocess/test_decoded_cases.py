"""Decoded cases kept for the next pass: equal bytes from them, and none of them where anything differs."""

import os
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
from support.kept_cases import (
    Counting,
    config_of,
    entries,
    kept_once,
    same,
    taken,
    task_of,
    write_case,
)

from gpuprep.config.model import Run
from gpuprep.preprocess import decoded_cases
from gpuprep.preprocess.decoded_cases import KeptCase
from gpuprep.preprocess.pipeline import run_case
from gpuprep.preprocess.task import CaseTask
from gpuprep.values.agreement import Agreement
from gpuprep.values.case import Case
from gpuprep.values.errors import InputError


@pytest.fixture(autouse=True)
def _pays(monkeypatch):
    """Cases as small as these are read in no time."""
    monkeypatch.setattr(decoded_cases, "_PAYS", 0.0)


def test_the_second_pass_reads_no_file_and_has_all_of_the_case(tmp_path):
    task, config = task_of(tmp_path, write_case(tmp_path / "in")), config_of(tmp_path)
    first, found, reads = taken(task, config)
    again, found_again, reads_again = taken(task, config)
    assert (reads, reads_again) == (3, 0)
    same(first, again)
    assert found.items == found_again.items
    assert [item.code for item in found.items] == ["W_LABEL_FLOAT"]
    assert (tmp_path / "scratch").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("threads", [1, 3])
def test_stored_cases_are_equal_byte_for_byte(tmp_path, threads):
    case = write_case(tmp_path / "in")
    steps = {
        "resample": {"spacing": [1.0, 1.0, 2.0], "interpolation": "cubic"},
        "intensity": [{"zscore": {"over": "image"}}],
        "crop": {"to": "label"},
    }
    records, stored = [], []
    for name, reads in (("plain", 3), ("first", 3), ("second", 0)):
        output, reader = tmp_path / name, Counting()
        output.mkdir()
        config = config_of(tmp_path, image=steps)
        if name == "plain":
            config = config.model_copy(
                update={"run": config.run.model_copy(update={"scratch": None})}
            )
        record = run_case(CaseTask(case, str(output), "digest", threads=threads), config, reader)
        assert reader.reads == reads
        records.append({**record, "timings": {}, "written": ""})
        files = [file for file in (output / "cases").rglob("*") if file.is_file()]
        stored.append(
            {
                str(file.relative_to(output)): file.read_bytes()
                for file in files
                if file.name not in ("record.json", "zarr.json")
            }
        )
    assert records[0] == records[1] == records[2]
    assert stored[0] == stored[1] == stored[2]
    assert len(stored[0]) > 1


def test_losses_of_a_regridded_label_are_kept(tmp_path):
    """What the label lost on the way to the image's grid counts for what it loses later."""
    case = write_case(tmp_path / "in")
    path = case.labels[0].sources[0].path
    label = nibabel.load(path)
    moved = label.affine.copy()
    moved[2, 3] -= 2.5 * 3
    big = np.asarray(label.dataobj).astype(np.uint8)
    big[:, :, 25:] = 1
    nibabel.save(nibabel.Nifti1Image(big, moved), path)
    rules = {"input": {"policy": {"E_SHAPE_MISMATCH": "fix"}}, "label": {"loss": 0.5}}
    task, config = task_of(tmp_path, case), config_of(tmp_path, **rules)
    first, found, _ = taken(task, config)
    again, found_again, reads = taken(task, config)
    assert reads == 0
    assert 0.5 < first.losses.kept["segmentation"] < 1
    same(first, again)
    assert "W_LABEL_LOST" in [item.code for item in found_again.items]
    assert found.items == found_again.items


def change_time(tmp_path: Path, case: Case) -> None:
    os.utime(case.labels[0].sources[0].path, ns=(1, 2))


def link_elsewhere(tmp_path: Path, case: Case) -> None:
    (file,) = entries(tmp_path)
    file.rename(tmp_path / "elsewhere")
    file.symlink_to(tmp_path / "elsewhere")


def cut(tmp_path: Path, case: Case) -> None:
    (file,) = entries(tmp_path)
    os.truncate(file, file.stat().st_size - 1)


def of_another_case(tmp_path: Path, case: Case) -> None:
    (file,) = entries(tmp_path)
    taken(task_of(tmp_path, write_case(tmp_path / "in", "b", 1)), config_of(tmp_path))
    (other,) = set(entries(tmp_path)) - {file}
    other.replace(file)


@pytest.mark.parametrize("harm", [change_time, link_elsewhere, cut, of_another_case])
def test_what_is_stale_foreign_or_cut_is_as_good_as_none(tmp_path, harm):
    task, config, file = kept_once(tmp_path)
    harm(tmp_path, task.case)
    assert taken(task, config)[2] == 3
    assert not file.is_symlink()
    assert taken(task, config)[2] == 0  # it was kept anew


def test_no_flipped_bit_goes_unnoticed(tmp_path):
    task, config, file = kept_once(tmp_path)
    whole = file.read_bytes()
    ends = [0, len(whole) * 8 - 1, (len(whole) - 20) * 8]
    for place in [*ends, *np.random.default_rng(0).integers(0, len(whole) * 8, 100)]:
        harmed = bytearray(whole)
        harmed[place // 8] ^= 1 << place % 8
        file.write_bytes(harmed)
        assert KeptCase(task, config).take() is None, place
        assert not file.exists()
    file.write_bytes(whole)
    assert KeptCase(task, config).take() is not None


@pytest.mark.parametrize(
    "other",
    [
        {"image": {"orientation": "RAS"}},
        {"image": {"resample": {"interpolation": "linear"}}},
        {"input": {"policy": {"W_PADDING": "skip"}}},
        {"input": {"grid_tolerance": 0.5}},
        {"input": {"limits": {"voxels": 10**6}}},
        {"label": {"map": {2: 1}}},
        {"label": {"loss": 0.5}},
    ],
    ids=str,
)
def test_another_way_of_reading_reads_the_files(tmp_path, other):
    task, _, _ = kept_once(tmp_path)
    assert taken(task, config_of(tmp_path, **other))[2] == 3
    assert len(entries(tmp_path)) == 2


def test_what_is_done_after_reading_does_not_matter(tmp_path):
    task, _, _ = kept_once(tmp_path)
    later = {"resample": {"spacing": [2, 2, 2]}, "crop": {"to": "nonzero"}}
    config = config_of(tmp_path, image=later)
    assert taken(replace(task, digest="other", kind="measure"), config)[2] == 0
    agreed = replace(task, agreement=Agreement(("pet", "ct")))
    assert taken(agreed, config)[2] == 3


def test_a_case_that_is_to_be_refused_is(tmp_path):
    task, _, _ = kept_once(tmp_path)
    strict = config_of(tmp_path, input={"policy": {"W_LABEL_FLOAT": "error"}})
    with pytest.raises(InputError, match="W_LABEL_FLOAT"):
        taken(task, strict)


def test_a_case_serves_configs_with_and_without_a_mark_outside(tmp_path):
    """As a fingerprint and nnU-Net's arrays are, of one read."""
    task, _, _ = kept_once(tmp_path)
    marked = config_of(tmp_path, label={"outside": -1})
    plain = marked.model_copy(update={"run": Run()})
    first, _, _ = taken(task, plain)
    again, _, reads = taken(task, marked)
    assert reads == 0
    same(first, again)
