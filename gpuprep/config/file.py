"""Reading configs: strict YAML, ``a.b=c`` overrides, and errors a person can act on."""

from __future__ import annotations

import difflib
import re
import typing
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from gpuprep.config.cluster import ClusterSpec
from gpuprep.config.model import Config
from gpuprep.values.errors import ConfigError, UsageError

_MOST_BYTES = 1 << 20  # of a config file


def load_config(path: Path | str | None, overrides: Iterable[str] = ()) -> Config:
    """The config of a YAML file (or all defaults) with ``key.path=value`` overrides applied.

    >>> load_config(None, ["image.resample.spacing=[1, 1, 2]"]).image.resample.spacing
    (1.0, 1.0, 2.0)

    The path of a reference volume, or of landmarks, is relative to the file that names it; in an override,
    to the working folder.

    Raises:
        ConfigError: the file cannot be read, or a key or value in it is wrong.
    """
    return parse_config(load_tree(path, overrides), str(path or "defaults"))


def load_tree(path: Path | str | None, overrides: Iterable[str] = ()) -> dict[str, Any]:
    """The same as the mapping that it is before it is checked: what was set, and nothing else."""
    tree: dict[str, Any] = {}
    if path is not None:
        tree = read_yaml(Path(path))
        anchor(tree, Path(path).parent)
    for override in overrides:
        _override(tree, override)
    anchor(tree, Path())
    return tree


def parse_config(tree: Mapping[str, Any], name: str = "config") -> Config:
    """The config of an already parsed mapping; ``name`` says in errors where it came from.

    >>> parse_config({"store": {"dtype": "int16"}}).store.dtype
    'int16'
    """
    try:
        return Config.model_validate(tree)
    except ValidationError as error:
        problems = explained(error, Config)
        raise ConfigError(
            f"{name} is not a valid config:\n{problems}",
            advice="gpuprep config show prints a complete config with every default",
        ) from None


def choose_scheduler(cluster: ClusterSpec, scheduler: str | None) -> ClusterSpec:
    """The config's cluster, or the one that ``--scheduler`` names: ``local``, an address or a .json file.

    Keys and limits stay those of the config.

    Raises:
        UsageError: it is none of these, or the config lacks what it needs.
    """
    if scheduler is None:
        return cluster
    kept = cluster.model_dump(exclude={"kind", "address", "ssh", "slurm", "kubernetes"})
    if scheduler == "local":
        return ClusterSpec.model_validate(kept)
    if not (scheduler.endswith(".json") or "://" in scheduler):
        raise UsageError(
            f"scheduler {scheduler!r} is not known",
            advice="use --scheduler local, serial, tls://host:port or a scheduler file (.json)",
        )
    try:
        return ClusterSpec.model_validate({**kept, "kind": "existing", "address": scheduler})
    except ValidationError as error:
        raise UsageError(
            f"--scheduler {scheduler}: {_explain(error.errors()[0], Config)}"
        ) from None


class _StrictLoader(yaml.SafeLoader):
    """YAML without duplicate keys, and with 1e-3 as a number."""


