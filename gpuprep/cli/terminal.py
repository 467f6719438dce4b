"""What all commands share: how they are made, the two consoles, options, JSON on stdout."""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console

from gpuprep.cli.streams import is_utf8
from gpuprep.values.errors import UsageError
from gpuprep.values.geometry import Geometry

out = Console(soft_wrap=True, highlight=False)
err = Console(stderr=True, soft_wrap=True, highlight=False)

Work = TypeVar("Work", bound=Callable[..., None])


@dataclass
class Session:
    """What was asked for once and holds for the whole command."""

    verbose: bool = False
    json: bool = False


session = Session()

ConfigOption = Annotated[
    Path | None, typer.Option("--config", "-c", help="YAML config; without it, all defaults.")
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", help="Override one value: image.resample.spacing=[1,1,2]"),
]
OutputNameOption = Annotated[
    str | None,
    typer.Option("--output-name", help="Which output, where cases have several; else the first."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
VerboseOption = Annotated[bool, typer.Option("--verbose", "-v", help="Tracebacks with errors.")]


def command(app: typer.Typer, name: str | None = None) -> Callable[[Work], Work]:
    """Make a function a command of its name or another, with ``--verbose`` as its last option."""

    def register(work: Work) -> Work:
        @wraps(work)
        def with_verbose(*, verbose: bool, **options: Any) -> None:
            session.verbose |= verbose
            session.json |= options.get("as_json", False)
            work(**options)

        signature = inspect.signature(work, eval_str=True)
        last = inspect.Parameter(
            "verbose", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=VerboseOption
        )
        with_verbose.__signature__ = signature.replace(  # type: ignore[attr-defined]
            parameters=[*signature.parameters.values(), last]
        )
        app.command(name)(with_verbose)
        return work

    return register


def print_json(tree: Any) -> None:
    """One JSON value on stdout, for machines; in ASCII where the stream is not UTF-8."""
    escaped = not is_utf8(sys.stdout.encoding)
    text = json.dumps(tree, indent=1, ensure_ascii=escaped) + "\n"
    sys.stdout.write(text.encode("utf-8", "backslashreplace").decode())


def describe_grid(geometry: Geometry) -> str:
    """A grid as ``512×512×90 (0.8×0.8×2.5)``: voxels and mm along x, y and z."""
    size = "×".join(str(n) for n in geometry.size)
    return f"{size} ({'×'.join(f'{s:.3g}' for s in geometry.spacing)})"


def one_of(name: str, value: str, allowed: tuple[str, ...]) -> Any:
    """The value, if it is allowed; raises UsageError with the whole list otherwise."""
    if value not in allowed:
        raise UsageError(f"--{name} {value!r} is not one of {', '.join(allowed)}")
    return value
