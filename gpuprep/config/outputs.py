"""``outputs``: what is stored of a case beside one another; ``fingerprint``: what is counted instead."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import StringConstraints, model_validator

from gpuprep.config.intensity import Channel, IntensityStep
from gpuprep.config.resample import Resample
from gpuprep.config.store import Store
from gpuprep.config.strict import Count, Strict

OutputName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")]


class Output(Strict):
    """One of several outputs of a case; what it does not name is as the config says for all.

    Of ``store`` single keys may be given, the others are taken as a whole.
    """

    intensity: tuple[IntensityStep, ...] | None = None
    channels: dict[str, Channel] | None = None
    resample: Resample | None = None
    store: Store | None = None


class FingerprintRule(Strict):
    """Count the foreground of every case for a plan of nnU-Net, and store no arrays."""

    sampling: Literal["exact", "nnunet"] = "exact"
    """Every voxel, or those that nnU-Net 2.8 draws."""
    draws: Count | None = None
    """For ``nnunet``: voxels drawn of each case and channel."""

    @model_validator(mode="after")
    def _counted(self) -> Self:
        if (self.sampling == "nnunet") != (self.draws is not None):
            raise ValueError("draws goes with sampling: nnunet, and with it alone")
        return self
