"""The rules of the house that a reader of the tree can check: who imports whom, size, lightness, names."""

import ast
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

import gpuprep

PACKAGE = Path(gpuprep.__file__).parent
TESTS = Path(__file__).parent
CEILING = 300

# Every room from the bottom up, and the rooms below it that it may import; its own files always.
MAY_IMPORT: dict[str, str] = {
    "values": "",
    "config": "values",
    "host": "values",
    "kernels": "",
    "device": "values kernels",
    "ops": "values host kernels device",
    "io": "values config host",
    "drawing": "values host",
    "store": "values host drawing",
    "cohort": "values io store",
    "preprocess": "values config host device ops io store",
    "planning": "values config host ops io cohort preprocess",
    "ledger": "values config host ops store cohort",
    "export": "values host ops io store",
    "viewing": "values config ops io drawing store cohort preprocess ledger export",
    "quality": "values config host store ledger viewing",
    "executors": "values config host device ops io store preprocess ledger",
    "running": "values config host store cohort preprocess planning ledger quality executors",
    "training": "values host device ops store",
    "inference": "values store",
    "service": "values config host device ops io store cohort preprocess planning ledger executors running "
    "inference export viewing quality drawing",
    "client": "values store",
    "nnunet": "values config host ops io store cohort preprocess planning ledger executors running export",
    "advice": "values config host ops io store cohort planning preprocess ledger nnunet",
    "cli": "values config host device ops io store cohort preprocess planning ledger executors running "
    "training inference export viewing quality service client drawing nnunet advice",
}
# What these rooms may import beside the standard library and this package.
LIBRARIES: dict[str, set[str]] = {
    "values": {"numpy"},
    "host": {"numpy", "cupy"},
    "kernels": {"numpy", "cupy"},
    "device": {"numpy", "cupy", "nvidia"},
    "ops": {"numpy", "cupy"},
}


def name_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(tree: ast.AST) -> set[str]:
    """Modules and names, dotted, of every import below a node."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


TREES = {name_of(path): ast.parse(path.read_text("utf-8")) for path in PACKAGE.rglob("*.py")}
IMPORTS = {module: imported(tree) for module, tree in TREES.items()}
ROOMS = {
    module: module.split(".")[1] for module in TREES if module.count(".") and "__" not in module
}


def test_every_room_imports_only_what_the_table_allows() -> None:
    assert set(ROOMS.values()) == set(MAY_IMPORT), "say in MAY_IMPORT where a room stands"
    wrong = {
        (module, other)
        for module, room in ROOMS.items()
        for other in IMPORTS[module]
        if other == "gpuprep"
        or (
            other.startswith("gpuprep.")
            and other.split(".")[1] not in (room, *MAY_IMPORT[room].split())
        )
    }
    assert not wrong


def test_the_table_runs_one_way() -> None:
    order = list(MAY_IMPORT)
    for room, others in MAY_IMPORT.items():
        assert set(others.split()) <= set(order[: order.index(room)]), room


def test_no_module_imports_itself_by_a_detour() -> None:
    at_start = {
        module: {
            name if name in TREES else name.rpartition(".")[0]
            for statement in tree.body
            for name in imported(statement)
            if isinstance(statement, ast.Import | ast.ImportFrom)
        }
        & set(TREES)
        for module, tree in TREES.items()
    }
    while leaves := {module for module, others in at_start.items() if not others & set(at_start)}:
        for module in leaves:
            del at_start[module]
    assert not at_start, "these modules import one another in a circle"


def test_low_rooms_use_few_libraries() -> None:
    wrong = {
        (module, library)
        for module, room in ROOMS.items()
        for library in {name.split(".")[0] for name in IMPORTS[module]}
        if room in LIBRARIES
        and library not in (*sys.stdlib_module_names, "gpuprep", *LIBRARIES[room])
    }
    assert not wrong


def test_dask_is_imported_by_executors_alone() -> None:
    libraries = {"dask", "distributed", "dask_jobqueue", "dask_kubernetes"}
    users = {
        room
        for module, room in ROOMS.items()
        if libraries & {name.split(".")[0] for name in IMPORTS[module]}
    }
    assert users == {"executors"}


def test_the_hall_is_empty_and_files_are_short_and_named_for_something() -> None:
    assert {path.name for path in PACKAGE.glob("*.py")} == {"__init__.py", "__main__.py"}
    long = {
        str(path)
        for path in (*PACKAGE.rglob("*.py"), *TESTS.rglob("*.py"))
        if len(path.read_text("utf-8").splitlines()) > CEILING
    }
    assert not long
    banned = {"utils", "util", "helpers", "helper", "common", "manager", "misc"}
    assert not {module for module in TREES if banned & set(module.split(".")[-1].split("_"))}


def test_scripts_inside_tests_import_what_is_there() -> None:
    """They are text, which neither a rename nor a type check reaches; some tests expect them to fail."""
    line = re.compile(r"^(?:from (gpuprep[.\w]*) )?import ([\w, ]+)$", re.MULTILINE)
    wrong = set()
    for path in TESTS.rglob("*.py"):
        for module, names in line.findall(path.read_text("utf-8")):
            for name in names.split(", ") if module else ():
                name = name.split(" as ")[0]
                if f"{module}.{name}" not in TREES and not (
                    module in TREES and hasattr(importlib.import_module(module), name)
                ):
                    wrong.add((path.name, f"{module}.{name}"))
    assert not wrong


def test_tests_wait_for_something_and_never_just_sleep() -> None:
    """``support.runs.wait_until`` polls with a deadline; a script inside a test may hang on purpose."""
    sleepers = {
        str(path.relative_to(TESTS))
        for path in TESTS.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("time.sleep", "sleep")
    }
    assert sleepers <= {"support/runs.py"}


@pytest.mark.parametrize(
    "statement", ["import gpuprep", "import gpuprep.cli.app", "import gpuprep.cohort.discover"]
)
def test_import_is_light(statement: str) -> None:
    heavy = {"cupy", "SimpleITK", "dask", "distributed", "torch", "nibabel", "pydicom", "zarr"}
    script = f"{statement}\nimport sys; print(' '.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert not (heavy | {"scipy"}) & {name.split(".")[0] for name in done.stdout.split()}


def test_public_names_are_what_is_promised_and_documented() -> None:
    promised = [
        *(
            "Case",
            "Client",
            "Cohort",
            "CohortWarning",
            "Config",
            "Geometry",
            "GpuprepError",
            "RunReport",
        ),
        "RunState",
        *("load_config", "open", "open_case", "run", "status"),
    ]
    assert gpuprep.__all__ == promised
    for name in promised:
        assert getattr(gpuprep, name).__doc__, name
    for name in promised:  # also once everything is loaded: no room's name hides a public one
        assert callable(getattr(gpuprep, name)), name
    with pytest.raises(AttributeError):
        gpuprep.nothing  # noqa: B018


def test_no_two_files_of_tests_share_a_name() -> None:
    """Folders without ``__init__.py`` are one namespace for pytest, which then collects neither of both."""
    files = [
        path for path in TESTS.rglob("test_*.py") if not (path.parent / "__init__.py").exists()
    ]
    names = [path.name for path in files]
    assert sorted({name for name in names if names.count(name) > 1}) == []
