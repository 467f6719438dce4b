"""What failed, grouped, and the commands that retry just that."""

import json
import shlex

import pytest
from support.cohorts import write_pair
from support.commands import call

import gpuprep
from gpuprep.cohort.discover import select
from gpuprep.values.case import Case
from gpuprep.values.errors import UsageError
from gpuprep.values.events import CaseDone

pytestmark = pytest.mark.usefixtures("reads_here")

CASES = tuple(Case(name, ()) for name in ("liver_1", "liver_2", "lung_1", "x[1]"))
SERIAL = ("--scheduler", "serial")


@pytest.mark.parametrize(
    ("only", "chosen"),
    [
        (["lung_1", "liver_1"], ["liver_1", "lung_1"]),
        (["liver_*"], ["liver_1", "liver_2"]),
        (["*_1", "liver_2"], ["liver_1", "liver_2", "lung_1"]),
        (["x[1]"], ["x[1]"]),
    ],
)
def test_ids_and_patterns(only, chosen):
    assert [case.id for case in select(CASES, only)] == chosen


def test_an_unknown_id_names_the_nearest():
    with pytest.raises(UsageError, match="'liver_3'") as caught:
        select(CASES, ["liver_3"])
    assert "liver_2" in caught.value.advice


@pytest.fixture
def broken_cohort(cohort_folder, tmp_path):
    """An output of four cases, two of them unreadable and one cut off."""
    for number in (0, 1):
        (cohort_folder / f"volume-{number}.nii.gz").write_bytes(b"not gzip")
    whole = (cohort_folder / "volume-2.nii.gz").read_bytes()
    (cohort_folder / "volume-2.nii.gz").write_bytes(whole[: len(whole) // 2])
    call("run", cohort_folder, tmp_path / "out", *SERIAL, check=1)
    return tmp_path / "out"


def test_failures_are_grouped_with_a_way_out(broken_cohort):
    shown = call("failures", broken_cohort, check=1).stdout
    assert "E_UNREADABLE (input)  2 cases: volume-0, volume-1" in shown
    assert "try: Copy or download the file again." in shown
    tree = json.loads(call("failures", broken_cohort, "--json", check=1).stdout)
    assert (tree["schema"], tree["failed"]) == (1, 3)
    assert [(group["code"], group["count"]) for group in tree["groups"]] == [
        ("E_UNREADABLE", 2),
        ("E_TRUNCATED", 1),
    ]
    ids = call("failures", broken_cohort, "--ids", "--code", "E_TRUNCATED", check=0).stdout
    assert ids == "volume-2\n"


def test_the_printed_command_retries_just_those(broken_cohort, cohort_folder):
    groups = json.loads(call("failures", broken_cohort, "--json").stdout)["groups"]
    write_pair(cohort_folder, 0)
    write_pair(cohort_folder, 1)
    write_pair(cohort_folder, 2)
    _, *words = shlex.split(groups[0]["retry"])
    assert "2 done in" in call(*words, check=0).stdout
    assert call("failures", broken_cohort, "--ids").stdout == "volume-2\n"  # still known
    done = call("run", cohort_folder, broken_cohort, *SERIAL, "--retry-failed", check=0)
    assert "1 done in" in done.stdout
    assert "nothing failed" in call("failures", broken_cohort, check=0).stdout
    call("run", cohort_folder, broken_cohort, *SERIAL, "--retry-failed", check=2)


def test_a_retry_that_breaks_off_forgets_no_failure(broken_cohort, cohort_folder):
    """Of three failed cases one is repaired and done; then the run dies."""
    write_pair(cohort_folder, 0)

    def break_off(event):
        if isinstance(event, CaseDone):
            raise RuntimeError("broken off")

    with pytest.raises(RuntimeError):
        gpuprep.run(
            cohort_folder,
            broken_cohort,
            scheduler="serial",
            retry_failed=True,
            listeners=[break_off],
        )
    listed = call("failures", broken_cohort, "--ids").stdout.split()
    assert sorted(listed) == ["volume-1", "volume-2"]


def test_a_case_that_left_the_input_is_no_failure(broken_cohort, cohort_folder):
    (cohort_folder / "volume-0.nii.gz").unlink()
    (cohort_folder / "segmentation-0.nii.gz").unlink()
    call("run", cohort_folder, broken_cohort, *SERIAL, "--only", "volume-3", check=0)
    listed = call("failures", broken_cohort, "--ids").stdout.split()
    assert sorted(listed) == ["volume-1", "volume-2"]


def test_many_failures_are_piped(tmp_path):
    source = tmp_path / "in"
    source.mkdir()
    for number in range(7):
        write_pair(source, number)
        (source / f"volume-{number}.nii.gz").write_bytes(b"not gzip")
    call("run", source, tmp_path / "out", *SERIAL, "--limit", 7, check=1)
    (group,) = json.loads(call("failures", tmp_path / "out", "--json").stdout)["groups"]
    listing, again = group["retry"].split(" | ")
    assert again == f"gpuprep run {source} {tmp_path / 'out'} --scheduler serial --only-from -"
    assert call(*shlex.split(listing)[1:], check=0).stdout.count("\n") == 7


def test_only_from_a_file(cohort_folder, tmp_path):
    (tmp_path / "ids.txt").write_text("volume-1\n\nvolume-3\n")
    words = ("run", cohort_folder, tmp_path / "out", *SERIAL, "--only-from")
    call(*words, tmp_path / "ids.txt", check=0)
    assert list(gpuprep.open(tmp_path / "out")) == ["volume-1", "volume-3"]
    call(*words, tmp_path / "absent.txt", check=2)
    (tmp_path / "ids.txt").write_text("\n")
    call(*words, tmp_path / "ids.txt", check=2)
    wrong = call("run", cohort_folder, tmp_path / "out", *SERIAL, "--only", "volume-8", check=2)
    assert "did you mean volume-" in wrong.stderr


def test_cohort_statistics_cover_the_cohort_whatever_is_retried(cohort_folder, tmp_path):
    config = gpuprep.load_config(None, ["image.intensity=[{zscore: {over: cohort}}]"])
    gpuprep.run(cohort_folder, tmp_path / "all", config=config, scheduler="serial")
    gpuprep.run(
        cohort_folder, tmp_path / "one", config=config, scheduler="serial", only=["volume-2"]
    )
    whole, single = (gpuprep.open(tmp_path / name)["volume-2"] for name in ("all", "one"))
    assert whole.record["digest"] == single.record["digest"]


@pytest.mark.slow
def test_failures_of_another_input_are_kept_and_tried_again_there(
    broken_cohort, cohort_folder, tmp_path
):
    other = tmp_path / "other"
    other.mkdir()
    for number in (7, 8):
        write_pair(other, number)
    (other / "volume-8.nii.gz").write_bytes(b"not gzip")
    call("run", other, broken_cohort, *SERIAL, check=1)
    tree = json.loads(call("failures", broken_cohort, "--json", check=1).stdout)
    assert tree["failed"] == 4
    retried = {}
    for group in tree["groups"]:
        _, *words = shlex.split(group["retry"])
        retried |= dict.fromkeys(group["cases"], words[1])
    assert retried == {
        **dict.fromkeys(["volume-0", "volume-1", "volume-2"], str(cohort_folder)),
        "volume-8": str(other),
    }
    write_pair(cohort_folder, 0)
    write_pair(cohort_folder, 1)
    first = next(group for group in tree["groups"] if "volume-0" in group["cases"])
    assert "2 done in" in call(*shlex.split(first["retry"])[1:], check=0).stdout
    left = call("failures", broken_cohort, "--ids", check=0).stdout.split()
    assert sorted(left) == ["volume-2", "volume-8"]
    (cohort_folder / "volume-2.nii.gz").unlink()
    call("run", cohort_folder, broken_cohort, *SERIAL, check=0)
    assert call("failures", broken_cohort, "--ids", check=0).stdout == "volume-8\n"
