"""The service's commands: serve, and tokens."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gpuprep.cli.terminal import err, one_of, out
from gpuprep.values.errors import UsageError

app = typer.Typer(
    help="Serve cohorts over HTTP: jobs, single volumes, chunks.", invoke_without_command=True
)

FolderOption = Annotated[
    Path, typer.Option("--folder", help="Where the service keeps jobs, tokens and cohorts.")
]
DEFAULT = Path("gpuprep-service")


@app.callback()
def serve(
    context: typer.Context,
    folder: FolderOption = DEFAULT,
    root: Annotated[
        list[str] | None,
        typer.Option("--root", help="NAME=PATH that clients may name; repeatable."),
    ] = None,
    port: Annotated[int | None, typer.Option(help="0 takes a free one.", min=0, max=65535)] = None,
    settings: Annotated[
        Path | None, typer.Option(help="Settings; by default service.yaml in the folder.")
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Only check the settings.")] = False,
) -> None:
    """Serve jobs, single volumes and chunks over HTTP until it is ended."""
    if context.invoked_subcommand:
        return
    _need_extra()
    from gpuprep.service.server import serve as serve_until_ended
    from gpuprep.service.settings import load_settings, with_roots

    chosen = with_roots(load_settings(folder, settings), root or ())
    if check:
        out.print(f"settings are right: {len(chosen.roots)} roots, {len(chosen.profiles)} profiles")
        return
    serve_until_ended(folder, chosen, port=port, say=lambda line: print(line, flush=True))


@app.command()
def token(
    name: Annotated[str, typer.Argument(help="Whose token it is.")],
    scope: Annotated[str, typer.Option(help="read, submit or admin.")] = "read",
    folder: FolderOption = DEFAULT,
    root: Annotated[
        list[str] | None, typer.Option("--root", help="Pattern of roots; repeatable.")
    ] = None,
    cohort: Annotated[
        list[str] | None, typer.Option("--cohort", help="Pattern of cohorts; repeatable.")
    ] = None,
    revoke: Annotated[bool, typer.Option("--revoke", help="End the token of this name.")] = False,
) -> None:
    """Print a new token for NAME; it is shown once. A running service knows it at once."""
    _need_extra()
    from gpuprep.service.tokens import Principal, Tokens

    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    tokens = Tokens(folder)
    if revoke:
        tokens.revoke(name)
        err.print(f"the token of {name} is ended")
        return
    allowed = one_of("scope", scope, ("read", "submit", "admin"))
    principal = Principal(name, allowed, tuple(root or ["*"]), tuple(cohort or ["*"]))
    print(tokens.add(principal))


def _need_extra() -> None:
    try:
        import fastapi  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError:
        raise UsageError(
            "serving needs FastAPI and uvicorn", advice="pip install 'gpuprep[service]'"
        ) from None
