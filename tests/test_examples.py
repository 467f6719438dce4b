"""The examples in docstrings run, and every public function and every planner has one.

They run in a folder that holds ``scans/`` (two CT-like pairs) and ``cohort/`` (those pairs, stored).
"""

import ast
import doctest
import importlib.util
import inspect
import pkgutil
from pathlib import Path

import pytest
from support.cohorts import run, write_pair

import gpuprep

pytestmark = pytest.mark.usefixtures("reads_here")

MODULES = [
    module.name
    for module in pkgutil.walk_packages(gpuprep.__path__, "gpuprep.")
    if module.name != "gpuprep.__main__"
]
PLANNERS = (
    "values.grids.map_spacing",
    "values.grids.map_shape",
    "values.grids.map_onto",
    "values.stack.stack_of",
    "ops.axis.axis_weights",
    "ops.axis.antialias_sigma",
    "ops.resample.resample",
    "preprocess.intensity.fold_steps",
)
PUBLIC = (
    "gpuprep",
    *(f"gpuprep.{room}" for room in ("training", "export", "inference", "viewing")),
)


def has_examples(name: str) -> bool:
    tree = ast.parse(Path(importlib.util.find_spec(name).origin).read_text("utf-8"))
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    texts = [ast.get_docstring(node) for node in ast.walk(tree) if isinstance(node, documented)]
    return any(">>> " in (text or "") for text in texts)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("examples")
    (made / "scans").mkdir()
    for number in range(2):
        write_pair(made / "scans", number)
    assert run(made / "scans", made / "cohort").exit_code == 0
    return made


@pytest.mark.parametrize("name", [name for name in MODULES if has_examples(name)])
def test_examples_give_what_they_say(
    name: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    outcome = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert outcome.attempted
    assert not outcome.failed


def test_planners_have_examples() -> None:
    for planner in PLANNERS:
        module, _, name = f"gpuprep.{planner}".rpartition(".")
        assert ">>> " in getattr(importlib.import_module(module), name).__doc__, planner


def test_public_functions_have_examples() -> None:
    for room in map(importlib.import_module, PUBLIC):
        for name in room.__all__:
            each = getattr(room, name)
            assert not inspect.isfunction(each) or ">>> " in each.__doc__, name
