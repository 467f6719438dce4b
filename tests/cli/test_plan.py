"""The command plan, and run --dry-run: what they show, and which cases they choose."""

import io
import json

import pytest
from rich.console import Console
from support.commands import call
from support.dicom_series import write_series

from gpuprep.cli import work_bar

pytestmark = pytest.mark.usefixtures("reads_here")

SERIAL = ("--scheduler", "serial")


def cases(done):
    return [row["case_id"] for row in json.loads(done.stdout)["cases"]]


def test_a_refusal_names_its_file_and_what_to_do(cohort_folder):
    (cohort_folder / "segmentation-1.nii.gz").write_bytes(b"no gzip")
    shown = call("plan", cohort_folder, check=1).stdout
    assert "refused volume-1  E_UNREADABLE" in shown
    assert f"file: {cohort_folder / 'segmentation-1.nii.gz'}" in shown
    assert "try: " in shown
    assert "3 cases to do, 1 refused" in shown
    (refused,) = json.loads(call("plan", cohort_folder, "--json", check=1).stdout)["refused"]
    assert refused["path"] == str(cohort_folder / "segmentation-1.nii.gz")


def test_only_the_first_unmatched_files_are_shown_and_json_has_all(cohort_folder):
    for number in range(12):
        (cohort_folder / f"note-{number}.txt").write_text("no image")
    shown = call("plan", cohort_folder, check=0).stdout
    assert shown.count("note-") == 5
    assert "… and 7 more" in shown
    assert "12 files of no case" in shown
    told = json.loads(call("plan", cohort_folder, "--json", check=0).stdout)
    assert len(told["unmatched"]) == 12


def test_a_file_gets_the_whole_of_a_long_id(cohort_folder):
    name = "a" * 150
    (cohort_folder / "volume-0.nii.gz").rename(cohort_folder / f"volume-{name}.nii.gz")
    assert f"volume-{name} " in call("plan", cohort_folder, "--set", "input.layout=plain").stdout


def test_findings_and_labels_have_columns(cohort_folder):
    (cohort_folder / "segmentation-3.nii.gz").unlink()
    shown = call("plan", cohort_folder, check=0).stdout.splitlines()
    without = next(line for line in shown if line.startswith(" volume-3"))
    assert " none " in without
    assert "W_LABEL_ABSENT" in without
    required = call("plan", cohort_folder, "--set", "label.required=true", check=1)
    assert "refused volume-3  E_LABEL_MISSING" in required.stdout


@pytest.mark.slow
@pytest.mark.parametrize("words", [("plan", "IN"), ("run", "IN", "OUT", "--dry-run")])
def test_cases_are_chosen_before_they_are_counted_off(cohort_folder, tmp_path, words):
    places = {"IN": cohort_folder, "OUT": tmp_path / "out"}
    line = [places.get(word, word) for word in words]
    chosen = ("--only", "volume-[123]", "--limit", 2, "--json")
    assert cases(call(*line, *chosen, check=0)) == ["volume-1", "volume-2"]
    listing = tmp_path / "ids.txt"
    listing.write_text("volume-3\n")
    assert cases(call(*line, "--only-from", listing, "--json", check=0)) == ["volume-3"]
    assert "no case 'x'" in call(*line, "--only", "x", check=2).stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_run_chooses_first_and_retries_only_what_is_asked_for(cohort_folder, tmp_path):
    out = tmp_path / "out"
    chosen = ("--only", "volume-[123]", "--limit", 2)
    assert "2 done" in call("run", cohort_folder, out, *SERIAL, *chosen, check=0).stdout
    assert sorted(path.name for path in out.glob("cases/*.zarr")) == [
        "volume-1.zarr",
        "volume-2.zarr",
    ]
    for number in (0, 3):
        (cohort_folder / f"volume-{number}.nii.gz").write_bytes(b"no gzip")
    call("run", cohort_folder, out, *SERIAL, check=1)
    again = ("--retry-failed", "--only", "volume-3", "--only", "volume-1")
    dry = call("run", cohort_folder, out, *again, "--dry-run", "--json", check=1)
    assert [row["case"] for row in json.loads(dry.stdout)["refused"]] == ["volume-3"]
    report = json.loads(call("run", cohort_folder, out, *SERIAL, *again, "--json", check=1).stdout)
    assert [row["case"] for row in report["failures"]] == ["volume-3"]
    assert (report["done"], report["skipped"]) == (0, 0)
    none = call("run", cohort_folder, out, "--retry-failed", "--only", "volume-1", check=2)
    assert "none of the 2 cases that failed" in none.stderr


