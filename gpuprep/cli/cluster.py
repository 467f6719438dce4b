"""The commands that keep a cluster of one's own: certificates, scheduler, worker."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gpuprep.cli.terminal import ConfigOption, SetOption, command, out
from gpuprep.config.file import load_config

app = typer.Typer()


@command(app)
def certificates(
    folder: Annotated[Path, typer.Argument(help="Folder to write ca.pem, cert.pem, key.pem to.")],
    days: Annotated[int, typer.Option(help="How long they are valid.", min=1, max=3650)] = 365,
) -> None:
    """Make the keys by which scheduler, workers and runs of one cluster know one another."""
    from gpuprep.executors.clusters.certificates import make_certificates

    ca, cert, key = make_certificates(folder, days)
    out.print(
        f"cluster:\n  tls: {{ca: {ca.absolute()}, cert: {cert.absolute()}, key: {key.absolute()}}}",
        markup=False,
        soft_wrap=True,
    )


@command(app)
def scheduler(config: ConfigOption = None, overrides: SetOption = None) -> None:
    """Run the scheduler of the config's cluster here, until Ctrl-C or SIGTERM."""
    from gpuprep.executors.clusters.daemons import serve_scheduler

    parsed = load_config(config, overrides or ())
    raise typer.Exit(serve_scheduler(parsed.cluster, parsed.run.silence))


@command(app)
def worker(
    config: ConfigOption = None,
    overrides: SetOption = None,
    backend: Annotated[
        str, typer.Option(help="auto, numpy or cupy (one process per CUDA device).")
    ] = "auto",
) -> None:
    """Run this host's workers of the config's cluster, until Ctrl-C or SIGTERM; they rejoin by themselves."""
    from gpuprep.cli.terminal import one_of
    from gpuprep.executors.clusters.daemons import serve_workers
    from gpuprep.host.backend import choose_backend

    chosen = choose_backend(one_of("backend", backend, ("auto", "numpy", "cupy")))
    parsed = load_config(config, overrides or ())
    raise typer.Exit(serve_workers(parsed.cluster, parsed.run.silence, chosen.devices))
