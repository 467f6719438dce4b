"""The training feed: which samples there are, where they lie, what they hold, and how a stream goes on."""

from __future__ import annotations

import itertools
import json
import pickle
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.stored import SHAPES, store_cohort, voxels_of

from gpuprep.store.reader import open_cohort
from gpuprep.training import (
    Balanced,
    EpochPlan,
    Foreground,
    Grid,
    PatchDataset,
    Uniform,
    filter_cases,
)
from gpuprep.training.patch import align, place_within
from gpuprep.values.errors import UsageError

PATCH = (16, 16, 16)


SAMPLERS = [Uniform(), Foreground("organ"), Balanced("organ", (1, 2)), Grid((8, 8, 8))]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return store_cohort(tmp_path_factory.mktemp("out"))


def traces(samples: Any) -> list[tuple[Any, ...]]:
    """What tells samples apart."""
    return [
        (s["epoch"], s["number"], s["case"], *map(int, s["start"]), s["image"].tobytes())
        for s in samples
    ]


sizes = st.tuples(*[st.integers(1, 40)] * 3)


@given(sizes, sizes, st.tuples(*[st.integers(-60, 60)] * 3))
def test_a_patch_stays_inside_or_holds_the_whole_volume(shape, patch, wish):
    for start, n, p in zip(place_within(np.array(wish), shape, patch), shape, patch, strict=True):
        if p <= n:
            assert 0 <= start <= n - p
        else:
            assert start <= 0
            assert start + p >= n


@given(sizes, sizes, sizes, st.randoms())
def test_aligned_patches_begin_at_chunks_and_stay_inside(shape, patch, chunk, random):
    wish = np.array([random.randint(0, n) for n in shape])
    start = align(place_within(wish, shape, patch), shape, patch, chunk)
    for low, n, p, c in zip(start, shape, patch, chunk, strict=True):
        if p <= n:
            assert low % c == 0
            assert 0 <= low <= n - p


@given(st.integers(1, 200), st.integers(1, 9), st.booleans())
def test_ranks_share_an_epoch_without_duplicates(samples, world_size, drop_last):
    world_size = min(samples, world_size)
    plans = [
        EpochPlan(0, samples, rank, world_size, drop_last=drop_last) for rank in range(world_size)
    ]
    numbers = sorted(itertools.chain.from_iterable(plan.numbers for plan in plans))
    assert numbers == list(range(samples - samples % world_size if drop_last else samples))
    if drop_last:
        assert len({len(plan.numbers) for plan in plans}) == 1


@pytest.mark.parametrize(
    ("rank", "world_size", "samples", "seed"),
    [(2, 2, 9, 0), (-1, 2, 9, 0), (0, 3, 2, 0), (0, 1, 5, -1), (0, 1, 5, 1 << 32)],
)
def test_impossible_plans_are_refused(rank, world_size, samples, seed):
    with pytest.raises(UsageError):
        EpochPlan(seed, samples, rank, world_size)


def test_a_round_picks_each_once_and_rounds_and_epochs_differ():
    plan = EpochPlan(7, 60)
    orders = {
        tuple(plan.turn(epoch, number).pick(20) for number in range(20 * turn, 20 * turn + 20))
        for epoch in range(3)
        for turn in range(3)
    }
    assert len(orders) == 9
    assert all(sorted(order) == list(range(20)) for order in orders)


@pytest.mark.parametrize("sampler", SAMPLERS, ids=lambda sampler: type(sampler).__name__)
@pytest.mark.parametrize("chunk_aligned", [False, True])
def test_patches_hold_the_voxels_of_their_place(root, sampler, chunk_aligned):
    dataset = PatchDataset(
        root,
        patch=PATCH,
        sampler=sampler,
        samples=15,
        chunk_aligned=chunk_aligned,
        image_padding=-5,
        label_padding=99,
    )
    for sample in dataset:
        image, label = voxels_of(int(sample["case"].removeprefix("case_")))
        wide_image = np.pad(image, ((0, 0), *[(16, 16)] * 3), constant_values=-5)
        wide_label = np.pad(label, 16, constant_values=99)
        box = tuple(slice(s + 16, s + 32) for s in sample["start"])
        np.testing.assert_array_equal(sample["image"], wide_image[:, *box])
        np.testing.assert_array_equal(sample["labels"]["organ"], wide_label[box])


def test_uniform_patches_reach_every_voxel(root):
    dataset = PatchDataset(root, patch=PATCH, cases=["case_2"], samples=3000)
    seen = np.zeros(SHAPES[2], bool)
    for number in range(3000):
        start = dataset.sampler.draw(dataset.pool, dataset.plan.turn(0, number)).start
        seen[tuple(slice(s, s + 16) for s in start)] = True
    assert seen.all()


@pytest.mark.parametrize("share", [0, 0.25, 1 / 3, 0.5, 1])
def test_of_any_consecutive_samples_the_share_has_foreground(root, share):
    patch = (3, 3, 3)
    sampler = Foreground("organ", share=share, classes=(2,))
    for rank in range(2):
        dataset = PatchDataset(
            root,
            patch=patch,
            sampler=sampler,
            cases=["case_1", "case_2"],
            samples=96,
            rank=rank,
            world_size=2,
        )
        hits = [bool((sample["labels"]["organ"] == 2).any()) for sample in dataset]
        for batch in (2, 3, 8):
            batches = zip(*[iter(hits)] * batch, strict=False)
            assert all(sum(part) >= int(batch * share) for part in batches)
        assert sum(hits) <= 48 * share + 5  # the corner voxel is hardly ever hit by chance


