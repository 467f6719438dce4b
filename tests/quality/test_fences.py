"""Outliers: none among numbers that are alike, and those that are far off."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.measured_tables import usual

from gpuprep.quality.cohort_quality import CohortQuality
from gpuprep.quality.fences import judge
from gpuprep.quality.outliers import rows_of
from gpuprep.store.table import CaseTable


@pytest.mark.parametrize("count", [10, 30, 100, 1000, 3000])
def test_hardly_a_case_of_a_usual_cohort_is_an_outlier(count):
    wrong = [
        len(rows_of(CohortQuality(CaseTable(usual(count, seed))).outliers))
        for seed in range(max(2, 1000 // count))
    ]
    assert sum(wrong) <= 0.01 * count * len(wrong)


@given(seed=st.integers(0, 2**32), count=st.integers(30, 3000), is_size=st.booleans())
def test_normal_numbers_lie_inside(seed, count, is_size):
    values = np.random.default_rng(seed).normal(0, 1, count)
    found = judge(np.exp(values) if is_size else values, is_size=is_size, least=1e-3)
    assert len(found.rows) <= 0.01 * count
    assert found.inside + len(found.rows) == found.count == count


@given(
    seed=st.integers(0, 2**32),
    count=st.integers(20, 300),
    away=st.floats(40, 1e6),  # of 20 normal numbers the fence lies beyond 12 in 8 % of samples
    below=st.booleans(),
)
def test_one_that_is_far_off_is_found_and_is_not_in_the_range(seed, count, away, below):
    values = np.random.default_rng(seed).normal(100, 1, count)
    values[count // 2] = 100 + (-away if below else away)
    found = judge(values, is_size=False, least=1e-3)
    assert count // 2 in found.rows.tolist()
    assert found.low > 90
    assert found.high < 110


def test_a_second_group_of_cases_is_no_outlier():
    values = np.repeat([1.0, 5.0], [90, 10]) + np.linspace(0, 0.1, 100)
    assert not len(judge(values, is_size=True, least=0.02).rows)


def test_where_nearly_all_agree_the_few_others_are_outliers():
    values = np.repeat([512.0, 768.0], [98, 2])
    found = judge(values, is_size=True, least=0.02)
    assert found.rows.tolist() == [98, 99]
    assert (found.low, found.high, found.inside) == (512, 512, 98)
    more = np.repeat([512.0, 768.0], [95, 5])
    assert not len(judge(more, is_size=True, least=0.02).rows)


def test_a_rounding_is_no_other_number():
    values = np.full(50, 0.8)
    values[7] = 0.80001
    assert not len(judge(values, is_size=True, least=0.02).rows)


def test_of_few_cases_nothing_is_said():
    assert judge(np.array([1.0] * 8 + [1000.0]), is_size=True, least=0.02) is None
    assert judge(np.array([1.0] * 9 + [np.nan] * 30), is_size=True, least=0.02) is None


def test_beside_a_few_others_one_that_is_far_off_is_found():
    values = np.repeat([1.0, 1.2, 50.0], [190, 9, 1])
    found = judge(values, is_size=True, least=0.02)
    assert found.rows.tolist() == [199]
    assert (found.low, found.high) == (1.0, 1.2)
