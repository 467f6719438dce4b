"""``gpuprep suggest`` on a cohort that is stored: from records alone, with the same numbers."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from support.cohorts import run, write_pairs
from support.commands import call

from gpuprep.advice.spread import counted, put_away, spread_of
from gpuprep.store.record import read_record, write_record

STATISTICS = {
    "image": {
        "foreground": {"where": "label"},
        "crop": {"to": "nonzero"},
        "intensity": [{"zscore": {"over": "cohort"}}],
    }
}


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    return write_pairs(tmp_path / "scans", 3)


def test_channels_that_counts_do_not_tell_are_warned_of(scans: Path, tmp_path: Path) -> None:
    assert run(scans, tmp_path / "out", {"fingerprint": {"sampling": "exact"}}).exit_code == 0
    told = call("suggest", tmp_path / "out", check=0).stderr
    assert "records do not tell whether channel channel_0 is CT" in told


def config_of(path: Path) -> dict:
    told = json.loads(call("suggest", path, "--json", check=0).stdout)
    return dict(told["config"])


def test_a_cohort_with_statistics_gives_what_its_input_gives(scans: Path, tmp_path: Path) -> None:
    assert run(scans, tmp_path / "out", STATISTICS).exit_code == 0
    of_input = config_of(scans)
    shutil.rmtree(scans)
    of_cohort = config_of(tmp_path / "out")
    for part in ("image", "label", "store"):
        assert of_cohort[part] == of_input[part]


def test_a_cohort_without_statistics_leaves_the_numbers_to_the_run(
    scans: Path, tmp_path: Path
) -> None:
    assert run(scans, tmp_path / "out", {"image": {"orientation": "RAS"}}).exit_code == 0
    image = config_of(tmp_path / "out")["image"]
    assert image["orientation"] == "RAS"
    assert image["intensity"][1] == {"zscore": {"over": "cohort"}}
    assert image["foreground"] == {"where": "label"}


def test_counts_of_a_fingerprint_are_taken(scans: Path, tmp_path: Path) -> None:
    """Rows as a run with ``fingerprint`` leaves them in its records."""
    assert run(scans, tmp_path / "out", STATISTICS).exit_code == 0
    before = config_of(tmp_path / "out")["image"]["intensity"]
    for number in range(3):
        folder = tmp_path / f"out/cases/volume-{number}.zarr"
        record = read_record(folder)
        values, totals = [-10.0, 20.0], [1, 4]
        row = {"count": 4, "ends": [-10, 20], "mean": 12.5, "variance": 168.75}
        write_record(
            folder,
            {**record, "fingerprint": {"channels": [{**row, "values": values, "totals": totals}]}},
        )
    clip, zscore = config_of(tmp_path / "out")["image"]["intensity"]
    assert [clip, zscore] != before
    assert clip == {"clip": {"low": -10, "high": 20}}
    assert zscore == {"zscore": {"mean": 12.5, "std": pytest.approx(12.99038)}}


def test_a_cohort_takes_no_other_config_and_no_datastats(scans: Path, tmp_path: Path) -> None:
    run(scans, tmp_path / "out", STATISTICS)
    for flags in (("--datastats", tmp_path / "stats"), ("--set", "image.orientation=RAS")):
        assert "is a stored cohort" in call("suggest", tmp_path / "out", *flags, check=2).stderr


def test_a_fingerprint_gives_what_its_input_gives(scans: Path, tmp_path: Path) -> None:
    counts = {
        "input": {"channels": ["CT"]},
        "image": {"crop": {"to": "nonzero"}},
        "fingerprint": {"sampling": "exact"},
    }
    assert run(scans, tmp_path / "out", counts).exit_code == 0
    of_input = config_of(scans)
    shutil.rmtree(scans)
    assert config_of(tmp_path / "out")["image"] == of_input["image"]


@pytest.mark.parametrize("kind", [np.int16, np.float32])
def test_cases_weigh_alike(kind: type, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    parts = [random.normal(40 * n, 10 + n, 5000 * (n + 1)).astype(kind) for n in range(4)]
    cases = [put_away(counted(part), tmp_path / str(n)) for n, part in enumerate(parts)]
    assert len(list(tmp_path.iterdir())) == (0 if kind is np.int16 else 4)
    spread = spread_of([*cases, counted(parts[0][:0])])
    assert spread is not None
    values = np.concatenate(parts).astype(np.float64)
    weights = np.concatenate([np.full(len(part), 1 / len(part) / 4) for part in parts])
    mean = (values * weights).sum()
    assert spread.cases == 4
    assert spread.mean == pytest.approx(mean, rel=1e-9)
    assert spread.std == pytest.approx(np.sqrt((weights * (values - mean) ** 2).sum()), rel=1e-9)
    order = np.argsort(values)
    reached = np.cumsum(weights[order])
    low, high = (values[order][np.searchsorted(reached, q - 1e-12)] for q in (0.005, 0.995))
    assert (spread.low, spread.high) == (low, high)


def test_yaml_of_a_cohort_says_where_it_is_from(scans: Path, tmp_path: Path) -> None:
    run(scans, tmp_path / "out", STATISTICS)
    done = call("suggest", tmp_path / "out", check=0)
    assert "from the records of its cases" in " ".join(done.stdout.replace("# ", "").split())
    assert "input" not in yaml.safe_load(done.stdout)