def test_balanced_samples_have_every_class_equally_often(root):
    dataset = PatchDataset(root, patch=(3, 3, 3), sampler=Balanced("organ", (1, 2)), samples=40)
    centres = [
        tuple(zip(np.unique(sample["labels"]["organ"]).tolist(), strict=True)) for sample in dataset
    ]
    assert sum((2,) in values for values in centres) == 20
    assert sum((1,) in values for values in centres) == 20


def test_a_class_that_no_case_has_is_named(root):
    for sampler in (Balanced("organ", (1, 9)), Foreground("organ", classes=(9,))):
        with pytest.raises(UsageError, match="no case has class 9"):
            PatchDataset(root, patch=PATCH, sampler=sampler, samples=2)


def test_a_grid_covers_every_voxel_of_every_case(root):
    ranks = [
        PatchDataset(
            root, patch=PATCH, sampler=Grid((9, 16, 7)), rank=rank, world_size=3, drop_last=False
        )
        for rank in range(3)
    ]
    places = [
        (s["case"], *map(int, s["start"])) for s in itertools.chain.from_iterable(map(iter, ranks))
    ]
    assert max(Counter(places).values()) == 1
    for number, shape in enumerate(SHAPES):
        covered = np.zeros(np.add(shape, 32), bool)
        for case, *start in places:
            if case == f"case_{number}":
                covered[tuple(slice(s + 16, s + 32) for s in start)] = True
        assert covered[tuple(slice(16, 16 + n) for n in shape)].all()


def test_the_same_seed_gives_the_same_stream_and_another_seed_another(root):
    def stream(seed: int) -> list[tuple[Any, ...]]:
        dataset = PatchDataset(root, patch=PATCH, samples=10, seed=seed)
        return traces(itertools.chain(dataset, dataset))

    assert stream(1) == stream(1)
    assert stream(1) != stream(2)
    first, second = stream(1)[:10], stream(1)[10:]
    assert [trace[2:] for trace in first] != [trace[2:] for trace in second]


@pytest.mark.parametrize("threads", [1, 3])
def test_reading_ahead_keeps_the_stream(root, threads):
    ahead, plain = (PatchDataset(root, patch=PATCH, samples=17) for _ in range(2))
    assert traces(ahead.prefetched(threads)) == traces(plain)
    assert ahead.state_dict() == plain.state_dict()


@pytest.mark.parametrize("taken", [0, 1, 6, 9])
def test_a_resumed_stream_goes_on_with_the_next_sample(root, taken):
    def make() -> PatchDataset:
        return PatchDataset(root, patch=PATCH, samples=20, seed=3, rank=1, world_size=2)

    whole = make()
    expected = traces(itertools.chain(whole, whole))
    broken = make()
    begun = traces(itertools.islice(broken.prefetched(2), taken))
    state = json.loads(json.dumps(broken.state_dict()))
    resumed = make()
    resumed.load_state_dict(state)
    assert begun + traces(itertools.chain(resumed, resumed)) == expected


def test_a_state_of_another_stream_is_refused(root):
    state = PatchDataset(root, patch=PATCH, samples=20, seed=3).state_dict()
    with pytest.raises(UsageError, match="seed 3"):
        PatchDataset(root, patch=PATCH, samples=20, seed=4).load_state_dict(state)


def test_a_pickled_dataset_gives_the_same_samples(root):
    dataset = PatchDataset(root, patch=PATCH, sampler=Foreground("organ"), samples=8)
    assert traces(pickle.loads(pickle.dumps(dataset))) == traces(dataset)


@pytest.mark.parametrize(
    "wrong",
    [
        {"cases": []},
        {"cases": ["nobody"]},
        {"patch": (4, 4)},
        {"patch": (4, 0, 4)},
        {"rank": 1},
    ],
)
def test_impossible_datasets_are_refused(root, wrong):
    with pytest.raises(UsageError):
        PatchDataset(root, **{"patch": PATCH, **wrong})


def test_a_label_that_is_not_there_is_named(root):
    with pytest.raises(UsageError, match="tumour"):
        PatchDataset(root, patch=PATCH, labels=["tumour"])
    with pytest.raises(UsageError, match="tumour"):
        PatchDataset(root, patch=PATCH, sampler=Foreground("tumour", share=1))


def test_a_padding_the_dtype_cannot_hold_is_refused(root):
    dataset = PatchDataset(root, patch=(40, 40, 40), image_padding=1 << 40)
    with pytest.raises(UsageError, match="does not fit"):
        dataset[0]
    with pytest.raises(UsageError, match="fits no integer"):
        PatchDataset(root, patch=PATCH, label_padding=1 << 70)


def test_labels_are_wide_enough_for_their_padding(root):
    label = PatchDataset(root, patch=(40, 40, 40), label_padding=-1)[0]["labels"]["organ"]
    assert label.dtype == np.int16
    assert set(np.unique(label)) <= {-1, 0, 1, 2}
    assert label[0, 0, 0] == -1


def test_cases_are_filtered_by_their_record(root):
    cohort = open_cohort(root)
    found = filter_cases(cohort, lambda record: record["attributes"]["site"] == "A")
    assert found == ("case_1", "case_3")
