"""The rules of the design that a reader of the tree can check: direction of imports, size, lightness."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import gpuprep

PACKAGE = Path(gpuprep.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))
CEILING = 300

# Every room, from the bottom up. A module may import its own room and the rooms before it, except that
# the rooms of one row do not know one another.
ROWS: list[set[str]] = [
    {"errors", "failpoints", "findings", "geometry", "stack", "volume", "case", "grids", "events"}
    | {"strict", "config_resample", "config_run", "config_cluster", "config"},
    {
        "config_file",
        "backend",
        "kernels",
        "device",
        "interrupts",
        "owner",
        "scratch",
        "certificates",
        "cgroups",
    },
    {"io", "ops", "store"},
    {"layouts", "resolve", "fingerprint"},
    {"cohort", "plan", "footprint"},
    {"assemble"},
    {"prepare"},
    {"record", "compute", "pyramid", "worker", "output", "selection"}
    | {"run_state", "run_log", "breakdown", "metrics"},
    {"executors"},
    {"retries", "backlog", "watch", "crew", "desk", "tally", "passes", "workforce"}
    | {"coordinator", "index", "reference", "preview", "training", "inference"},
    {"progress", "inspection", "picture", "export", "terminal", "failures", "status_page"},
    {"doctor", "demo", "bench"},
    {"cli", "cli_cases", "cli_bench", "cli_run", "cli_outputs", "cli_cluster"},
]
FREE_ROWS = {0, 1, 4, 7, 9, 10, 11, 12}  # rows whose rooms may know one another
RANK = {room: row for row, rooms in enumerate(ROWS) for room in rooms}


def room(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def name_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_run_one_way(path: Path) -> None:
    own = room(name_of(path))
    if not own:
        return
    assert own in RANK, f"say in this test where {own} stands"
    for module in imports(path):
        other = room(module)
        if not module.startswith("gpuprep.") or other in ("", own, "__version__"):
            continue
        assert RANK[other] <= RANK[own], f"{own} must not import {other}"
        if RANK[other] == RANK[own]:
            assert RANK[own] in FREE_ROWS, f"{own} and {other} must not know one another"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_array_work_imports_only_numpy(path: Path) -> None:
    if room(name_of(path)) not in ("ops", "kernels"):
        return
    foreign = {module.split(".")[0] for module in imports(path)} - set(sys.stdlib_module_names)
    assert foreign <= {"numpy", "cupy", "gpuprep"}
    assert not any(module.startswith("gpuprep.config.model") for module in imports(path))


def test_dask_is_imported_by_executors_alone() -> None:
    users = {
        room(name_of(path))
        for path in MODULES
        if {"dask", "distributed"} & {module.split(".")[0] for module in imports(path)}
    }
    assert users == {"executors"}


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_files_stay_short(path: Path) -> None:
    assert len(path.read_text("utf-8").splitlines()) <= CEILING


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_names_say_something(path: Path) -> None:
    banned = {"utils", "util", "helpers", "helper", "common", "manager", "misc"}
    assert not banned & set(path.stem.split("_"))


def loaded_by(statement: str) -> set[str]:
    script = f"{statement}\nimport sys; print(' '.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return {name.split(".")[0] for name in done.stdout.split()}


@pytest.mark.parametrize("statement", ["import gpuprep", "import gpuprep.cli.app"])
def test_import_is_light(statement: str) -> None:
    heavy = {
        "cupy",
        "SimpleITK",
        "dask",
        "distributed",
        "torch",
        "nibabel",
        "pydicom",
        "zarr",
        "scipy",
    }
    assert not heavy & loaded_by(statement)


def test_public_names_exist_and_are_documented() -> None:
    for name in gpuprep.__all__:
        assert getattr(gpuprep, name).__doc__, name
    with pytest.raises(AttributeError):
        gpuprep.nothing  # noqa: B018
