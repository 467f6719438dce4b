"""SUV as a step: the factor that the channel's file tells, as a plain change of unit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gpuprep.config.intensity import IntensityStep
from gpuprep.config.standards import Suv
from gpuprep.values.errors import InputError


def with_factors(
    steps: Sequence[IntensityStep], told: Mapping[str, Mapping[str, Any]], name: str, path: str
) -> tuple[IntensityStep, ...]:
    """The steps of channel ``name``, with a multiplication in place of ``suv``.

    ``told`` are the factors by kind that its file, or its sidecar, gives.

    Raises:
        InputError: E_SUV, where there is none.
    """
    settled = []
    for entry in steps:
        if isinstance(entry.step, Suv):
            if entry.step.kind not in told:
                raise InputError(
                    "E_SUV",
                    f"channel {name} is to be SUV, and its file is no PET that tells dose and weight",
                    path=path,
                    advice="Give it as DICOM, or as NIfTI with its BIDS sidecar; image.channels can leave "
                    "the step suv to one channel.",
                )
            entry = IntensityStep.model_validate(
                {"multiply": {"by": told[entry.step.kind]["factor"]}}
            )
        settled.append(entry)
    return tuple(settled)
