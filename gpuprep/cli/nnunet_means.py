"""How ``gpuprep nnunet preprocess`` and its sisters carry out a run: options, and what follows from them."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from gpuprep.cli.terminal import one_of
from gpuprep.values.errors import UsageError

if TYPE_CHECKING:
    from gpuprep.config.scratch import DecodedScratch
    from gpuprep.nnunet.folders import Preprocessed
    from gpuprep.nnunet.preprocess import Means

_MAY_BE_SET = ("input", "run", "cluster", "cuda", "report")

ConfigurationOption = Annotated[
    list[str] | None,
    typer.Option("-c", help="Configurations; by default 2d, 3d_fullres and 3d_lowres."),
]
ProcessesOption = Annotated[
    list[int] | None,
    typer.Option(
        "-np",
        help="Worker processes. Several numbers, as nnU-Net has one a configuration: the largest.",
    ),
]
ScratchOption = Annotated[
    str | None,
    typer.Option(
        metavar="BYTES",
        help="For decoded cases meanwhile, such as 50GB; 0 for none; by default a quarter of the free disk.",
    ),
]
BackendOption = Annotated[str, typer.Option(help="auto, numpy or cupy.")]
SchedulerOption = Annotated[
    str | None,
    typer.Option(help="local, serial, tls://host:port or a scheduler file (.json)."),
]
OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="Make every case anew.")]


def means_of(
    processes: list[int] | None,
    backend: str,
    scheduler: str | None,
    overrides: list[str] | None,
    *,
    overwrite: bool,
) -> Means:
    """How a run is carried out, by the options; UsageError for a key that would make other arrays."""
    from gpuprep.config.file import load_tree
    from gpuprep.nnunet.preprocess import Means

    settings = load_tree(None, overrides or ())
    if strange := [key for key in settings if key not in _MAY_BE_SET]:
        raise UsageError(
            f"--set {strange[0]} would make other arrays than the plans say",
            advice=f"set keys of {', '.join(_MAY_BE_SET)}, or change the plans or the raw files",
        )
    return Means(
        one_of("backend", backend, ("auto", "numpy", "cupy")),
        max(processes) if processes else None,
        scheduler,
        overwrite,
        settings,
        shlex.join(["gpuprep", *sys.argv[1:]]),
    )


def scratches_of(folders: list[Preprocessed], size: str | None) -> list[DecodedScratch | None]:
    """The scratch of each data set under what ``--scratch`` says."""
    from gpuprep.nnunet.scratch import scratches
    from gpuprep.values.units import parse_bytes

    try:
        given = None if size is None else 0 if size == "0" else parse_bytes(size)
    except ValueError as error:
        raise UsageError(f"--scratch {size}: {error}, or 0") from None
    return scratches([folder.path for folder in folders], given)
