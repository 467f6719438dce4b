"""Numbers that steps take from files: written out for a service; of several scales one."""

import json
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from gpuprep.config.file import parse_config
from gpuprep.preprocess.borrowed import with_borrowed, without_files
from gpuprep.service.jobs.allowed import check_allowed
from gpuprep.service.problems import Problem
from gpuprep.values.errors import ConfigError


def row(channel: str, percentiles: list[float], top: float) -> dict[str, Any]:
    standard = np.linspace(0, top, len(percentiles)).tolist()
    return {"channel": channel, "percentiles": percentiles, "standard": standard, "cases": 3}


def landmarks(folder: Path, *rows: dict[str, Any]) -> str:
    folder.mkdir(exist_ok=True)
    (folder / "landmarks.json").write_text(json.dumps({"nyul": rows}), encoding="utf-8")
    return str(folder)


def tree_of(*steps: dict[str, Any]) -> dict[str, Any]:
    return {
        "image": {"intensity": [steps[0]], "channels": {"T2": {"intensity": [*steps[1:]]}}},
        "store": {"fsync": "never"},
    }


def test_a_config_without_its_files_is_the_same_and_a_service_takes_it(tmp_path: Path) -> None:
    folder = landmarks(tmp_path / "first", row("T1", [1, 50, 99], 80.0))
    volume = np.random.default_rng(0).integers(0, 500, (6, 7, 8)).astype(np.int16)
    nibabel.save(nibabel.Nifti1Image(volume, np.eye(4)), tmp_path / "a.nii.gz")
    match = {"histogram_match": {"reference": str(tmp_path / "a.nii.gz"), "over": "foreground"}}
    tree = tree_of({"nyul": {"landmarks": folder, "over": "image"}}, match, {"zscore": {}})
    told = without_files(tree)
    assert str(tmp_path) not in json.dumps(told)
    assert set(told["image"]["intensity"][0]["nyul"]) == {"over", "percentiles", "standard"}
    assert parse_config(told).digest == with_borrowed(parse_config(tree)).digest
    with pytest.raises(Problem, match="are files"):
        check_allowed({"image": tree["image"]})
    check_allowed({"image": told["image"]})
    assert without_files(told) is told


def test_of_several_scales_those_of_the_percentiles_are_taken(tmp_path: Path) -> None:
    few, many = [5.0, 50.0, 95.0], [1.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0, 99.0]
    folder = landmarks(tmp_path, row("T1", few, 100), row("T1", many, 70), row("T2", many, 60))

    def chosen(**more: object) -> Any:
        return with_borrowed(parse_config(tree_of({"nyul": {"landmarks": folder, **more}})))

    step = chosen().image.intensity[0].nyul
    assert step.percentiles == tuple(many)
    assert {name: scale[-1] for name, scale in step.standard.items()} == {"T1": 70, "T2": 60}
    step = chosen(percentiles=few).image.intensity[0].nyul
    assert step.standard == {"T1": (0, 50, 100)}
    with pytest.raises(ConfigError, match="holds 3 scales") as caught:
        chosen(percentiles=[2, 98])
    assert "percentiles of those that are meant" in caught.value.advice
    twice = landmarks(tmp_path, row("T1", few, 100), row("T1", few, 70))
    with pytest.raises(ConfigError, match="holds 2 scales, not one for each channel"):
        with_borrowed(parse_config(tree_of({"nyul": {"landmarks": twice, "percentiles": few}})))
