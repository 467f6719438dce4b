"""Taking an output: what a power cut left of one is mended, or refused with a way out."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import nibabel
import numpy as np
import pytest
import zarr
from support.cohorts import run, run_told
from typer.testing import CliRunner

import gpuprep
from gpuprep.cli.app import app
from gpuprep.config.file import parse_config
from gpuprep.host import atomic
from gpuprep.ledger.claim import claim
from gpuprep.store.layout import OUTPUT_ENTRIES, case_folder
from gpuprep.store.record import read_record, write_record
from gpuprep.store.verify import verify_cohort
from gpuprep.values.errors import UsageError

pytestmark = pytest.mark.usefixtures("reads_here")

PLAIN: dict[str, object] = {}
ZSCORE = {"image": {"intensity": [{"zscore": {"over": "cohort"}}]}}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two small volumes."""
    folder = tmp_path_factory.mktemp("source")
    for number, name in enumerate("ab"):
        voxels = np.random.default_rng(number).normal(size=(6, 7, 8)).astype(np.float32)
        nibabel.save(nibabel.Nifti1Image(voxels, np.eye(4)), folder / f"{name}.nii.gz")
    return folder


@pytest.fixture(scope="module")
def finished(source: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A finished output of a config without and one with statistics of the cohort."""
    made = {}
    for name, config in (("plain", PLAIN), ("cohort", ZSCORE)):
        made[name] = tmp_path_factory.mktemp(name) / "out"
        assert run(source, made[name], config).exit_code == 0
    return made


@pytest.fixture
def copied(finished, tmp_path):
    def copy(name: str) -> Path:
        return Path(shutil.copytree(finished[name], tmp_path / "out"))

    return copy


def test_all_that_a_run_leaves_is_known_by_name(finished):
    for out in finished.values():
        assert {path.name for path in out.iterdir() if path.name[0] != "."} <= OUTPUT_ENTRIES


def test_everything_on_the_way_to_a_case_is_on_the_disk(tmp_path, monkeypatch):
    synced: list[tuple[Path, frozenset[str]]] = []

    def note(path: Path) -> None:
        inside = path.iterdir() if path.is_dir() else ()
        synced.append((path, frozenset(entry.name for entry in inside)))

    monkeypatch.setattr(atomic, "fsync_path", note)
    monkeypatch.setattr("gpuprep.ledger.claim.fsync_path", note)
    claim(tmp_path / "a/b/out", parse_config(PLAIN), overwrite=False)
    out = tmp_path / "a/b/out"
    for folder, entries in (
        (tmp_path, {"a"}),
        (tmp_path / "a", {"b"}),
        (tmp_path / "a/b", {"out"}),
        (out, {"gpuprep.json", "zarr.json", "cases"}),
        (out / "cases", {"zarr.json"}),
    ):
        assert any(path == folder and entries <= inside for path, inside in synced), folder


@pytest.mark.parametrize("text", [None, b"", b"\0" * 400, b'{"digest": "ab', b"[]", b"\xff\xfe{"])
@pytest.mark.parametrize(("name", "config"), [("plain", PLAIN), ("cohort", ZSCORE)])
def test_a_lost_config_is_restored_where_the_records_agree(source, copied, text, name, config):
    out = copied(name)
    whole = (out / "gpuprep.json").read_bytes()
    (out / "gpuprep.json").unlink()
    if text is not None:
        (out / "gpuprep.json").write_bytes(text)
    report, told = run_told(source, out, config)
    assert report.exit_code == 0
    assert report.finished.skipped == 2
    (note,) = (line for line in told if "gpuprep.json" in line)
    assert "restored: the records of all 2 cases agree" in note
    assert (out / "gpuprep.json").read_bytes() == whole
    assert verify_cohort(out, full=True) == []


def test_records_of_another_config_or_none_have_a_way_out(source, copied):
    out = copied("cohort")
    (out / "gpuprep.json").write_bytes(b"")
    record = read_record(case_folder(out, "a"))
    del record["config_digest"]  # as of an older version
    write_record(case_folder(out, "a"), record)
    with pytest.raises(UsageError, match="0 of its cases are of this config, 1 of another, and 1"):
        run(source, out, PLAIN)
    with pytest.raises(
        UsageError, match=r"is damaged, .* 1 of its cases .* 0 of another"
    ) as refused:
        run(source, out, ZSCORE)
    assert "--overwrite" in str(refused.value.advice)
    report, told = run_told(source, out, ZSCORE, overwrite=True)
    assert report.exit_code == 0
    assert any("cases are made anew" in line for line in told)
    assert verify_cohort(out, full=True) == []


@pytest.mark.parametrize(
    "left", [("zarr.json",), ("cases",), ("cases", "cases/.zarr.json.1.2"), ("zarr.json", "cases")]
)
def test_what_a_broken_claim_left_is_taken(source, tmp_path, left):
    for name in left:
        path = tmp_path / "out" / name
        path.parent.mkdir(exist_ok=True)
        path.mkdir() if name == "cases" else path.touch()
    assert run(source, tmp_path / "out", PLAIN).exit_code == 0
    assert verify_cohort(tmp_path / "out") == []


@pytest.mark.parametrize(
    "left",
    [
        {"notes.txt": "mine"},
        {"logs/run.jsonl": ""},
        {"cases/patient/scan.nii": ""},
        {"cases/a.zarr/zarr.json": ""},
        {"zarr.json": json.dumps({"zarr_format": 3, "node_type": "group", "attributes": {"x": 1}})},
        {"zarr.json": "", "0/c/0": ""},
    ],
)
def test_what_others_left_is_not(source, tmp_path, left):
    for name, text in left.items():
        (tmp_path / "out" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "out" / name).write_text(text)
    with pytest.raises(UsageError, match="holds no gpuprep cohort"):
        run(source, tmp_path / "out", PLAIN)


def test_a_claim_alone_disowns_no_case(copied):
    out = copied("cohort")
    claim(out, parse_config(ZSCORE), overwrite=False)
    assert verify_cohort(out, full=True) == []


def test_cases_of_earlier_statistics_are_whole_and_not_current(copied):
    out = copied("cohort")
    claim(out, parse_config({**ZSCORE, "store": {"chunk": 16}}), overwrite=True)
    assert {problem.kind for problem in verify_cohort(out, full=True)} == {"not current"}
    printed = CliRunner().invoke(app, ["verify", str(out)])
    assert printed.exit_code == 1
    assert "damaged" not in printed.output
    assert "2 of them not current: run again" in " ".join(printed.output.split())


def test_hidden_files_beside_the_cases_are_no_cases_and_go(source, copied):
    out = copied("plain")
    for name in ("cases/.zarr.json.12.34", "cases/.zarr.json.partial", ".gpuprep.json.partial"):
        (out / name).write_bytes(b"{")
    (out / "cases/.mine").touch()
    assert verify_cohort(out) == []
    assert list(gpuprep.open(out)) == ["a", "b"]
    assert run(source, out, PLAIN).exit_code == 0
    hidden = {path.name for path in (*out.glob(".*"), *out.glob("cases/.*"))}
    assert hidden == {".gpuprep", ".staging", ".mine"}


@pytest.mark.parametrize("torn", [b"", b"\0\0\0", b"{}", b'{"zarr_format": 3, "node_'])
@pytest.mark.parametrize("name", ["zarr.json", "cases/zarr.json"])
def test_torn_groups_are_told_and_mended(source, copied, name, torn):
    out = copied("plain")
    (out / name).write_bytes(torn)
    assert [(found.case, found.file) for found in verify_cohort(out)] == [("", name)]
    assert run(source, out, PLAIN).exit_code == 0
    assert verify_cohort(out) == []
    assert sorted(zarr.open(out)["cases"]) == ["a.zarr", "b.zarr"]


def test_a_group_with_attributes_of_the_user_stays(source, copied):
    out = copied("plain")
    zarr.open_group(out, mode="r+").attrs["mine"] = 1
    assert run(source, out, PLAIN).exit_code == 0
    assert zarr.open(out).attrs["mine"] == 1
