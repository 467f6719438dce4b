"""Cohort statistics: sums that do not depend on the order of the cases, and refusals in words."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuprep.ops.float_histogram import FloatHistogram, count_floats
from gpuprep.ops.statistics import Histogram
from gpuprep.planning.statistics import CohortHistograms, cohort_digest
from gpuprep.values.errors import UsageError

volumes = st.lists(st.lists(st.integers(-1024, 3071), min_size=1, max_size=30), min_size=1)


@given(volumes, st.randoms())
def test_the_sum_is_that_of_all_voxels_in_any_order(cases, random):
    expected = np.unique(np.concatenate(cases), return_counts=True)
    random.shuffle(cases)
    cohort = CohortHistograms()
    for number, values in enumerate(cases):
        cohort.add(f"case-{number}", (histogram(values),))
    assert cohort.cases == len(cases)
    (total,) = cohort.channels
    assert total.occurring == dict(zip(*(part.tolist() for part in expected), strict=True))


def test_cases_of_different_channels_are_named():
    cohort = CohortHistograms()
    cohort.add("a", (histogram([1]),))
    cohort.add("b", (histogram([1]), histogram([2])))
    with pytest.raises(UsageError, match="number of channels: a has 1, b has 2"):
        _ = cohort.channels


@given(st.permutations(["near", "far", "fractions"]))
def test_whole_numbers_fractions_and_what_lies_far_apart_have_one_digest(order):
    cases = {"near": histogram([0, 1]), "far": histogram([2**31]), "fractions": fractions([0.25])}
    cohort = CohortHistograms()
    for name in order:
        cohort.add(name, (cases[name],))
    (total,) = cohort.channels
    assert total.count == 4
    assert total.percentiles([0, 100]) == [0, 2**31]
    both = FloatHistogram.of(cases["near"]).merge(cases["fractions"])
    wanted = both.merge(FloatHistogram.of(cases["far"]))
    assert cohort_digest("config", cohort.channels) == cohort_digest("config", (wanted,))


def fractions(values: list[float]) -> FloatHistogram:
    return count_floats(np.float32(values))


def histogram(values: list[int]) -> Histogram:
    low, high = min(values), max(values)
    return Histogram.of(low, np.bincount(np.array(values) - low, minlength=high - low + 1))
