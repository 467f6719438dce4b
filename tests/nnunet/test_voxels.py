"""Our voxels against those of nnU-Net's own preprocessing, of every configuration of the golden data sets."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.nnunet_configs import nnunet_config
from support.nnunet_goldens import GOLDENS, PREPROCESSED, few, raw_data

from gpuprep.cohort.discover import Found, discover
from gpuprep.config.model import Config
from gpuprep.io.reader import read
from gpuprep.io.rules import ReadRules
from gpuprep.ops.operations import HostOperations
from gpuprep.planning.agreement import settle
from gpuprep.preprocess.assemble import assemble
from gpuprep.preprocess.compute import Computed, compute
from gpuprep.preprocess.task import CaseTask, Stopwatch
from gpuprep.values.case import Case
from gpuprep.values.findings import Findings

CLOSE = 1e-6  # of the range
_ROUNDED = 5e-7  # of the voxels that the goldens list


@pytest.mark.parametrize("place", few(PREPROCESSED))
def test_every_case_is_nnunets(place: str) -> None:
    dataset, _, identifier = place.partition("/")
    raw, plans = (
        raw_data(dataset),
        json.loads(GOLDENS["datasets"][dataset]["nnUNetPlans"]),
    )
    config = nnunet_config(plans, identifier.removeprefix("nnUNetPlans_"))
    found = discover(raw, layout="nnunet")
    assert {case.id for case in found.cases} == set(PREPROCESSED[place])
    for case in found.cases:
        check_case(
            made(case, config, found), PREPROCESSED[place][case.id], plans["transpose_forward"]
        )


def made(case: Case, config: Config, found: Found) -> Computed:
    rules, findings = ReadRules.of(config, root=found.root), Findings(config.input.policy)
    agreement = settle(found, None, config)
    assembled = assemble(
        case, config, lambda source: read(source, rules), findings, agreement=agreement
    )
    task = CaseTask(case, "", "")
    (result,) = compute(task, assembled, config, HostOperations(2), findings, (), Stopwatch())
    return result


def check_case(case: Computed, golden: dict[str, Any], forward: list[int]) -> None:
    image = np.reshape(case.image, (-1, *case.geometry.shape))
    image = image.transpose(0, *(axis + 1 for axis in forward))
    (label,) = case.labels.values()
    label = label.transpose(forward)
    assert list(image.shape) == golden["shape"]
    assert [case.record["geometry"]["crop"][axis] for axis in forward] == golden["bbox"]
    values, counts = np.unique(label, return_counts=True)
    found = dict(zip(map(str, values.tolist()), counts.tolist(), strict=True))
    assert found == golden["labels"]
    assert digest(label.astype(np.int16)) == golden["seg_sha256"]
    (told,) = case.record["labels"].values()
    (outside,) = case.record["outside"]["voxels"].values()
    assert {**told, **({"-1": outside} if outside else {})} == golden["labels"]
    width = golden["max"] - golden["min"]
    assert abs(image.min() - golden["min"]) <= CLOSE * width
    assert abs(image.max() - golden["max"]) <= CLOSE * width
    assert abs(image.mean(dtype=np.float64) - golden["mean"]) <= CLOSE * width
    middle = [n // 2 for n in image.shape[1:]]
    centre = image[0][tuple(slice(max(0, at - 1), at + 2) for at in middle)]
    assert np.abs(centre - golden["centre"]).max() <= CLOSE * width + _ROUNDED


def digest(array: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()[:32]


def test_raw_data_is_looked_for_where_it_is_said(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("GPUPREP_NNUNET_RAW", str(tmp_path))
    with pytest.raises(pytest.skip.Exception):
        raw_data("Dataset701_LungAniso")
