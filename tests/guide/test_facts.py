"""What the README and the guide say is what the code has: keys, defaults, codes, commands, modules."""

from __future__ import annotations

import re
import typing
from collections.abc import Iterator
from typing import Any

import pytest
import typer
import yaml
from pydantic import BaseModel
from test_architecture import MAY_IMPORT

from gpuprep.cli.app import app
from gpuprep.config.intensity import IntensityStep
from gpuprep.config.model import Config
from gpuprep.values.failure import FailureCode
from gpuprep.values.units import parse_bytes
from gpuprep.values.windows import WINDOWS
from guide import findings
from guide.pages import GUIDE, ROOT, TEXTS, inline_code, table, tables

PACKAGE = GUIDE.parent
REQUIRED = object()


def model_in(annotation: Any) -> type[BaseModel] | None:
    """The model in ``Model`` or ``Model | None``; steps of a list have rows of their own."""
    for candidate in (annotation, *typing.get_args(annotation)):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
    return None


def keys(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every key below a model with its default."""
    for name, field in model.model_fields.items():
        key = f"{prefix}{field.alias or name}"
        inner = None if typing.get_origin(field.annotation) is tuple else model_in(field.annotation)
        if inner is None:
            yield (
                key,
                REQUIRED if field.is_required() else field.get_default(call_default_factory=True),
            )
        else:
            if key != "cluster.tls" and field.default is None and model is not IntensityStep:
                yield key, None
            yield from keys(inner, f"{key}.")


CONFIG_KEYS = dict([*keys(Config), *keys(IntensityStep)])
BLOCKS_OF_A_KIND = {"cluster.ssh", "cluster.slurm", "cluster.kubernetes"}  # named by their keys
ROWS = {
    row[0].strip("`"): row[1]
    for page in ("config", "intensity", "nnunet")
    for rows in tables(page)
    for row in rows[1:]
    if rows[0][:2] == ["key", "default"]
}


def default_of(cell: str) -> Any:
    """The value that a cell of the column ``default`` means."""
    if cell in ("required", "not set"):
        return REQUIRED if cell == "required" else None
    value = yaml.safe_load(cell.strip("`"))
    is_size = isinstance(value, str) and re.fullmatch(r"\d+GiB", value)
    return parse_bytes(value) if is_size else value


def test_the_config_page_has_every_key_and_no_other() -> None:
    of_outputs = {key for key in CONFIG_KEYS if key.startswith("outputs.")}
    meant = {key.removeprefix("image.") for key in CONFIG_KEYS} | {"channels", "resample", "store"}
    assert {key.removeprefix("outputs.") for key in of_outputs} <= meant
    told = {*CONFIG_KEYS, "outputs"} - of_outputs - BLOCKS_OF_A_KIND
    assert told == set(ROWS) - {"cluster.tls"}


@pytest.mark.parametrize("key", sorted(set(CONFIG_KEYS) & set(ROWS)))
def test_the_config_page_has_the_default(key: str) -> None:
    default = CONFIG_KEYS[key]
    if isinstance(default, tuple):
        default = list(default)
    assert default_of(ROWS[key]) == default


def test_the_findings_page_has_every_code_and_policy_as_the_code_has_it() -> None:
    assert findings.PAGE.read_text("utf-8").endswith("\n\n" + findings.table())


def test_the_runs_page_has_every_failure_code() -> None:
    told = [code.strip("`") for code, _ in table("runs", "code", "meaning")]
    assert told == [code.value for code in FailureCode]


def test_the_layouts_page_has_every_layout() -> None:
    known = set(
        typing.get_args(Config.model_fields["input"].annotation.model_fields["layout"].annotation)
    )
    told = {name.strip("`") for name, _ in table("layouts", "`input.layout`")}
    assert told == known - {"auto"}


def _commands(cell: str) -> list[str]:
    """Those that a cell names; several may share a line."""
    return re.findall(r"`gpuprep (\w+)", cell)


def test_the_readme_has_every_command_in_one_line() -> None:
    told = [name for row in table("README", "command") for name in _commands(row[0])]
    commands: Any = typer.main.get_command(app)
    assert sorted(told) == sorted(commands.commands)
    assert len(told) == len(set(told))
    for name in commands.commands["config"].commands:
        assert f"`{name}`" in TEXTS["README"] or f"config {name}" in TEXTS["README"]


def test_the_readme_has_every_extra() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    told = [name.strip("` ") for row in table("README", "extra") for name in row[0].split(",")]
    assert sorted(told) == sorted(project["optional-dependencies"])


def test_the_house_has_the_rooms_of_the_architecture_from_the_bottom_up() -> None:
    told = [name.strip("`/") for name, _ in table("house", "room")]
    assert told == [*MAY_IMPORT, "guide"]


def test_every_module_of_the_house_exists() -> None:
    named = [code for code in inline_code("house") if re.fullmatch(r"[\w./]+(\.py|/)", code)]
    assert len(named) > 60
    missing = [
        name for name in named if not any((base / name).exists() for base in (PACKAGE, ROOT))
    ]
    assert not missing


def test_json_is_known_by_the_commands_that_the_runs_page_names() -> None:
    commands: Any = typer.main.get_command(app)
    known = {
        name
        for name, each in commands.commands.items()
        if any("--json" in parameter.opts for parameter in each.params)
    }
    sentence = re.search(r"`--json` prints.*?know it\.", TEXTS["runs"], re.DOTALL)
    assert sentence
    assert set(re.findall(r"`(\w+)`", sentence[0])) == known


def test_the_windows_of_the_viewing_page_are_those_of_the_code() -> None:
    told = {name: (float(level), float(width)) for name, level, width in table("viewing", "window")}
    assert told == {each.name: (each.level, each.width) for each in WINDOWS.values()}
