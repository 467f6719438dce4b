"""The real scans that the storage benchmarks use, resampled as for training."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Scan:
    """One scan: ``voxels`` are ``z, y, x``, float32, in HU or in the units of the source."""

    name: str
    voxels: np.ndarray

    @property
    def scores(self) -> np.ndarray:
        """The voxels less their mean, over their standard deviation; float32."""
        scores = (self.voxels - self.voxels.mean()) / self.voxels.std()
        return scores.astype(np.float32)


def scans(folder: Path) -> Iterator[Scan]:
    """A chest CT (lung1 of pyradiomics) at 0.8×0.8×1.6 mm and a T1 MR (of the stroke scans) at 0.8 mm."""
    import SimpleITK as sitk

    for name, file, spacing, clip in (
        ("CT", "pyradiomics/lung1_image.nrrd", (0.8, 0.8, 1.6), (-1000.0, 400.0)),
        ("MR", "stroke_mr/T1.nii.gz", (0.8, 0.8, 0.8), (0.0, np.inf)),
    ):
        scan = sitk.ReadImage(str(folder / file), sitk.sitkFloat32)
        extent = zip(scan.GetSize(), scan.GetSpacing(), spacing, strict=True)
        size = [round(n * old / new) for n, old, new in extent]
        place = scan.GetOrigin(), spacing, scan.GetDirection()
        scan = sitk.Resample(scan, size, sitk.Transform(), sitk.sitkBSpline, *place)
        yield Scan(name, np.clip(sitk.GetArrayFromImage(scan), *clip))