@pytest.mark.slow
def test_a_dry_run_knows_what_its_output_has_agreed_on(cohort_folder, tmp_path):
    named = ("--set", "label.names={liver: 1, tumor: 2}")
    call("run", cohort_folder, tmp_path / "out", *SERIAL, *named, "--limit", 1, check=0)
    call("plan", cohort_folder, check=0)
    dry = call("run", cohort_folder, tmp_path / "out", "--dry-run", check=1)
    assert "E_LABEL_UNNAMED" in dry.stdout


def test_a_long_plan_shows_its_first_cases_and_says_how_many_more(cohort_folder, monkeypatch):
    monkeypatch.setattr("gpuprep.cli.plan_page.ROWS", 1)
    for number in (2, 3):
        (cohort_folder / f"segmentation-{number}.nii.gz").write_bytes(b"no gzip")
    shown = call("plan", cohort_folder, check=1).stdout
    assert "volume-0 " in shown
    assert "volume-1 " not in shown
    assert "… and 1 more cases; --all shows them" in shown
    assert "… and 1 more refused cases; --all shows them" in shown
    assert "2 cases to do, 2 refused" in shown
    every = call("plan", cohort_folder, "--all", check=1).stdout
    assert "volume-1 " in every
    assert "more" not in every
    assert len(cases(call("plan", cohort_folder, "--json", check=1))) == 2
    assert shown.splitlines()[-1] == every.splitlines()[-1]


def test_headers_that_a_plan_keeps_are_not_read_by_the_next(tmp_path, monkeypatch):
    monkeypatch.setattr("gpuprep.io.dicom.known._SETTLED_NS", -1)
    write_series(tmp_path / "in", [0, 5, 10])
    keeping = ("plan", tmp_path / "in", "--headers-to", tmp_path / "out")
    first = call(*keeping, check=0).stdout
    monkeypatch.setattr("gpuprep.io.dicom.header.read_header", None)
    assert call(*keeping, check=0).stdout == first
    assert [path.name for path in (tmp_path / "out").iterdir()] == [".gpuprep"]


def test_a_dry_run_takes_the_headers_its_output_keeps_and_writes_none(tmp_path, monkeypatch):
    monkeypatch.setattr("gpuprep.io.dicom.known._SETTLED_NS", -1)
    out = tmp_path / "out"
    dry = ("run", tmp_path / "in", out, "--dry-run")
    write_series(tmp_path / "in", [0, 5, 10])
    shown = call(*dry, check=0).stdout
    assert not out.exists()
    assert call("plan", tmp_path / "in", "--headers-to", out, check=0).stdout == shown
    kept = [(path, path.stat().st_mtime_ns) for path in sorted(out.rglob("*"))]
    assert kept
    with monkeypatch.context() as patch:
        patch.setattr("gpuprep.io.dicom.header.read_header", None)
        assert call(*dry, check=0).stdout == shown
    write_series(tmp_path / "in" / "more", [0, 5], SeriesInstanceUID="1.2.3")
    assert "2 cases to do" in call(*dry, check=0).stdout
    assert [(path, path.stat().st_mtime_ns) for path in sorted(out.rglob("*"))] == kept


def test_a_bar_is_for_terminals_and_goes_to_standard_error(cohort_folder, monkeypatch):
    quiet = call("plan", cohort_folder, check=0)
    assert quiet.stderr == ""
    shown = io.StringIO()
    monkeypatch.setattr(work_bar, "err", Console(file=shown, force_terminal=True, width=80))
    assert call("plan", cohort_folder, check=0).stdout == quiet.stdout
    assert "plan" in shown.getvalue()
    assert "4/4" in shown.getvalue()