def _unique_mapping(loader: _StrictLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    keys = [loader.construct_object(key, deep=True) for key, _ in node.value]
    for key in keys:
        if keys.count(key) > 1:
            raise yaml.constructor.ConstructorError(
                None, None, f"key {key!r} is given twice", node.start_mark
            )
    return loader.construct_mapping(node, deep=True)


_StrictLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _unique_mapping)
_StrictLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)$"),
    list("-+0123456789."),
)


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a strict YAML file. Raises ConfigError where it holds none or cannot be read."""
    try:
        if path.exists() and not (path.is_file() and path.stat().st_size <= _MOST_BYTES):
            raise ConfigError(
                f"config {path} must be a plain file of at most {_MOST_BYTES:,} bytes"
            )
        tree = yaml.load(path.read_text("utf-8"), _StrictLoader)
    except OSError as error:
        raise ConfigError(f"cannot read config {path}: {error.strerror}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(f"{path} is not valid YAML: {error}") from None
    if not isinstance(tree, dict):
        raise ConfigError(f"{path} must hold a mapping of keys, not {type(tree).__name__}")
    return tree


def anchor(tree: dict[str, Any], folder: Path) -> None:
    """Make the paths of reference volumes and landmarks, which are relative to a folder, absolute."""
    outputs = tree.get("outputs")
    places = [tree.get("image"), *(outputs.values() if isinstance(outputs, dict) else ())]
    for place in places:
        node: Any = place.get("resample") if isinstance(place, dict) else None
        key = "reference"
        if isinstance(node, dict) and isinstance(node.get(key), dict):
            node, key = node[key], "path"
        if isinstance(node, dict) and isinstance(node.get(key), str) and node[key]:
            node[key] = str(folder.absolute() / node[key])
        _anchor_steps(place, folder)


def _anchor_steps(tree: Any, folder: Path) -> None:
    """The same of what intensity steps read, wherever they stand."""
    if isinstance(tree, dict):
        for step, key in (("nyul", "landmarks"), ("histogram_match", "reference")):
            node = tree.get(step)
            if isinstance(node, dict) and isinstance(node.get(key), str) and node[key]:
                node[key] = str(folder.absolute() / node[key])
    for each in tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ():
        _anchor_steps(each, folder)


def _override(tree: dict[str, Any], text: str) -> None:
    """Apply one ``a.b=c``; list items are addressed by number (``image.intensity.0.clip.low=-900``)."""
    keys, equals, value = text.partition("=")
    if not equals or not keys:
        raise ConfigError(f"override {text!r} is not of the form key.path=value")
    node: Any = tree
    *parents, last = keys.strip().split(".")
    try:
        for key in parents:
            node = node[int(key)] if isinstance(node, list) else node.setdefault(key, {})
        text_alone = value.startswith(
            "*"
        )  # a pattern for names, which YAML would take for an alias
        parsed = value if text_alone else yaml.load(value, _StrictLoader)
        node[int(last) if isinstance(node, list) else last] = parsed
    except (TypeError, ValueError, IndexError, AttributeError, RecursionError, yaml.YAMLError):
        raise ConfigError(f"override {text!r} does not fit the config at {keys!r}") from None


def explained(error: ValidationError, model: type[BaseModel]) -> str:
    """What is wrong in a tree that should be a ``model``, line by line."""
    return "\n".join(f"  {_explain(problem, model)}" for problem in error.errors())


def _explain(problem: Any, model: type[BaseModel]) -> str:
    """One pydantic problem as ``where: what``; unknown keys get the nearest known one."""
    where = ".".join(str(part) for part in problem["loc"]) or "top level"
    if problem["type"] == "extra_forbidden":
        known = _keys_at(model, problem["loc"][:-1])
        near = difflib.get_close_matches(str(problem["loc"][-1]), known, 1, 0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(known)}"
        return f"{where}: unknown key; {hint}"
    message = problem["msg"].removeprefix("Value error, ")
    given = problem.get("input")
    shown = f" (given: {given!r})" if isinstance(given, str | int | float | bool) else ""
    return f"{where}: {message[0].lower()}{message[1:]}{shown}"


def _keys_at(model: type[BaseModel], location: tuple[Any, ...]) -> list[str]:
    """The keys that are allowed at a place in a model."""
    is_name = False
    for part in location:
        field = next(
            (field for name, field in model.model_fields.items() if part in (name, field.alias)),
            None,
        )
        if is_name or field is None:
            is_name = False
            continue  # an index or a name stays within the model of the items
        nested = _model_in(field.annotation)
        if nested is None:
            return []
        model = nested
        is_name = typing.get_origin(field.annotation) is dict
    return [field.alias or name for name, field in model.model_fields.items()]


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The model class inside ``Model``, ``Model | None`` or ``tuple[Model, ...]``."""
    for candidate in (annotation, *typing.get_args(annotation)):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
    return None
