"""The volume on whose grid every case is put: its header, read once before a run begins."""

from __future__ import annotations

from pathlib import Path

from gpuprep.config.model import Config
from gpuprep.io.rules import ReadRules
from gpuprep.io.sandbox.parent import Sandbox
from gpuprep.values.case import Source
from gpuprep.values.errors import CaseError, ConfigError
from gpuprep.values.geometry import Geometry


def with_reference(config: Config) -> Config:
    """The config with the grid of its reference written out; the same one where there is nothing to read.

    Raises:
        ConfigError: the reference cannot be read, or has no usable grid.
    """
    reference = config.image.resample.reference
    if reference is None or reference.grid is not None:
        return config
    tree = config.resolved()
    grid = _read_grid(Path(reference.path).absolute(), config)
    tree["image"]["resample"]["reference"]["grid"] = grid.to_json()
    return Config.model_validate(tree)


def _read_grid(path: Path, config: Config) -> Geometry:
    try:
        with Sandbox(ReadRules.of(config)) as sandbox:
            return sandbox.peek(Source(str(path))).straight_geometry
    except (CaseError, OSError) as error:
        reason = error.message if isinstance(error, CaseError) else error.strerror
        raise ConfigError(
            f"image.resample.reference {path} cannot be used: {reason}",
            advice="give a volume file or a folder with one DICOM series",
        ) from error
