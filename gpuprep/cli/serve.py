"""The service's commands: serve, and tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from gpuprep.cli.terminal import JsonOption, err, one_of, out, print_json
from gpuprep.values.errors import UsageError

if TYPE_CHECKING:  # the rest of the command starts without the service
    from gpuprep.service.door.tokens import Principal
    from gpuprep.service.settings import Settings

app = typer.Typer(
    help="Serve cohorts over HTTP: jobs, single volumes, chunks.", invoke_without_command=True
)

FolderOption = Annotated[
    Path | None,
    typer.Option(
        "--folder",
        help="Where the service keeps jobs, tokens and cohorts.",
        show_default="gpuprep-service",
    ),
]
DEFAULT = Path("gpuprep-service")


@dataclass(frozen=True)
class _Before:
    """What stood between ``serve`` and a command of its own."""

    folder: Path | None
    others: tuple[str, ...]


@app.callback()
def serve(
    context: typer.Context,
    folder: FolderOption = None,
    root: Annotated[
        list[str] | None,
        typer.Option("--root", help="NAME=PATH that clients may name; repeatable."),
    ] = None,
    port: Annotated[int | None, typer.Option(help="0 takes a free one.", min=0, max=65535)] = None,
    settings: Annotated[
        Path | None, typer.Option(help="Settings; by default service.yaml in the folder.")
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Only check the settings and the tokens.")
    ] = False,
) -> None:
    """Serve jobs, single volumes and chunks over HTTP until it is ended."""
    if context.invoked_subcommand:
        given = {"--root": root, "--port": port, "--settings": settings, "--check": check}
        others = (name for name, value in given.items() if not (value is None or value is False))
        context.obj = _Before(folder, tuple(others))
        return
    need_extra()
    from gpuprep.service.door.tokens import Tokens
    from gpuprep.service.server import serve as serve_until_ended
    from gpuprep.service.settings import load_settings, with_roots

    home = folder or DEFAULT
    chosen = with_roots(load_settings(home, settings), root or ())
    tokens = Tokens(home).names()
    if check:
        _check_slots(chosen)
        counts = f"{len(chosen.roots)} roots, {len(chosen.profiles)} profiles, {len(tokens)} tokens"
        out.print(f"settings are right: {counts}")
        return
    serve_until_ended(home, chosen, port=port, say=lambda line: print(line, flush=True))


def _check_slots(settings: Settings) -> None:
    """Profiles with warm slots can prepare a single volume."""
    from gpuprep.service.volumes.slots import check_profile

    for name, profile in settings.profiles.items():
        if profile.slots:
            check_profile(name, settings.config_of(name))


@app.command()
def token(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Whose token it is.", show_default=False)] = "",
    scope: Annotated[str, typer.Option(help="read, submit or admin.")] = "read",
    folder: FolderOption = None,
    root: Annotated[
        list[str] | None, typer.Option("--root", help="Pattern of roots; repeatable.")
    ] = None,
    cohort: Annotated[
        list[str] | None, typer.Option("--cohort", help="Pattern of cohorts; repeatable.")
    ] = None,
    revoke: Annotated[bool, typer.Option("--revoke", help="End the token of this name.")] = False,
    list_all: Annotated[
        bool, typer.Option("--list", help="Print whose tokens there are, and what they open.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Print a new token for NAME; it is shown once. A running service knows it at once."""
    need_extra()
    from gpuprep.service.door.tokens import Principal, Tokens

    home = _folder_of(context.obj, folder)
    if bool(name) == list_all or (revoke and list_all):
        raise UsageError("give the name of one token, or --list")
    if list_all or revoke:
        if not home.is_dir():
            raise UsageError(f"there is no folder {home}", advice="name the service's: --folder")
        tokens = Tokens(home)
        if list_all:
            _print_all(tokens.names(), as_json=as_json)
            return
        tokens.revoke(name)
        err.print(f"the token of {escape(name)} is ended")
        return
    allowed = one_of("scope", scope, ("read", "submit", "admin"))
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    principal = Principal(name, allowed, tuple(root or ["*"]), tuple(cohort or ["*"]))
    made = Tokens(home).add(principal)
    if as_json:
        print_json({"name": name, "token": made})
    else:
        print(made)


def _print_all(principals: Sequence[Principal], *, as_json: bool) -> None:
    if as_json:
        print_json({"tokens": [asdict(each) for each in principals]})
        return
    for each in principals:
        opens = f"roots {' '.join(each.roots)}, cohorts {' '.join(each.cohorts)}"
        out.print(escape(f"{each.name}: {each.scope}, {opens}"))


def _folder_of(before: _Before, folder: Path | None) -> Path:
    """The folder that stands before the command or behind it."""
    if before.others:
        raise UsageError(
            f"{', '.join(before.others)} before 'token' means nothing",
            advice="what narrows a token stands behind it: gpuprep serve token NAME --root PATTERN",
        )
    if before.folder and folder and before.folder != folder:
        raise UsageError(f"--folder is given twice: {before.folder} and {folder}")
    return folder or before.folder or DEFAULT


def need_extra(doing: str = "serving") -> None:
    """UsageError where the extra is not installed."""
    try:
        import fastapi  # noqa: F401
        import httptools  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError:
        raise UsageError(
            f"{doing} needs FastAPI, uvicorn and httptools",
            advice="pip install 'gpuprep[service]'",
        ) from None
