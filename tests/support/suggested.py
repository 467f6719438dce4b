"""Suggestions taken from the command, and small files to make them of."""

from pathlib import Path

import nibabel
import numpy as np
import yaml

import gpuprep
from support.commands import call


def suggested(source: Path, *flags: object) -> tuple[str, dict]:
    """The text and the config of a suggestion."""
    done = call("suggest", source, *flags, check=0)
    return done.stdout, yaml.safe_load(done.stdout)


def plain(text: str) -> str:
    """The words of a text, its comments joined to one line."""
    return " ".join(text.replace("# ", " ").split())


def write(path: Path, array: np.ndarray, spacing=(1.0, 1.0, 1.0), signs=(-1, -1, 1)) -> None:
    """A NIfTI file; ``signs`` -1, -1, 1 is LPS."""
    path.parent.mkdir(parents=True, exist_ok=True)
    affine = np.diag([*np.multiply(spacing, signs), 1.0])
    nibabel.save(nibabel.Nifti1Image(array, affine), path)


def runs(source: Path, text: str, folder: Path) -> gpuprep.Cohort:
    """The cohort that a suggestion makes as it is."""
    (folder / "config.yaml").write_text(text)
    report = gpuprep.run(source, folder / "out", config=folder / "config.yaml", scheduler="serial")
    assert report.exit_code == 0
    return gpuprep.open(folder / "out")
