"""What can be wrong or odd about an input, as codes, and what the policy makes of each.

A *finding* is one observed fact about a file (a gap between slices, NaN voxels). Its *severity* is what
the config's policy decides for its code: ``error`` fails the case, ``warn`` records it, ``fix`` repairs
it where an exact repair exists, ``skip`` goes on as ``warn`` and says nothing. Codes that begin with
``E_`` default to ``error``, those with ``W_`` to ``warn``. ``CODES`` says what each policy does for
each code; a config that asks for what does not exist is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from gpuprep.values.codes import CODES, Policy
from gpuprep.values.errors import InputError, quoted
from gpuprep.values.notebook import facts_html, table_html


@dataclass(frozen=True, slots=True)
class Finding:
    """One fact about one input. ``values`` holds the numbers behind the message (mm, degrees, counts)."""

    code: str
    message: str
    path: str = ""
    advice: str = ""
    severity: Policy = "warn"
    values: dict[str, Any] = field(default_factory=dict)

    def _repr_html_(self) -> str:
        """The finding as a notebook shows it."""
        rows = [("severity", self.severity), ("what", self.message), ("file", self.path)]
        return facts_html(self.code, [*(row for row in rows if row[1]), *self.values.items()])

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Finding:
        return cls(**fields)


class FindingList(list[Finding]):
    """Findings that show themselves as a table in a notebook."""

    def _repr_html_(self) -> str:
        rows = [(item.code, item.severity, item.message, item.path) for item in self]
        return table_html(("code", "severity", "what", "file"), rows) if rows else "no findings"


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
            self.items.append(Finding(code, quoted(message), str(path), advice, policy, values))
        return policy
