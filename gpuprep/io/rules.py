"""What a reader may accept, limits and the policy per finding; and one read under these rules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from gpuprep.io.scan import Allocate, own_memory
from gpuprep.values.codes import Policy
from gpuprep.values.errors import InputError
from gpuprep.values.findings import Findings

if TYPE_CHECKING:  # the reading process, which takes its rules as JSON, starts without pydantic
    from gpuprep.config.model import Config

SOURCE_PARTS = 2
"""A decoded file may take one in so many bytes of what its case is allowed."""


def source_in_memory(allowed: int) -> int | None:
    """Bytes of one decoded file that may be in memory where a case may take ``allowed`` in all."""
    return allowed // SOURCE_PARTS if allowed else None


@dataclass(frozen=True, slots=True)
class ReadRules:
    """Limits and policies of reading.

    Attributes:
        max_voxels: Most voxels one file or series may declare, all channels together.
        max_bytes: Most bytes its decoded voxels may take.
        timeout_seconds: How long a sandboxed read may take before its process is killed.
        memory_bytes: Address space the reading process may add to what it has after start-up; None
            takes three times ``max_bytes``, at least 256 MiB, at most three quarters of the machine's memory.
        in_memory_bytes: Voxels that take more are decoded into a file without a name; None for never.
        scratch: The folder of such files.
        roots: Folders that files must lie in, links followed; none for anywhere.
        grid_tolerance: By how many mm at any corner two placements of one file may differ.
        slice_tolerance: By how many mm a slice may lie off even steps.
        reader: ``checked``, or ``itk`` for SimpleITK's voxels (see ``by_itk``).
        several_volumes: What becomes of a file or series that holds several (``input.several_volumes``).
        policy: What to do per finding code; codes not named keep their defaults.
        suv: The kinds of SUV (see ``suv``) whose factors are asked of PET.
        headers_alone: Only for ``peek``: describe what headers say, though voxels are colours or missing.
    """

    max_voxels: int = 4_000_000_000
    max_bytes: int = 17_179_869_184
    timeout_seconds: float = 600.0
    memory_bytes: int | None = None
    in_memory_bytes: int | None = None
    scratch: str = ""
    roots: tuple[str, ...] = ()
    grid_tolerance: float = 0.01
    slice_tolerance: float = 0.01
    reader: str = "checked"
    several_volumes: str = "refuse"
    policy: Mapping[str, Policy] = field(default_factory=dict)
    suv: tuple[str, ...] = ()
    headers_alone: bool = False

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
            grid_tolerance=config.input.grid_tolerance,
            slice_tolerance=config.input.slice_tolerance,
            reader=config.input.reader,
            several_volumes=config.input.several_volumes,
            policy=dict(config.input.policy),
            suv=config.suv_kinds,
        )

    @property
    def of_process(self) -> tuple[object, ...]:
        """What a process that reads is held to from its start; the rest goes with each request."""
        return self.max_bytes, self.memory_bytes, self.in_memory_bytes is None

    def findings(self) -> Findings:
        """An empty collection of findings under these policies."""
        return Findings(self.policy)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> ReadRules:
        return cls(**{**fields, "roots": tuple(fields["roots"]), "suv": tuple(fields["suv"])})


@dataclass(frozen=True, slots=True)
class Reading:
    """One read of one source: its rules, what was found so far, and who gives the memory for its voxels.

    ``path`` is what findings and errors name: the source, or the header of a pair of files.
    """

    path: str
    rules: ReadRules
    findings: Findings
    allocate: Allocate = own_memory

    def report(
        self,
        code: str,
        message: str,
        *,
        advice: str = "",
        ways: Mapping[Policy, str] | None = None,
        **values: Any,
    ) -> None:
        """Note a finding about the source.

        ``ways`` says what other policies do; the advice names those that are not in force.

        Raises:
            InputError: its policy is ``error``.
        """
        own = self.findings.policy(code)
        told = [
            f"input.policy {{{code}: {policy}}} {what}."
            for policy, what in (ways or {}).items()
            if policy != own
        ]
        advice = " ".join([*([advice] if advice else []), *told])
        self.findings.report(code, message, path=self.path, advice=advice, **values)

    def error(self, code: str, message: str, advice: str = "") -> InputError:
        """An error of the source that no policy allows."""
        return InputError(code, message, path=self.path, advice=advice)
