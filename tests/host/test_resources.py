"""Limits of containers and batch jobs, as the kernel's files show them in both versions of control groups."""

import math
from pathlib import Path

import pytest

from gpuprep.host import resources
from gpuprep.host.resources import core_quota, memory_left, memory_most

GIB = 1 << 30


@pytest.fixture
def machine(tmp_path):
    """Writes files below a folder in place of ``/sys/fs/cgroup``; returns it and the process' own list."""

    def write(own: str, files: dict[str, str]) -> tuple[Path, Path]:
        for name, text in files.items():
            file = tmp_path / "cgroup" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        listed = tmp_path / "own"
        listed.write_text(own)
        return tmp_path / "cgroup", listed

    return write


def test_a_job_of_slurm_is_limited_by_a_group_around_its_step(machine):
    job = "system.slice/slurmstepd.scope/job_7"
    place = machine(
        f"0::/{job}/step_0/user/task_0\n",
        {
            f"{job}/memory.max": f"{16 * GIB}\n",
            f"{job}/memory.current": f"{6 * GIB}\n",
            f"{job}/memory.stat": f"anon 1\ninactive_file {4 * GIB}\nactive_file 5\n",
            f"{job}/step_0/memory.max": "max\n",
            f"{job}/step_0/memory.current": f"{6 * GIB}\n",
            f"{job}/cpu.max": "max 100000\n",
        },
    )
    assert memory_left(*place) == 14 * GIB  # what was read from files can be dropped
    assert core_quota(*place) == math.inf


def test_the_smallest_limit_counts(machine):
    place = machine(
        "0::/a/b\n",
        {
            **{"a/memory.max": str(8 * GIB), "a/memory.current": str(7 * GIB)},
            **{"a/b/memory.max": str(6 * GIB), "a/b/memory.current": str(2 * GIB)},
            **{"a/cpu.max": "150000 100000", "a/b/cpu.max": "400000 100000"},
        },
    )
    assert memory_left(*place) == GIB
    assert memory_most(*place) == 6 * GIB
    assert core_quota(*place) == 1.5


def test_version_1_has_a_tree_for_each_controller(machine):
    place = machine(
        "5:memory:/docker/abc\n4:cpu,cpuacct:/docker/abc\n3:cpuset:/\n",
        {
            "memory/docker/abc/memory.limit_in_bytes": str(4 * GIB),
            "memory/docker/abc/memory.usage_in_bytes": str(3 * GIB),
            "memory/docker/abc/memory.stat": f"inactive_file 1\ntotal_inactive_file {GIB}\n",
            "memory/memory.limit_in_bytes": "9223372036854771712",
            "memory/memory.usage_in_bytes": str(90 * GIB),
            "cpu,cpuacct/docker/abc/cpu.cfs_quota_us": "250000",
            "cpu,cpuacct/docker/abc/cpu.cfs_period_us": "100000",
            "cpu,cpuacct/cpu.cfs_quota_us": "-1",
            "cpu,cpuacct/cpu.cfs_period_us": "100000",
        },
    )
    assert memory_left(*place) == 2 * GIB
    assert core_quota(*place) == 2.5


def test_no_limit_and_no_control_groups(machine, tmp_path):
    place = machine("0::/\n", {"memory.stat": "inactive_file 1\n"})
    absent = (tmp_path / "none", tmp_path / "none")
    for where in (place, absent):
        assert memory_left(*where) == math.inf
        assert memory_most(*where) == math.inf
        assert core_quota(*where) == math.inf


def test_a_full_group_leaves_nothing(machine):
    place = machine("0::/\n", {"memory.max": str(GIB), "memory.current": str(GIB + 4096)})
    assert memory_left(*place) == 0


@pytest.mark.parametrize(("quota", "cores"), [(0.5, 1), (1.9, 1), (1e9, None), (math.inf, None)])
def test_a_run_takes_whole_cores_and_at_least_one(quota, cores, monkeypatch):
    unlimited = resources.available_cores()
    monkeypatch.setattr(resources, "core_quota", lambda: quota)
    assert resources.available_cores() == (cores or unlimited)


def test_a_run_takes_no_more_memory_than_its_group_has(monkeypatch):
    monkeypatch.setattr(resources, "memory_left", lambda: 1.5 * GIB)
    assert resources.available_memory() <= 1.5 * GIB
