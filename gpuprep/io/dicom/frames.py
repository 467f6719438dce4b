"""Tags of one frame, wherever DICOM keeps them: per frame, shared by all frames, or at the top level."""

from __future__ import annotations

import math
from typing import Any

from pydicom.dataset import Dataset

Numbers = tuple[float, ...]

_SETTINGS = (
    ("", "EchoTime"),
    ("MREchoSequence", "EffectiveEchoTime"),
    ("MRDiffusionSequence", "DiffusionBValue"),
    ("", "TemporalPositionIdentifier"),
    ("FrameContentSequence", "TemporalPositionIndex"),
    ("FrameContentSequence", "StackID"),
    ("", "KVP"),
    ("", "ConvolutionKernel"),
    ("", "Units"),
)
"""Macro and keyword; no macro for those that only classic files have."""


class Frame:
    """One frame's view of the tags: of ``groups``, the first that has one, then the file's top level."""

    def __init__(self, dataset: Dataset, *groups: Dataset) -> None:
        self._levels = groups
        self._dataset = dataset

    def numbers(self, macro: str, keyword: str, count: int) -> Numbers:
        """The ``count`` numbers of a tag; none where it is missing or empty."""
        value = self._find(macro, keyword)
        if value is None or value == "":
            return ()
        numbers = tuple(float(part) for part in ([value] if count == 1 else value))
        if len(numbers) != count or not all(math.isfinite(number) for number in numbers):
            raise ValueError(f"{keyword} is {value}")
        return numbers

    @property
    def line(self) -> tuple[float, float]:
        """Rescale slope and intercept; 1 and 0 where there are none."""
        macro = "PixelValueTransformationSequence"
        slope = self.numbers(macro, "RescaleSlope", 1) or (1.0,)
        intercept = self.numbers(macro, "RescaleIntercept", 1) or (0.0,)
        return (slope[0], intercept[0])

    @property
    def settings(self) -> tuple[str, ...]:
        """Settings of the acquisition that differ between images of different contrast, named.

        Numbers are taken to three digits: some scanners write a measured echo time for every slice.
        """
        return tuple(
            f"{keyword} {float(f'{value:.3g}'):g}"
            if isinstance(value, float)
            else f"{keyword} {value}"
            for macro, keyword in _SETTINGS
            if (value := self._find(macro, keyword)) not in (None, "")
        )

    @property
    def claimed_step(self) -> float | None:
        """The stated spacing between slices, or else the slice thickness, in mm."""
        for keyword in ("SpacingBetweenSlices", "SliceThickness"):
            step = self.numbers("PixelMeasuresSequence", keyword, 1)
            if step and step[0]:
                return abs(step[0])
        return None

    @property
    def mosaic(self) -> bool:
        return "MOSAIC" in self._image_type()

    def kind(self, modality: str) -> str:
        """What of the image type tells images apart that make no common volume.

        The fourth word is a vendor's remark in CT (``ADD``), but magnitude or phase in MR.
        """
        return "/".join(self._image_type()[2 : 3 if modality == "CT" else 4])

    def _image_type(self) -> list[str]:
        words: Any = self._dataset.get("ImageType") or []
        for level in reversed(self._levels):
            for element in level:
                if element.keyword.endswith("FrameTypeSequence") and element.value:
                    words = element.value[0].get("FrameType") or words
        return [str(word).upper() for word in ([words] if isinstance(words, str) else words)]

    def _find(self, macro: str, keyword: str) -> Any:
        for level in self._levels:
            for item in level.get(macro) or []:
                if (value := item.get(keyword)) is not None:
                    return value
        return self._dataset.get(keyword)
