"""Curvature anisotropic diffusion by SimpleITK: noise is smoothed along edges, and not across them."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuprep.values.errors import CaseError


def longest_step(spacing_zyx: tuple[float, float, float]) -> float:
    """The longest time step that ITK calls stable in three dimensions, in its units."""
    return float(min(spacing_zyx) / 2 ** (3 + 1))


def curvature_diffusion(
    volume: NDArray[Any],
    spacing_zyx: tuple[float, float, float],
    *,
    iterations: int = 5,
    conductance: float = 3.0,
    time_step: float | None = None,
    seconds: float = 600.0,
    threads: int = 1,
) -> NDArray[np.float32]:
    """What ITK's CurvatureAnisotropicDiffusionImageFilter makes of a volume, as float32.

    Args:
        volume: ``z, y, x``, all finite.
        spacing_zyx: mm.
        iterations: more smooth more.
        conductance: lower ones keep fainter edges.
        time_step: of one iteration; by default the longest stable one, at most 0.0625.
        seconds: after which no further iteration begins.
        threads: ITK's; they do not change the result.

    Raises:
        CaseError: it took longer.
    """
    import SimpleITK as sitk  # heavy

    image = sitk.GetImageFromArray(np.ascontiguousarray(volume, dtype=np.float32))
    image.SetSpacing(spacing_zyx[::-1])
    step = min(0.0625, longest_step(spacing_zyx)) if time_step is None else time_step
    diffusion = sitk.CurvatureAnisotropicDiffusionImageFilter()
    diffusion.SetNumberOfThreads(threads)
    diffusion.SetNumberOfIterations(iterations)
    diffusion.SetConductanceParameter(conductance)
    diffusion.SetTimeStep(step)
    end = time.monotonic() + seconds
    late: list[bool] = []

    def look() -> None:
        if time.monotonic() > end:
            late.append(True)
            diffusion.Abort()

    diffusion.AddCommand(sitk.sitkIterationEvent, look)
    try:
        smooth = diffusion.Execute(image)
    except RuntimeError:
        if not late:
            raise
    if late:
        raise CaseError(
            f"curvature_diffusion took longer than {seconds:g} s and was stopped",
            advice="ask for fewer iterations, or give it more seconds",
        )
    found: NDArray[np.float32] = sitk.GetArrayFromImage(smooth)
    return found
