"""One outlier of each kind, planted among forty cases, is among the first that are shown, with its reason."""

import re

import pytest
from support.cohorts import run
from support.measured_tables import planted
from support.planted import CONFIG, PLACES, write_planted

import gpuprep
from gpuprep.quality.cohort_quality import CohortQuality

REASONS = {
    "spacing": r"spacing z, before: 5 mm; 39 of 40 cases lie within (0\.\d+|1) to 1\.\d+ mm",
    "empty label": r"segmentation is empty; 39 of 40 cases have labelled voxels",
    "orientation": r"orientation RPS; 39 of 40 cases have LPS",
    "absent class": r"segmentation: no voxel of label 1; 38 of 39 cases have it",
    "clipped intensity": r"CT: share at the upper end: 31 %; 39 of 40 cases lie within",
    "field of view": r"field of view [xyz], before: \d\d(\.\d)? mm; 39 of 40 cases lie within [12]\d\d",
}


@pytest.mark.parametrize("seed", range(5))
def test_each_is_found_with_its_reason(seed):
    table, places = planted(seed=seed)
    quality = CohortQuality(table)
    told = quality.to_json(quality.choose())["outliers"]["items"]
    first = told[:12]
    for kind, case in places.items():
        reasons = [each["text"] for each in first if (each["kind"], each["case"]) == (kind, case)]
        assert len(reasons) == 1, (kind, first)
        assert re.match(REASONS[kind], reasons[0]), reasons
    assert {each["case"] for each in told} == set(places.values())


def test_each_is_found_in_a_cohort_that_was_run(tmp_path):
    (tmp_path / "in").mkdir()
    write_planted(tmp_path / "in")
    assert run(tmp_path / "in", tmp_path / "out", CONFIG).exit_code == 0
    cohort = gpuprep.open(tmp_path / "out")
    quality = CohortQuality(cohort.table(), cohort.agreement)
    told = quality.to_json(quality.choose())["outliers"]["items"]
    first = {(each["kind"], each["case"]) for each in told[:12]}
    assert first >= PLACES.items(), told
    assert {each["case"] for each in told} == set(PLACES.values()), told
