"""Several outputs of one read: each is what a run of it alone stores, and a case has all of them or none."""

import json
from collections import Counter
from pathlib import Path

import pytest
import yaml
from support.cohorts import contents, run, write_pair
from support.outputs import OUTPUTS, SEVERAL, alone, files_of
from support.runs import end, finish, start

import gpuprep
from gpuprep.executors import task
from gpuprep.io.sandbox.parent import Sandbox
from gpuprep.store.layout import case_folder
from gpuprep.store.stored_case import open_case
from gpuprep.store.verify import verify_cohort
from gpuprep.values.errors import UsageError

STEPS = (
    *("before_read", "after_stage", "mid_shard", "after_output", "after_shards", "after_record"),
    *("after_fsync", "after_rename"),
)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pairs")
    for number in range(2):
        write_pair(folder, number)
    return folder


@pytest.fixture(scope="module")
def several(source, tmp_path_factory):
    output = tmp_path_factory.mktemp("several") / "out"
    assert run(source, output, SEVERAL).exit_code == 0
    return output


@pytest.mark.parametrize("name", OUTPUTS)
def test_an_output_has_the_bytes_of_a_run_of_it_alone(source, several, tmp_path, name):
    run(source, tmp_path / "out", alone(name))
    for case in gpuprep.open(several):
        expected = case_folder(tmp_path / "out", case)
        assert files_of(case_folder(several, case) / name) == files_of(expected)
        told, by_itself = open_case(case_folder(several, case), output=name), open_case(expected)
        same = ("geometry", "mapping", "intensity", "labels", "findings", "statistics", "channels")
        assert {key: told.record[key] for key in same} == {
            key: by_itself.record[key] for key in same
        }


def test_every_file_of_the_input_is_read_once(source, tmp_path, monkeypatch):
    read: Counter[str] = Counter()
    own = Sandbox.read

    def counted(self, file):
        read[Path(file.path).name] += 1
        return own(self, file)

    monkeypatch.setattr(Sandbox, "read", counted)
    run(source, tmp_path / "out", SEVERAL)
    names = [f"{kind}-{number}.nii.gz" for kind in ("volume", "segmentation") for number in (0, 1)]
    assert read == dict.fromkeys(names, 1)


def test_statistics_of_the_cohort_are_taken_where_one_output_asks(source, tmp_path):
    over = {"intensity": [{"zscore": {"over": "cohort"}}]}
    run(source, tmp_path / "out", {**SEVERAL, "outputs": {"fine": {}, "coarse": over}})
    by_itself = {**SEVERAL, "outputs": {}, "image": {**SEVERAL["image"], **over}}
    run(source, tmp_path / "alone", by_itself)
    for case in gpuprep.open(tmp_path / "alone"):
        expected = files_of(case_folder(tmp_path / "alone", case))
        assert files_of(case_folder(tmp_path / "out", case) / "coarse") == expected


def test_a_run_again_does_nothing_and_another_output_makes_cases_anew(
    source, several, tmp_path, monkeypatch
):
    done: list[str] = []
    own = task.run_case

    def noted(each, *more):
        done.append(each.case.id)
        return own(each, *more)

    monkeypatch.setattr(task, "run_case", noted)
    output = tmp_path / "out"
    run(source, output, SEVERAL)
    assert contents(output) == contents(several)
    (output / "gpuprep.json").unlink()
    run(source, output, SEVERAL)
    assert len(done) == 2
    changed = {**SEVERAL, "outputs": {**OUTPUTS, "coarse": {"resample": {"spacing": [2, 2, 2]}}}}
    with pytest.raises(UsageError, match="made with another config"):
        run(source, output, changed)
    run(source, output, changed, overwrite=True)
    assert len(done) == 4
    assert gpuprep.open(output, output="coarse")["volume-0"].geometry.spacing == (2, 2, 2)
    turned = {**SEVERAL, "outputs": dict(reversed(changed["outputs"].items()))}
    run(source, output, turned, overwrite=True)
    assert gpuprep.open(output)["volume-0"].output == "bone"
    assert not verify_cohort(output, full=True)


def test_a_case_with_one_impossible_output_has_none(source, tmp_path):
    small = {"store": {"dtype": "int16"}, "intensity": [{"multiply": {"by": 1000}}]}
    report = run(source, tmp_path / "out", {**SEVERAL, "outputs": {"fine": {}, "wide": small}})
    assert report.exit_code == 1
    assert {failure.case_id for failure in report.failures} == {"volume-0", "volume-1"}
    assert not list((tmp_path / "out").glob("cases/*.zarr"))
    assert not list((tmp_path / "out").glob(".staging/*"))


def test_findings_of_one_output_say_whose_they_are(source, tmp_path):
    rounded = {"store": {"dtype": "float32", "keep_bits": 6}}
    run(source, tmp_path / "out", {**SEVERAL, "outputs": {"fine": {}, "rough": rounded}})
    folder = case_folder(tmp_path / "out", "volume-0")
    told = json.loads((folder / "record.json").read_text())["findings"]
    assert [row["code"] for row in told] == ["W_ROUNDED"]
    assert told[0]["message"].startswith("output rough: the image was rounded to 6 bits")
    assert not open_case(folder).findings
    (own,) = open_case(folder, output="rough").findings
    assert own.message.startswith("the image was rounded")
    assert "rounding" not in open_case(folder).record


@pytest.mark.slow
def test_killed_at_every_step_and_run_again_gives_equal_bytes(source, tmp_path):
    file, output = tmp_path / "config.yaml", tmp_path / "out"
    file.write_text(yaml.safe_dump(SEVERAL, sort_keys=False))
    options = ("--config", str(file))
    assert finish(source, tmp_path / "undisturbed", "serial", *options).returncode == 0
    for step in STEPS:
        passage = {"mid_shard": ":3", "after_output": ":2"}.get(step, "")  # when a part is there
        process = start(source, output, "serial", f"{step}@volume-0=kill{passage}", *options)
        printed = end(process)
        assert process.returncode == -9, f"{step}: {printed}"
        assert not verify_cohort(output, full=True)
    assert finish(source, output, "serial", *options).returncode == 0
    assert contents(output) == contents(tmp_path / "undisturbed")
    assert not list((output / ".staging").glob("*"))
