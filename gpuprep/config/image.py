"""``image``: what happens to the images, from orientation to resampling."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from gpuprep.config.filters import Filters
from gpuprep.config.intensity import BENDING, Channel, IntensityStep, Steps
from gpuprep.config.resample import Resample
from gpuprep.config.strict import Finite, Strict
from gpuprep.values.orientation import check_orientation


class Foreground(Strict):
    """Which voxels count as foreground: non-zero ones, a labelled region, either, or a CT body."""

    where: Literal["nonzero", "label", "nonzero_or_label", "body"] = "nonzero"
    """``nonzero_or_label`` is the mask of nnU-Net's z-score: what is not zero, with ``fill_holes`` its holes,
    too, and what is labelled."""
    threshold: Finite = -500.0
    """For ``body``: intensities above this are inside the body (HU)."""
    fill_holes: bool = False
    """Count what the foreground encloses as foreground, as nnU-Net does."""
    outside: Literal["keep", "zero"] = "keep"
    """``zero``: voxels outside are 0 after the intensity steps, as in nnU-Net's masked z-score."""


class Crop(Strict):
    """Cut the volume to a box around something, with a margin in mm on every side.

    ``body`` uses the threshold of ``image.foreground``.
    """

    to: Literal["none", "nonzero", "body", "label"] = "none"
    margin: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0


class Image(Strict):
    """What happens to the images, in this order: orient, crop, filter, intensity, resample."""

    orientation: str = "LPS"
    crop: Crop = Crop()
    foreground: Foreground = Foreground()
    filters: Filters = ()
    """In the order given, on the cropped voxels; what is measured and stored is filtered."""
    intensity: Steps = ()
    channels: dict[str, Channel] = Field(default_factory=dict)
    """What is otherwise with some channels, by their names, or their numbers from 0 as text."""
    resample: Resample = Resample()

    @property
    def steps(self) -> tuple[IntensityStep, ...]:
        """The intensity steps that any channel may take."""
        others = [step for channel in self.channels.values() for step in channel.intensity or ()]
        return (*self.intensity, *others)

    @property
    def bends(self) -> bool:
        """Whether any channel's values may go through a table."""
        return any(isinstance(entry.step, BENDING) for entry in self.steps)

    @property
    def filtered(self) -> bool:
        """Whether any channel is filtered."""
        return bool(self.every_filter)

    @property
    def every_filter(self) -> Filters:
        """The filters that any channel has."""
        others = [entry for each in self.channels.values() for entry in each.filters or ()]
        return (*self.filters, *others)

    @property
    def sums_float32(self) -> bool:
        """Whether a mean is taken in float32."""
        return any(getattr(entry.step, "precision", None) is not None for entry in self.steps)

    @property
    def zeroes(self) -> bool:
        """Whether voxels outside the foreground become 0 in any channel."""
        return "zero" in (
            self.foreground.outside,
            *(channel.outside for channel in self.channels.values()),
        )

    @field_validator("orientation")
    @classmethod
    def _known(cls, code: str) -> str:
        return "keep" if code.lower() == "keep" else check_orientation(code)
