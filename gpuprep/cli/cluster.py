"""The commands that keep a cluster of one's own: certificates, scheduler, worker."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gpuprep.cli.terminal import ConfigOption, SetOption, VerboseOption, out


def register(app: typer.Typer) -> None:
    """Add the commands to an application."""
    for command in (certificates, scheduler, worker):
        app.command()(command)


def certificates(
    folder: Annotated[Path, typer.Argument(help="Folder to write ca.pem, cert.pem, key.pem to.")],
    days: Annotated[int, typer.Option(help="How long they are valid.", min=1, max=3650)] = 365,
    verbose: VerboseOption = False,
) -> None:
    """Make the keys by which scheduler, workers and runs of one cluster know one another."""
    from gpuprep.executors.clusters.certificates import make_certificates

    ca, cert, key = make_certificates(folder, days)
    out.print(
        f"cluster:\n  tls: {{ca: {ca.absolute()}, cert: {cert.absolute()}, key: {key.absolute()}}}",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )


def scheduler(
    config: ConfigOption = None, overrides: SetOption = None, verbose: VerboseOption = False
) -> None:
    """Run the scheduler of the config's cluster here, until Ctrl-C or SIGTERM."""
    from gpuprep.config.file import load_config
    from gpuprep.executors.clusters.daemons import serve_scheduler

    parsed = load_config(config, overrides or ())
    raise typer.Exit(serve_scheduler(parsed.cluster, parsed.run.silence))


def worker(
    config: ConfigOption = None,
    overrides: SetOption = None,
    backend: Annotated[
        str, typer.Option(help="auto, numpy or cupy (one process per CUDA device).")
    ] = "auto",
    verbose: VerboseOption = False,
) -> None:
    """Run this host's workers of the config's cluster, until Ctrl-C or SIGTERM; they rejoin by themselves."""
    from gpuprep.cli.terminal import one_of
    from gpuprep.config.file import load_config
    from gpuprep.executors.clusters.daemons import serve_workers
    from gpuprep.host.backend import choose_backend

    chosen = choose_backend(one_of("backend", backend, ("auto", "numpy", "cupy")))
    parsed = load_config(config, overrides or ())
    raise typer.Exit(serve_workers(parsed.cluster, parsed.run.silence, chosen.devices))
