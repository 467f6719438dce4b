"""The agreement of a cohort before it is worked on: what names tell, and a header where they tell nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from gpuprep.cohort.agreement import agree, channel_names
from gpuprep.cohort.discover import Found
from gpuprep.config.model import Config
from gpuprep.io.rules import ReadRules
from gpuprep.io.sandbox.parent import Sandbox
from gpuprep.values.agreement import Agreement, unnamed
from gpuprep.values.case import Case, Source
from gpuprep.values.errors import CaseError

_LOOKED_AT = 8  # cases whose headers are read for their number of channels


def settle(found: Found, present: Agreement | None, config: Config) -> Agreement:
    """The agreement of a whole input with what its output holds.

    Where channels have no names, there are as many as most of the first cases have by their headers.

    Raises:
        UsageError: the classes of two label maps cannot agree.
    """
    agreement = agree(named(found.cases, config), present, config.label.classes)
    if agreement.channels or config.label.only:
        return agreement
    counts: Counter[int] = Counter()
    with Sandbox(ReadRules.of(config, root=found.root)) as sandbox:
        for case in found.cases[:_LOOKED_AT]:
            with suppress(CaseError, OSError):
                counts[sum(_channels(source, sandbox) for source in case.images)] += 1
    if not counts:
        return agreement
    return replace(agreement, channels=unnamed(max(counts, key=lambda n: (counts[n], -n))))


def _channels(source: Source, sandbox: Sandbox) -> int:
    """A DICOM series is one channel; what another file holds, its header tells."""
    return 1 if source.files else sandbox.peek(source).channels


def named(cases: Sequence[Case], config: Config) -> tuple[Case, ...]:
    """The cases, those without names of channels under those of the config."""
    if not config.input.channels:
        return tuple(cases)
    given = config.input.channels
    return tuple(case if channel_names(case) else replace(case, channels=given) for case in cases)
