"""The volume on whose grid every case is put: its header, read once before a run begins."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gpuprep.config.model import Config
from gpuprep.config.resample import Resample
from gpuprep.io.rules import ReadRules
from gpuprep.io.sandbox.parent import Sandbox
from gpuprep.preprocess.borrowed import with_borrowed
from gpuprep.values.case import Source
from gpuprep.values.errors import CaseError, ConfigError
from gpuprep.values.geometry import Geometry


def with_reference(config: Config) -> Config:
    """The config with all written out that it refers to: grids of references, and what steps take from files.

    The same one where there is nothing to read.

    Raises:
        ConfigError: a reference cannot be read, or has no usable grid.
    """
    asked = [("image", config.image.resample), *_of_outputs(config)]
    tree: dict[str, Any] = {}
    for place, rule in asked:
        if rule is None or rule.reference is None or rule.reference.grid is not None:
            continue
        tree = tree or config.resolved()
        grid = _read_grid(Path(rule.reference.path).absolute(), place, config)
        node = tree
        for key in place.split("."):
            node = node[key]
        node["resample"]["reference"]["grid"] = grid.to_json()
    return with_borrowed(Config.model_validate(tree) if tree else config)


def _of_outputs(config: Config) -> list[tuple[str, Resample | None]]:
    return [(f"outputs.{name}", output.resample) for name, output in config.outputs.items()]


def _read_grid(path: Path, place: str, config: Config) -> Geometry:
    try:
        with Sandbox(ReadRules.of(config)) as sandbox:
            return sandbox.peek(Source(str(path))).straight_geometry
    except (CaseError, OSError) as error:
        reason = error.message if isinstance(error, CaseError) else error.strerror
        raise ConfigError(
            f"{place}.resample.reference {path} cannot be used: {reason}",
            advice="give a volume file or a folder with one DICOM series",
        ) from error
