"""The page for operators: its settings are whole and valid, its unit ends the service alone."""

from __future__ import annotations

import configparser
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from gpuprep.service.settings import Profile, Settings, load_settings
from guide.pages import Block, blocks

GIVEN = {"names", "behind_proxy", "roots", "profiles"}
"""Keys that the example sets to something else than they are if left out."""


def block(language: str) -> Block:
    return next(each for each in blocks("operating") if each.language == language)


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    folder = tmp_path_factory.mktemp("srv")
    (folder / "scans").mkdir()
    (folder / "service.yaml").write_text(block("yaml").text, "utf-8")
    return load_settings(folder)


def keys(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from keys(inner, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def given(tree: Any, model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, value in tree.items():
        inner = model.model_fields[name].annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from given(value, inner, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def test_all_settings_are_valid() -> None:
    for each in blocks("operating"):
        if each.mark == "settings":
            Settings.model_validate(yaml.safe_load(each.text))


def test_the_settings_have_every_key() -> None:
    tree = yaml.safe_load(block("yaml").text)
    assert set(given(tree, Settings)) == set(keys(Settings))
    assert set(tree["profiles"]["ct"]) == set(Profile.model_fields)


def test_the_settings_have_the_defaults(settings: Settings) -> None:
    plain = Settings()
    for name in set(Settings.model_fields) - GIVEN:
        assert getattr(settings, name) == getattr(plain, name), name
    profile, other = settings.profiles["ct"], Profile()
    assert (profile.queue, profile.seconds) == (other.queue, other.seconds)


def test_every_key_is_explained() -> None:
    silent = [line for line in block("yaml").text.splitlines() if "#" not in line]
    bare = {line.split(":")[0].strip() for line in silent}
    assert bare <= {"version", "ct", "tls_key", "limits", "webhooks", "tries"}


def test_the_unit_ends_the_service_alone() -> None:
    unit = configparser.ConfigParser(interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string(block("ini").text)
    assert unit["Service"]["KillMode"] == "process"
    assert "PrivateTmp" not in unit["Service"]
    folder = Path(unit["Service"]["ReadWritePaths"])
    assert f"--folder {folder} " in unit["Service"]["ExecStart"]
