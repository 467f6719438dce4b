"""The waiting time that is told of jobs in the queue, against a queue that is played through."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.stand_in_jobs import asked

from gpuprep.service.jobs.queue import Capacity
from gpuprep.service.jobs.waiting import seconds_per_case, waits

ONE = Capacity(jobs=1, workers=1, memory=1)


@given(st.lists(st.integers(0, 50), min_size=1, max_size=30), st.integers(1, 9))
def test_one_after_the_other_each_waits_for_those_before_it(cases, pace) -> None:
    jobs = [replace(asked(f"c{k}"), seq=k, cases=n) for k, n in enumerate(cases, 1)]
    told = waits(jobs, [], ONE, pace, now=0.0)
    assert [told[job.id] for job in jobs] == [pace * sum(cases[:k]) for k in range(len(cases))]


def test_what_is_at_work_has_done_a_part() -> None:
    working = replace(asked("a"), seq=1, cases=10, started=100.0)
    job = replace(asked("b"), seq=2, cases=1)
    for now, wait in (
        (100.0, 20.0),
        (115.0, 5.0),
        (500.0, 0.0),
        (10.0, 20.0),
    ):  # the last went back
        assert waits([job], [working], ONE, 2.0, now) == {job.id: wait}


def test_two_places_are_filled_as_they_become_free() -> None:
    two = replace(ONE, jobs=2, workers=2)
    jobs = [replace(asked(f"c{k}"), seq=k, cases=n) for k, n in enumerate((10, 4, 3, 2), 1)]
    told = waits(jobs, [], two, 1.0, now=0.0)
    assert [told[job.id] for job in jobs] == [0, 0, 4, 7]


def test_the_pace_is_that_of_jobs_whose_times_can_be() -> None:
    job = replace(asked("a"), cases=10, started=100.0, ended=150.0)
    assert seconds_per_case([]) is None
    assert seconds_per_case([job, replace(job, ended=50.0), replace(job, cases=0)]) == 5.0
    assert seconds_per_case([job, replace(job, cases=40)]) == pytest.approx(2.0)


def test_no_more_than_a_hundred_are_told() -> None:
    jobs = [replace(asked(f"c{k}"), seq=k, cases=1) for k in range(1, 1001)]
    assert len(waits(jobs, [], ONE, 1.0, now=0.0)) == 100
