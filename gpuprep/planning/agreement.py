"""The agreement of a cohort before it is worked on: what names tell, and a header where they tell nothing."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from gpuprep.cohort.agreement import agree, channel_names
from gpuprep.cohort.discover import Found
from gpuprep.config.model import Config
from gpuprep.io.rules import ReadRules
from gpuprep.io.sandbox.parent import Sandbox
from gpuprep.values.agreement import Agreement, unnamed
from gpuprep.values.case import Case
from gpuprep.values.errors import CaseError

_LOOKED_AT = 8  # cases whose headers are read for their number of channels before it is left open


def settle(found: Found, present: Agreement | None, config: Config) -> Agreement:
    """The agreement of a whole input with what its output holds.

    Where channels have no names, the first case in order whose headers can be read says how many there are.

    Raises:
        UsageError: the classes of two label maps cannot agree.
    """
    agreement = agree(named(found.cases, config), present, config.label.classes)
    if agreement.channels or config.label.only:
        return agreement
    with Sandbox(ReadRules.of(config, root=found.root)) as sandbox:
        for case in found.cases[:_LOOKED_AT]:
            with suppress(CaseError, OSError):
                number = sum(sandbox.peek(source).channels for source in case.images)
                return replace(agreement, channels=unnamed(number))
    return agreement


def named(cases: Sequence[Case], config: Config) -> tuple[Case, ...]:
    """The cases, those without names of channels under those of the config."""
    if not config.input.channels:
        return tuple(cases)
    given = config.input.channels
    return tuple(case if channel_names(case) else replace(case, channels=given) for case in cases)
