"""The power goes at any step of a run: no case is half or wrong, no reported one is lost, a rerun mends.

Every state is looked at as it is. GPUPREP_CUTS of them (600) are written down, checked by ``verify`` and
mended by the same command.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from chaos.cut_disk import Disk, write_tree
from chaos.faulty_disk import library
from chaos.power_cuts import MODELS, Cut, Recording
from chaos.recorded_runs import SCENARIOS
from support.cohorts import contents

from gpuprep.store.verify import verify_cohort

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("reads_here")]

TESTS = Path(__file__).parents[1]
CHANCES = 4  # states by chance, beside the extremes, after each step
MENDED = int(os.environ.get("GPUPREP_CUTS") or 600)
LEAST = 40  # of each scenario, or all of them
NAMES = [scenario.name for scenario in SCENARIOS]
CAREFUL = [name for name in NAMES if name != "careless"]


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Recording]:
    work = tmp_path_factory.mktemp("recorded").resolve()
    preloaded = {"LD_PRELOAD": str(library(TESTS / "chaos/disk_recorder.c"))}
    path = os.pathsep.join((str(TESTS), str(TESTS.parent), os.environ.get("PYTHONPATH", "")))
    subprocess.run(
        [sys.executable, "-m", "chaos.recorded_runs", str(work)],
        env={**os.environ, **preloaded, "PYTHONPATH": path},
        check=True,
        timeout=120,
    )
    return {scenario.name: Recording(scenario, work) for scenario in SCENARIOS}


@pytest.fixture(scope="module")
def cuts(recordings) -> dict[str, list[Cut]]:
    """Of each scenario every state, in all models."""
    return {
        name: [cut for model in MODELS for cut in recording.cuts(model, CHANCES)]
        for name, recording in recordings.items()
    }


@pytest.fixture
def in_memory(tmp_path: Path) -> Iterator[Path]:
    """A folder whose fsyncs cost nothing, where the system has one."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(prefix="gpuprep-cuts-", dir=memory) as folder:
        yield Path(folder)


@pytest.mark.parametrize("name", NAMES)
def test_the_recorder_has_seen_every_step(recordings, name):
    recording = recordings[name]
    disk = Disk("strict", recording.before)
    for step in recording.steps:
        disk.apply(step)
    assert disk.now() == recording.after
    assert recording.before != recording.after


@pytest.mark.parametrize("name", CAREFUL)
def test_no_case_is_wrong_and_none_that_was_reported_is_lost(recordings, cuts, name):
    recording = recordings[name]
    for cut in cuts[name]:
        assert not recording.wrong(cut), (cut.model, cut.steps)
        assert not recording.lost(cut), (cut.model, cut.steps)


def test_ten_thousand_states_are_looked_at(cuts):
    assert sum(len(cuts[name]) for name in CAREFUL) >= 10_000


def test_without_fsync_damage_is_found(recordings, cuts):
    recording = recordings["careless"]
    found: Counter[str] = Counter()
    for cut in cuts["careless"]:
        found[f"{cut.model} wrong"] += bool(recording.wrong(cut))
        found[f"{cut.model} lost"] += bool(recording.lost(cut))
    assert min(found.values()) > 100, found
    assert len(found) == 2 * len(MODELS)


@pytest.mark.timeout(7200)  # by hand all of them may be asked for
@pytest.mark.parametrize("name", CAREFUL)
def test_the_same_command_mends(recordings, cuts, in_memory, name):
    recording, ends = recordings[name], recordings[name].scenario.ends
    share = MENDED / sum(len(cuts[each]) for each in CAREFUL)
    chosen = cuts[name][:: max(1, min(int(1 / share), len(cuts[name]) // LEAST))]
    wanted = contents(recording.work / name / "out")
    for number, cut in enumerate(chosen):
        world = in_memory / str(number)
        write_tree(cut.state, world)
        where = (cut.model, cut.steps)
        if (world / "out/cases").is_dir():
            problems = verify_cohort(world / "out", full=True)
            assert {problem.kind for problem in problems} <= {"not current"}, (where, problems)
        assert recording.scenario.carry_out(recording.work / "inputs", world / "out") == ends, where
        assert verify_cohort(world / "out", full=True) == [], where
        assert contents(world / "out") == wanted, where
        staging = world / "out/.staging"
        assert not staging.is_dir() or not any(staging.iterdir()), where
        assert not list(world.glob("out/cases/.*")), where
        shutil.rmtree(world)
