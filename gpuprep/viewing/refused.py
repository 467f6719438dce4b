"""What the headers of a refused input say all the same: whoever repairs it wants to see its geometry."""

from __future__ import annotations

from dataclasses import replace

from gpuprep.config.model import Config
from gpuprep.io.rules import ReadRules
from gpuprep.io.sandbox.parent import Sandbox
from gpuprep.io.scan import Preview
from gpuprep.values.case import Case, Source
from gpuprep.values.codes import CODES, Policy
from gpuprep.values.errors import CaseError, InputError

_AS_IT_IS: dict[str, Policy] = {"E_SHEAR": "fix", "E_TILT": "fix", "E_SLICE_GAP": "fix"}
"""Under these the geometry is the file's: sheared, and with the heights of its slices."""


def header_preview(case: Case, error: InputError, config: Config) -> Preview | None:
    """What the headers of the source that an error is about promise; None if not even they can be read."""
    lenient: dict[str, Policy] = dict.fromkeys(CODES, "warn")
    for policy in ({**lenient, **_AS_IT_IS}, lenient):
        rules = replace(ReadRules.of(config), policy=policy, headers_alone=True)
        with Sandbox(rules) as sandbox:
            try:
                return sandbox.peek(_refused(case, error))
            except CaseError:
                continue
    return None


def _refused(case: Case, error: InputError) -> Source:
    sources = [*case.images, *(one for label in case.labels for one in label.sources)]
    return next((one for one in sources if error.path.startswith(one.path)), sources[0])
