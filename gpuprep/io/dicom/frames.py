"""Tags of one frame, wherever DICOM keeps them: per frame, shared by all frames, or at the top level."""

from __future__ import annotations

import math
from contextlib import suppress
from typing import Any

from pydicom.dataset import Dataset

from gpuprep.io.dicom.header import DamagedValue, value
from gpuprep.io.dicom.vendors import siemens_b_value

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
_CONVERTED = (
    "UnassignedPerFrameConvertedAttributesSequence",
    "UnassignedSharedConvertedAttributesSequence",
)
"""Where a file that was converted keeps tags of the classic ones that have no macro."""
_WORDS = frozenset({"StackID", "ConvolutionKernel", "Units"})
"""The settings that are no numbers."""


class Frame:
    """One frame's view of the tags: of ``groups``, the first that has one, then the file's top level."""

    def __init__(self, dataset: Dataset, *groups: Dataset) -> None:
        self._levels = groups
        self._dataset = dataset
        self._converted = [
            item
            for level in groups
            for sequence in _CONVERTED
            for item in value(level, sequence, "a sequence") or []
        ]

    def numbers(self, macro: str, keyword: str, count: int) -> Numbers:
        """The ``count`` numbers of a tag; none where it is missing or empty."""
        wanted = f"{count} finite numbers" if count > 1 else "a finite number"
        found = self._find(macro, keyword, wanted)
        if found is None or found == "":
            return ()
        try:
            numbers = tuple(float(part) for part in ([found] if count == 1 else found))
        except (TypeError, ValueError) as error:
            raise DamagedValue(keyword, wanted) from error
        if len(numbers) != count or not all(math.isfinite(number) for number in numbers):
            raise DamagedValue(keyword, wanted)
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
        told = []
        for macro, keyword in _SETTINGS:
            found = self._find(macro, keyword, "readable")
            if found is None and keyword == "DiffusionBValue":
                found = siemens_b_value(self._dataset)
            if found in (None, ""):
                continue
            if isinstance(found, str) and keyword not in _WORDS:
                raise DamagedValue(keyword, "a number")
            shown = f"{float(f'{found:.3g}'):g}" if isinstance(found, float) else found
            told.append(f"{keyword} {shown}")
        return tuple(told)

    @property
    def dimensions(self) -> tuple[int, ...]:
        """The frame's Dimension Index Values; none where they are no whole numbers: no voxel needs them."""
        found = None
        with suppress(DamagedValue):
            found = self._find("FrameContentSequence", "DimensionIndexValues", "whole numbers")
        values = [found] if isinstance(found, int) else found or ()
        return tuple(each for each in values if isinstance(each, int))

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
        words: Any = value(self._dataset, "ImageType") or []
        for level in reversed(self._levels):
            for element in level:
                if element.keyword.endswith("FrameTypeSequence") and element.value:
                    words = element.value[0].get("FrameType") or words
        return [str(word).upper() for word in ([words] if isinstance(words, str) else words)]

    def _find(self, macro: str, keyword: str, wanted: str) -> Any:
        for level in self._levels:
            for item in (value(level, macro, "a sequence") if macro else None) or []:
                if (found := value(item, keyword, wanted)) is not None:
                    return found
        for item in self._converted:
            if (found := value(item, keyword, wanted)) is not None:
                return found
        return value(self._dataset, keyword, wanted)
