"""The codes of findings: what each says, and what each policy does for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Policy = Literal["error", "warn", "fix", "skip"]


@dataclass(frozen=True, slots=True)
class Code:
    """What a code says, and what follows where it is no error.

    Attributes:
        meaning: What is the case.
        allowed: What ``warn`` and ``skip`` do; empty where the case cannot go on, and both are refused.
        fixed: What ``fix`` does; empty where there is nothing exact to do, and it is refused.
    """

    meaning: str
    allowed: str = ""
    fixed: str = ""

    def takes(self, policy: Policy) -> bool:
        """Whether a config may ask for it."""
        return bool(policy == "error" or (self.fixed if policy == "fix" else self.allowed))


CODES: dict[str, Code] = {
    "E_MISSING": Code("a file that the manifest or dataset.json names does not exist"),
    "E_TRUNCATED": Code("the file holds fewer bytes than its header declares"),
    "E_UNREADABLE": Code("no reader understands the file, or its bytes are damaged"),
    "E_LIMIT": Code("the file declares more voxels or bytes than the config allows"),
    "E_UNSAFE_PATH": Code("the header points at a file outside its own folder"),
    "E_NO_GEOMETRY": Code(
        "spacing or direction is missing or impossible",
        allowed="NIfTI, or a single slice: 1 mm stands in for a spacing, LPS for axes; all else fails",
    ),
    "E_SHEAR": Code(
        "the axes are not orthogonal, so no spacing and direction describe them",
        allowed="the axes within a slice are kept, and their normal is the third",
        fixed="every slice is shifted back within its plane, onto a straight grid that takes in all; "
        "without two orthogonal axes the case fails",
    ),
    "E_SHAPE_MISMATCH": Code(
        "image, channels and label do not lie on one grid",
        fixed="the label, by nearest voxel, or the channel is brought to the image's grid by its geometry",
    ),
    "E_AFFINE_LOST": Code(
        "a header has lost its geometry, and the array has the shape of the image's",
        allowed="the header is believed, and E_SHAPE_MISMATCH decides",
        fixed="the label or channel is taken by index, on the image's grid",
    ),
    "E_CHANNELS": Code(
        "the channels of the case are not those of the cohort",
        allowed="the case is stored with its own channels",
    ),
    "E_SUV": Code(
        "the headers do not say what SUV takes, or contradict themselves",
        allowed="the case goes on, and fails if a step asks for SUV of this channel",
    ),
    "E_LABEL_MISSING": Code(
        "a label was expected and is not there", allowed="the case is stored without a label"
    ),
    "E_LABEL_VALUES": Code(
        "the label holds values that are not whole numbers in range",
        allowed="values are rounded",
        fixed="values are rounded",
    ),
    "E_LABEL_UNNAMED": Code(
        "nothing says what the values of a label map mean, and the cohort has names",
        allowed="values are taken as the cohort's",
    ),
    "E_LABEL_UNDECLARED": Code(
        "the label holds values that nobody declared", allowed="they are stored as they are"
    ),
    "E_LABEL_LOST": Code(
        "more of a label map than label.loss allows lies outside the grid that is stored",
        allowed="the rest is stored",
    ),
    "E_LABEL_OVERLAP": Code("structures of one file share voxels", allowed="the later keeps them"),
    "E_REFERENCE": Code("the case does not fit the grid of image.resample.reference"),
    "E_MIXED_SERIES": Code(
        "one series mixes orientations, matrix sizes or kinds of image",
        fixed="the largest group of slices that are alike is kept; of alike volumes the first, or the "
        "case fails where numbers do not tell them apart",
    ),
    "E_MIXED_RESCALE": Code(
        "slices of one series use different rescale slopes or intercepts",
        allowed="every slice is rescaled by its own line",
        fixed="every slice is rescaled by its own line",
    ),
    "E_TILT": Code(
        "the gantry was tilted, so slices are shifted against each other",
        allowed="the shift is ignored",
        fixed="every slice is shifted back within its plane, onto a straight grid that takes in all; "
        "slices on no line fail",
    ),
    "E_SLICE_GAP": Code(
        "slices are missing or unevenly spaced",
        allowed="the mean spacing is taken",
        fixed="slices are interpolated linearly to even steps near the smallest gap",
    ),
    "E_SLICE_DUP": Code(
        "several slices lie at one position",
        allowed="the first by instance number is kept",
        fixed="slices that are copies of one another are dropped; others fail",
    ),
    "E_MOSAIC": Code("the image is a mosaic, and its header does not say how to take it apart"),
    "E_PIXEL_TYPE": Code(
        "voxels are colours or complex numbers, not one intensity, or use bits declared unused",
        allowed="bits declared unused are left out; all else fails",
    ),
    "E_COLOURS": Code("a picture has colours", fixed="equal colours become grey, indices values"),
    "E_ITK": Code(
        "input.reader is itk, and SimpleITK cannot read the file, or reads it otherwise than it says",
        fixed="the checked reader reads it",
    ),
    "E_NOT_VOLUME": Code("the image has no third dimension, or too many dimensions"),
    "W_SFORM_QFORM": Code(
        "the two affines of the NIfTI header disagree, or one cannot be read",
        allowed="the sform is taken, or the one that can be read",
    ),
    "W_OBLIQUE": Code(
        "the axes do not follow the patient's; OME-Zarr scale and translation are approximate",
        allowed="the grid is kept",
    ),
    "W_SPACING_OUTLIER": Code(
        "a spacing is far from anything a scanner makes", allowed="it is taken as it is"
    ),
    "W_IDENTITY_AFFINE": Code(
        "spacing is exactly 1, 1, 1 with an identity direction: the geometry may be lost",
        allowed="it is taken as it is",
    ),
    "W_NO_AFFINE": Code(
        "the header has no affine; spacing alone was used", allowed="the axes are taken as LPS"
    ),
    "W_LABEL_FLOAT": Code(
        "the label is stored as floating point", allowed="whole numbers are taken as they are"
    ),
    "W_LABEL_EMPTY": Code("the label holds background only", allowed="it is stored"),
    "W_LABEL_OVERLAP": Code("structures overlap", allowed="the later one in order keeps the voxel"),
    "W_LABEL_FRACTIONAL": Code(
        "the file holds fractions", allowed="half of the largest and more is inside"
    ),
    "W_CONTOURS": Code(
        "contours lie off slices, or leave some out", allowed="the nearest slices count"
    ),
    "W_GEOMETRY_TOLERANCE": Code(
        "grids, axes or steps between slices differ by rounding", allowed="they are taken as equal"
    ),
    "W_LABEL_LOST": Code(
        "some of a label map lies outside the grid that is stored", allowed="the rest is stored"
    ),
    "W_LABEL_VANISHED": Code(
        "nothing is left of a class on the stored grid", allowed="the case is stored without it"
    ),
    "W_LABEL_MAPPED": Code(
        "label.map replaced values of the file", allowed="the new values are stored"
    ),
    "W_LABEL_RENUMBERED": Code(
        "the input numbers its classes otherwise than the cohort",
        allowed="the values of the cohort are stored",
    ),
    "W_LABEL_ABSENT": Code(
        "a case for training lacks a label map that the cohort has", allowed="it is stored without"
    ),
    "W_LABEL_PARTIAL": Code(
        "a structure of the cohort has no file in this case", allowed="it counts as background"
    ),
    "W_CHANNEL_REGRID": Code(
        "a channel was brought to the first one's grid by its geometry", allowed="it is stored"
    ),
    "W_LABEL_REGRID": Code(
        "the label was brought to the image's grid by its geometry", allowed="it is stored"
    ),
    "W_NAN": Code(
        "voxels are NaN or infinite",
        allowed="they count nowhere; the image's finite extremes are stored for them, or 0",
    ),
    "W_EMPTY_FOREGROUND": Code(
        "there is nothing to crop to or to measure", allowed="the whole image is used"
    ),
    "W_CONSTANT": Code(
        "a channel has values that differ, and its intensity steps make one of them all",
        allowed="it is stored",
    ),
    "W_SUV": Code("something had to be assumed for SUV", allowed="it is assumed"),
    "W_PADDING": Code(
        "padding voxels outside the field of view are present", allowed="they are kept"
    ),
    "W_4D": Code(
        "the file or series holds several volumes",
        allowed="each becomes a channel, or input.several_volumes takes the first",
    ),
    "W_FEW_SLICES": Code("the volume has very few slices", allowed="it is stored"),
    "W_SHORT_VOLUME": Code(
        "a volume of a series has fewer slices than another one at the same places",
        allowed="it is stored as short as it is",
    ),
    "W_FLAT": Code(
        "the image has two axes, and nothing tells how thick it is",
        allowed="it is one slice of 1 mm, or of what an affine says",
        fixed="it is one slice, 999 times as thick as its pixels are wide, as nnU-Net has it",
    ),
    "W_MONOCHROME1": Code(
        "low values are meant to be shown white",
        allowed="voxels are as stored, not inverted",
        fixed="stored values are mirrored: the lowest and the highest of the declared bits change places",
    ),
    "W_SYNTAX": Code(
        "a DICOM file is not written in the transfer syntax that it names",
        allowed="it is read as its bytes are",
    ),
    "W_LOSSY": Code("the pixels were compressed with loss", allowed="they are taken as they are"),
    "W_PRECISION": Code(
        "the stored dtype cannot hold every integer of the value range",
        allowed="values are rounded to the nearest that it holds",
    ),
    "W_ROUNDED": Code(
        "store.keep_bits rounded the image; the finding has the largest and the mean error",
        allowed="the rounded values are stored",
    ),
    "W_UNITS": Code("the header's length unit is unusual", allowed="spacing is taken in that unit"),
}


RENAMED = {"W_TILT": "E_TILT"}
"""Codes of older configs, and what they are called now."""
