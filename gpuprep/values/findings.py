"""What can be wrong or odd about an input, as codes, and what the policy makes of each.

A *finding* is one observed fact about a file (a gap between slices, NaN voxels). Its *severity* is what
the config's policy decides for its code: ``error`` fails the case, ``warn`` records it, ``fix`` repairs
it where an exact repair exists, ``skip`` says nothing. Codes that begin with ``E_`` default to
``error``, those with ``W_`` to ``warn``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, Literal

from gpuprep.values.errors import InputError

Policy = Literal["error", "warn", "fix", "skip"]

CODES: dict[str, str] = {
    "E_TRUNCATED": "the file holds fewer bytes than its header declares",
    "E_UNREADABLE": "no reader understands the file, or its bytes are damaged",
    "E_CRASH_RISK": "the file is of a kind known to crash readers",
    "E_LIMIT": "the file declares more voxels or bytes than the config allows",
    "E_UNSAFE_PATH": "the header points at a file outside its own folder",
    "E_NO_GEOMETRY": "spacing or direction is missing or impossible",
    "E_SHEAR": "the axes are not orthogonal, so no spacing and direction describe them",
    "E_SHAPE_MISMATCH": "image, channels and label do not lie on one grid",
    "E_LABEL_MISSING": "a label was expected and is not there",
    "E_LABEL_VALUES": "the label holds values that are not whole numbers in range",
    "E_REFERENCE": "the case does not fit the grid of image.resample.reference",
    "E_MIXED_SERIES": "one series mixes orientations, matrix sizes or kinds of image",
    "E_MIXED_RESCALE": "slices of one series use different rescale slopes or intercepts",
    "E_SLICE_GAP": "slices are missing or unevenly spaced",
    "E_SLICE_DUP": "several slices lie at one position",
    "E_MOSAIC": "the image is a mosaic of tiles, not a slice",
    "E_PIXEL_TYPE": "voxels are colours or complex numbers, not one intensity",
    "E_NOT_VOLUME": "the image has no third dimension, or too many dimensions",
    "W_TILT": "the gantry was tilted, so slices are shifted against each other",
    "W_SFORM_QFORM": "the two affines of the NIfTI header disagree",
    "W_OBLIQUE": "the axes do not follow the patient's; OME-Zarr scale and translation are approximate",
    "W_SPACING_OUTLIER": "a spacing is far from anything a scanner makes",
    "W_IDENTITY_AFFINE": "spacing is exactly 1, 1, 1 with an identity direction: the geometry may be lost",
    "W_NO_AFFINE": "the header has no affine; spacing alone was used",
    "W_LABEL_FLOAT": "the label is stored as floating point",
    "W_LABEL_EMPTY": "the label holds background only",
    "W_LABEL_OVERLAP": "structures overlap; the later one in order keeps the voxel",
    "W_GEOMETRY_TOLERANCE": "grids differ by rounding and were taken as equal",
    "W_LABEL_REGRID": "the label was brought to the image's grid by its geometry",
    "W_NAN": "voxels are NaN or infinite",
    "W_EMPTY_FOREGROUND": "there is nothing to crop to or to measure; the whole image was used",
    "W_PADDING": "padding voxels outside the field of view are present",
    "W_4D": "the file holds several volumes; each became a channel",
    "W_FEW_SLICES": "the volume has very few slices",
    "W_MONOCHROME1": "low values are meant to be shown white; voxels are as stored, not inverted",
    "W_LOSSY": "the pixels were compressed with loss",
    "W_PRECISION": "the stored dtype cannot hold every integer of the value range",
    "W_UNITS": "the header's length unit is unusual",
}


class FailureCode(StrEnum):
    """Why a case failed where its files are not to blame; failures of files carry a finding's code.

    A system's error keeps the system's name instead (``EIO``, ``EACCES``).
    """

    CASE = "CASE"
    """The case cannot be done, for a reason of its own."""
    CRASH = "CRASH"
    """The process that read a file of it died or hung."""
    DEADLINE = "DEADLINE"
    """It was not done within ``run.deadline``."""
    MEMORY = "MEMORY"
    """It needs more memory than it may take."""
    DEVICE = "DEVICE"
    """The CUDA device stopped working under it."""
    RANGE = "RANGE"
    """Its results do not fit the stored dtype."""
    BUG = "BUG"
    """A fault of gpuprep's own."""
    WORKER_DIED = "WORKER_DIED"
    """The worker that had it in hand died."""
    POISON = "POISON"
    """Workers died of it again and again, also when it ran alone."""
    STORE = "STORE"
    """Its output cannot be written or read."""
    CORRUPT = "CORRUPT"
    """Stored bytes of it are damaged."""
    CONFIG = "CONFIG"
    """A value of the config does not suit it."""
    BACKEND = "BACKEND"
    """The engine that was asked for cannot be used where it ran."""
    USAGE = "USAGE"
    """A path or an argument is wrong where it ran."""
    STOPPED = "STOPPED"
    """The run could not go on while it was in hand."""
    OSERROR = "OSERROR"
    """The system refused something and gave no name for it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One fact about one input. ``values`` holds the numbers behind the message (mm, degrees, counts)."""

    code: str
    message: str
    path: str = ""
    advice: str = ""
    severity: Policy = "warn"
    values: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Finding:
        return cls(**fields)


def default_policy(code: str) -> Policy:
    """What happens to a code that the config does not name."""
    return "error" if code.startswith("E_") else "warn"


class Findings:
    """Collects the findings of one case under a policy; the first ``error`` is raised as InputError."""

    def __init__(self, policy: Mapping[str, Policy] | None = None) -> None:
        self._policy = dict(policy or {})
        self.items: list[Finding] = []

    def copy(self) -> Findings:
        """The same findings so far, under the same policy, to be added to separately."""
        copied = Findings(self._policy)
        copied.items = list(self.items)
        return copied

    def policy(self, code: str) -> Policy:
        return self._policy.get(code, default_policy(code))

    def fixes(self, code: str) -> bool:
        """Whether a finding of this code was noted and is to be repaired."""
        return any(item.code == code and item.severity == "fix" for item in self.items)

    def report(
        self, code: str, message: str, *, path: object = "", advice: str = "", **values: Any
    ) -> Policy:
        """Note a finding; returns what the policy asks for, so that the caller can ``fix``.

        >>> findings = Findings({"E_SHEAR": "fix"})
        >>> findings.report("E_SHEAR", "axes meet at 87°", path="scan.nii.gz", degrees=3.0)
        'fix'
        >>> findings.report("W_NAN", "12 voxels are NaN", voxels=12)
        'warn'

        Raises:
            InputError: the policy for this code is ``error``.
        """
        if code not in CODES:
            raise KeyError(f"unknown finding code {code}")
        policy = self.policy(code)
        if policy == "error":
            raise InputError(code, message, path=str(path), advice=advice)
        if policy != "skip":
            self.items.append(Finding(code, message, str(path), advice, policy, values))
        return policy
