"""``outputs``: what is stored of a case beside one another; ``fingerprint``: what is counted instead."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from gpuprep.config.intensity import Channel, Steps
from gpuprep.config.resample import Resample
from gpuprep.config.store import Codec, Dtype, Edge, Levels, NnunetFiles
from gpuprep.config.strict import Count, Strict

LABELS_GROUP = "labels"

OutputName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")]


class StoreKeys(Strict):
    """Keys of ``store`` that are otherwise for one output; how a case is published is the same for all."""

    dtype: Dtype | None = None
    chunk: Edge | None = None
    codec: Codec | None = None
    keep_bits: Annotated[int, Field(ge=1)] | None = None
    pyramid: Levels | None = None
    nnunet: NnunetFiles | None = None


class Output(Strict):
    """One of several outputs of a case; what it does not name is as the config says for all.

    Of ``store`` single keys may be given, the others are taken as a whole.
    """

    intensity: Steps | None = None
    channels: dict[str, Channel] | None = None
    resample: Resample | None = None
    store: StoreKeys | None = None


def check_names(outputs: dict[str, Output]) -> dict[str, Output]:
    """Returns the outputs; raises ValueError for a name that a case's own files have, or two nearly alike."""
    seen: dict[str, str] = {}
    for name in outputs:
        if name == LABELS_GROUP or name.isdigit():
            raise ValueError(f"{name!r} is what arrays of a case are called; choose another name")
        other = seen.setdefault(name.lower(), name)
        if other != name:
            raise ValueError(f"{other!r} and {name!r} are one folder on some disks; rename one")
    return outputs


class FingerprintRule(Strict):
    """Count the foreground of every case for a plan of nnU-Net, and store no arrays."""

    sampling: Literal["exact", "nnunet"] = "exact"
    """Every voxel, or those that nnU-Net 2.8 draws."""
    draws: Count | None = None
    """For ``nnunet``: voxels drawn of each case and channel."""

    ignore: int | None = None
    """For ``exact``: the value of voxels that do not count; by default the ignore label of the cohort."""

    @model_validator(mode="after")
    def _counted(self) -> Self:
        if (self.sampling == "nnunet") != (self.draws is not None):
            raise ValueError("draws goes with sampling: nnunet, and with it alone")
        if self.sampling == "nnunet" and self.ignore is not None:
            raise ValueError(
                "ignore goes with sampling: exact; nnU-Net draws of all labelled voxels"
            )
        return self
