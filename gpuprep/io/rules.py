"""What a reader may accept: limits, tolerances and the policy per finding, as one frozen value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from gpuprep.values.findings import Findings, Policy

if TYPE_CHECKING:  # the reading process, which takes its rules as JSON, starts without pydantic
    from gpuprep.config.model import Config

GANTRY_TILT: Mapping[str, Policy] = {"W_TILT": "error"}
"""Stricter than the code's default: no grid without shear can hold a tilted series."""
SOURCE_PARTS = 2
"""A decoded file may take one in so many bytes of what its case is allowed."""


def source_in_memory(allowed: int) -> int | None:
    """Bytes of one decoded file that may be in memory where a case may take ``allowed`` in all."""
    return allowed // SOURCE_PARTS if allowed else None


@dataclass(frozen=True, slots=True)
class ReadRules:
    """Limits, tolerances and policies of reading.

    Attributes:
        max_voxels: Most voxels one file or series may declare, all channels together.
        max_bytes: Most bytes its decoded voxels may take.
        max_axis: Most voxels along any one axis.
        timeout_seconds: How long a sandboxed read may take before its process is killed.
        memory_bytes: Address space the reading process may add to what it has after start-up; None
            takes three times ``max_bytes``, at least 256 MiB, at most three quarters of the machine's memory.
        in_memory_bytes: Voxels that take more are decoded into a file without a name; None for never.
        scratch: The folder of such files.
        roots: Folders that files must lie in, links followed; none for anywhere.
        policy: What to do per finding code; codes not named keep their defaults.
        gap_fraction: Deviation of one slice gap from the median gap that counts as even, relative …
        gap_mm: … and absolute; the larger of the two holds.
        tilt_tolerance_degrees: Gantry tilt below this is rounding.
        direction_tolerance: Largest difference of direction cosines within one DICOM group.
        orthonormal_tolerance: Largest cosine between two axes that counts as rounding (ITK's value).
        affine_tolerance_mm: Largest distance at which two affines of one file still agree.
        oblique_tolerance_degrees: Largest angle to the patient's axes that is not called oblique.
        min_slices: Fewer slices than this are worth a finding.
        min_spacing_mm: Spacings below this are outliers …
        max_spacing_mm: … and those above this.
    """

    max_voxels: int = 4_000_000_000
    max_bytes: int = 17_179_869_184
    max_axis: int = 65_535
    timeout_seconds: float = 600.0
    memory_bytes: int | None = None
    in_memory_bytes: int | None = None
    scratch: str = ""
    roots: tuple[str, ...] = ()
    policy: Mapping[str, Policy] = field(default_factory=dict)
    gap_fraction: float = 0.01
    gap_mm: float = 0.01
    tilt_tolerance_degrees: float = 0.1
    direction_tolerance: float = 1e-3
    orthonormal_tolerance: float = 1e-4
    affine_tolerance_mm: float = 0.1
    oblique_tolerance_degrees: float = 0.1
    min_slices: int = 5
    min_spacing_mm: float = 0.01
    max_spacing_mm: float = 100.0

    @classmethod
    def of(cls, config: Config, *, root: str = "", memory: int = 0, scratch: str = "") -> ReadRules:
        """The rules of a config, for files in ``root`` or in the config's roots; with neither, anywhere.

        A case may take ``memory`` bytes in all (0 for any number); voxels beyond its part of them are
        decoded into ``scratch``.
        """
        limits = config.input.limits
        return cls(
            max_voxels=limits.voxels,
            max_bytes=limits.bytes,
            timeout_seconds=limits.seconds,
            in_memory_bytes=source_in_memory(memory),
            scratch=scratch,
            roots=tuple(folder for folder in (root, *config.input.roots) if folder),
            policy=dict(config.input.policy),
        )

    def findings(self) -> Findings:
        """An empty collection of findings under these policies."""
        return Findings({**GANTRY_TILT, **self.policy})

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> ReadRules:
        return cls(**{**fields, "roots": tuple(fields["roots"])})
