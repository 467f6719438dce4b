"""An output that holds cases of another config says in which values the two differ."""

import json
from pathlib import Path

import pytest

from gpuprep.config.file import parse_config
from gpuprep.config.model import Config
from gpuprep.ledger.claim import claim
from gpuprep.store.layout import CONFIG_FILE, RECORD_FILE, case_path
from gpuprep.values.errors import UsageError


def config(*steps: dict, **more: object) -> Config:
    return parse_config({"image": {"intensity": [*steps], **more}})


CLIP = {"clip": {"low": 0, "high": 400}}


@pytest.fixture
def output(tmp_path: Path) -> Path:
    claim(tmp_path / "out", config(CLIP, {"gamma": {"value": 0.7}}), overwrite=False)
    folder = tmp_path / "out" / case_path("a")
    folder.mkdir(parents=True)
    (folder / RECORD_FILE).write_text("{}")
    return tmp_path / "out"


def refused(output: Path, other: Config) -> str:
    with pytest.raises(UsageError, match="holds cases made with another config") as caught:
        claim(output, other, overwrite=False)
    return caught.value.message.partition("): ")[2]


def test_a_curve_of_another_power_is_told_by_both_numbers(output: Path) -> None:
    told = refused(output, config(CLIP, {"gamma": {"value": 0.8}}))
    assert told == "image.intensity.1.gamma.value is 0.8 and was 0.7"


def test_what_came_and_what_went_is_told_and_what_is_long_is_cut(output: Path) -> None:
    told = refused(output, config(CLIP, {"gamma": {"value": 0.7}}, filters=[{"median": {}}]))
    assert told == 'image.filters is [{"median": {"size": 3}}] and was not set'
    standard = {"T1": [number / 7 for number in range(11)]}
    steps = {"nyul": {"standard": standard}}, {"zscore": {}}, {"multiply": {"by": 2}}
    told = refused(output, config(*steps, resample={"spacing": [1, 2, 3]}, orientation="RAS"))
    assert told.startswith('image.orientation is "RAS" and was "LPS", image.intensity is [')
    assert "…" in told
    assert len(told) < 300


def test_settings_that_decide_nothing_and_files_of_other_versions_are_not_told(
    output: Path,
) -> None:
    changed = config(CLIP, {"gamma": {"value": 0.7}}).resolved()
    changed["run"]["tries"] += 1
    claim(output, Config.model_validate(changed), overwrite=False)
    document = json.loads((output / CONFIG_FILE).read_text())
    document["config"]["image"]["later"] = 1
    (output / CONFIG_FILE).write_text(json.dumps(document))
    assert refused(output, config()) == ""
