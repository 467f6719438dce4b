"""Which job is begun next: fair between users, by priority for one, and large ones come to their turn."""

from collections import Counter
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from support.stand_in_jobs import asked

from gpuprep.service.jobs.job import Job
from gpuprep.service.jobs.queue import Capacity, in_order, startable

CAPACITY = Capacity(jobs=3, workers=6, memory=100, devices=(0, 1, 2))


@st.composite
def jobs(draw: st.DrawFn) -> list[Job]:
    number = draw(st.integers(1, 12))
    return [
        replace(
            asked(
                draw(st.sampled_from("abcd")),
                draw(st.sampled_from(["ann", "bob", "eve"])),
                workers=draw(st.integers(1, 8)),
                executor=draw(st.sampled_from(["local", "serial", "moon"])),
            ),
            priority=draw(st.integers(0, 9)),
            memory=draw(st.integers(0, 120)),
            seq=seq,
        )
        for seq in range(1, number + 1)
    ]


@given(jobs(), st.randoms(use_true_random=False))
def test_all_jobs_come_to_their_turn_within_capacity(waiting, random) -> None:
    """Jobs end in any order; nothing is ever stuck, too much, or two at one cohort."""
    waiting, working, done = list(waiting), [], 0
    total = len(waiting)
    while done < total:
        while (job := startable(waiting, working, CAPACITY)) is not None:
            waiting.remove(job)
            working.append(job)
        check(working)
        assert working, f"{len(waiting)} jobs wait and nothing is at work"
        working.remove(random.choice(working))
        done += 1


def check(working: list[Job]) -> None:
    assert len(working) <= CAPACITY.jobs
    assert max(Counter(job.asked.output for job in working).values(), default=1) == 1
    local = [job for job in working if job.asked.is_local]
    if len(local) > 1:
        assert sum(job.asked.workers for job in local) <= CAPACITY.workers
        assert sum(job.memory for job in local) <= CAPACITY.memory
        assert sum(map(CAPACITY.devices_for, local)) <= len(CAPACITY.devices)


@given(jobs())
def test_one_users_jobs_go_by_priority_then_by_age(waiting) -> None:
    order = in_order(waiting, [])
    assert sorted(order, key=lambda job: job.seq) == waiting
    for owner in ("ann", "bob", "eve"):
        mine = [(-job.priority, job.seq) for job in order if job.owner == owner]
        assert mine == sorted(mine)


@given(jobs(), st.integers(0, 5))
def test_the_next_is_of_the_user_with_least_at_work(waiting, at_work) -> None:
    working = waiting[:at_work]
    busy = Counter({owner: 0 for owner in ("ann", "bob", "eve")})
    for job in working:
        busy[job.owner] += job.asked.workers
    order = in_order(waiting[at_work:], working)
    if order:
        assert busy[order[0].owner] == min(busy[job.owner] for job in order)


def test_a_users_hundred_jobs_do_not_hold_up_anothers_first() -> None:
    many = [replace(asked(f"a{k}"), seq=k) for k in range(1, 101)]
    one = replace(asked("b", "bob"), seq=101)
    working = [startable([*many, one], [], CAPACITY)]
    assert working == [many[0]]
    assert startable([*many[1:], one], working, CAPACITY) == one


def test_a_large_job_is_not_passed_over_for_ever() -> None:
    """Small jobs come without end; the large one is begun as soon as those before it have ended."""
    large = replace(asked("large", "bob", workers=6, executor="local"), seq=3)
    working = [replace(asked(f"s{k}", "ann"), seq=k) for k in (1, 2)]
    waiting = [large]
    for seq in range(4, 50):
        waiting.append(replace(asked(f"s{seq}", f"user {seq}"), seq=seq))
        assert startable(waiting, working, CAPACITY) is None
    assert startable(waiting, [], CAPACITY) == large


def test_a_cohort_in_use_is_passed_over_and_a_cluster_takes_no_room() -> None:
    busy = replace(asked("a", workers=6, executor="local"), seq=1)
    waiting = [
        replace(asked("a", "bob"), seq=2),
        replace(asked("c", "eve", executor="moon", workers=500), seq=3),
    ]
    assert startable(waiting, [busy], CAPACITY) == waiting[1]


def test_devices_are_never_shared() -> None:
    busy = replace(asked("a", workers=2, executor="local"), seq=1)
    two = replace(asked("b", "bob", workers=2, executor="local"), seq=2)
    assert startable([two], [busy], CAPACITY) is None
    assert startable([replace(two, asked=replace(two.asked, workers=1))], [busy], CAPACITY)
