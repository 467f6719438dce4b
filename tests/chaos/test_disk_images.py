"""The power goes at any moment of a run on a real ext4 or XFS: nothing is wrong, nothing reported is lost.

GPUPREP_MOMENTS (10) of each run are looked at; there are a thousand or more.
"""

from __future__ import annotations

import itertools
import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from chaos.disk_images import Moment, make_image, moments, mounted, refusal, scenario_of
from chaos.recorded_runs import write_inputs
from support.cohorts import contents

from gpuprep.store.places import case_ids, to_place
from gpuprep.store.verify import verify_cohort

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("reads_here")]

CASES = 8
CHECKED = int(os.environ.get("GPUPREP_MOMENTS") or 10)


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder on XFS, with the inputs."""
    work = tmp_path_factory.mktemp("images").resolve()
    if why := refusal(work):
        pytest.skip(why)
    write_inputs(work / "inputs", CASES)
    with mounted(make_image(work / "disk.img", "xfs", 8 << 30), work / "disk") as folder:
        yield folder


def by_case(output: Path) -> dict[str, dict[str, bytes]]:
    """The files of each visible case."""
    found: dict[str, dict[str, bytes]] = {}
    if (output / "cases").is_dir():
        for name, content in contents(output).items():
            case = name.split("/")[1]
            if (output / "cases" / case / "record.json").is_file():
                found.setdefault(case.removesuffix(".zarr"), {})[name] = content
    return found


def taken(disk: Path, kind: str, name: str) -> tuple[list[Moment], Path, Path]:
    """Moments of a run on a file system of that kind; what was there before, and after it."""
    scenario, image = scenario_of(name), make_image(disk / f"{kind}-{name}.img", kind)
    inputs, before, after = disk.parent / "inputs", disk / "before", disk / "after"
    for folder in (before, after):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
    with mounted(image, disk / "world") as world:
        if scenario.before:
            assert scenario_of(scenario.before).carry_out(inputs, world / "out") == 0
            shutil.copytree(world / "out", before / "out")
    with mounted(image, disk / "world") as world:
        found = list(moments(image, name, inputs, world / "out"))
        shutil.copytree(world / "out", after / "out")
    return found, before / "out", after / "out"


def chosen(found: list[Moment]) -> Iterator[Moment]:
    """Moments by chance, as many before the first report as between any two."""
    groups = [list(group) for _, group in itertools.groupby(found, lambda each: each.reported)]
    assert len(groups) > CASES // 2, "the run was seen at work"
    for group in itertools.islice(itertools.cycle(groups), CHECKED):
        yield random.choice(group)


@pytest.mark.parametrize("name", ["fresh", "other"])
@pytest.mark.parametrize("kind", ["ext4", "xfs"])
def test_the_power_goes_at_any_moment(disk, kind, name):
    found, before, after = taken(disk, kind, name)
    old, new = by_case(before), by_case(after)
    assert len(new) == CASES
    for moment in chosen(found):
        with mounted(moment.image, disk / "copy") as world:
            output = world / "out"
            there = by_case(output)
            for case, files in there.items():
                reported = case in moment.reported
                assert files == new[case] or (files == old.get(case) and not reported), case
            assert moment.reported | set(old) <= set(there)
            if (output / "cases").is_dir():
                kinds = {problem.kind for problem in verify_cohort(output, full=True)}
                assert kinds <= {"not current"}
            assert scenario_of(name).carry_out(disk.parent / "inputs", output) == 0
            assert verify_cohort(output, full=True) == []
            assert by_case(output) == new
            assert not list(output.glob(".staging/*"))
            assert not list(output.glob("cases/.*"))


@pytest.mark.parametrize("kind", ["ext4", "xfs"])
def test_without_fsync_damage_is_found(disk, kind):
    found, _, _ = taken(disk, kind, "careless")
    damage = 0
    for moment in found[-3:]:
        with mounted(moment.image, disk / "copy") as world:
            output = world / "out"
            there = case_ids(to_place(output), finished=True) if output.is_dir() else set()
            damage += len(moment.reported - there)
            damage += len(verify_cohort(output, full=True)) if there else 0
    assert damage
