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
from gpuprep.preprocess.channels import check_channels
from gpuprep.values.agreement import Agreement, unnamed
from gpuprep.values.case import Case, Source

_LOOKED_AT = 8  # cases whose headers are read for their number of channels


def settle(found: Found, present: Agreement | None, config: Config) -> Agreement:
    """The agreement of a whole input with what its output holds.

    Where channels have no names, there are as many as most of the first cases have by their headers.

    Raises:
        UsageError: the classes of two label maps cannot agree, or the config names unknown channels.
    """
    agreement = _settled(found, present, config)
    if agreement.channels and not config.label.only:
        check_channels(config, agreement.channels)
    return agreement


def _settled(found: Found, present: Agreement | None, config: Config) -> Agreement:
    agreement = agree(found.cases, present, config.label.classes)
    if agreement.channels or config.label.only:
        return agreement
    counts: Counter[int] = Counter()
    rules = ReadRules.of(config, root=found.root)
    for case in found.cases[:_LOOKED_AT]:
        with suppress(Exception):  # what is wrong with a file is told where its case is done
            counts[sum(_channels(source, rules) for source in case.images)] += 1
    if not counts:
        return agreement
    return replace(agreement, channels=unnamed(max(counts, key=lambda n: (counts[n], -n))))


def _channels(source: Source, rules: ReadRules) -> int:
    """A DICOM series is one channel, unless its volumes are to be; what another file holds, its header tells.

    Headers are read in this process, as no native code runs: a child for them would cost most of a small run.
    """
    if source.files and rules.several_volumes != "channels":
        return 1
    from gpuprep.io.reader import peek

    return peek(source, rules).channels


def named(cases: Sequence[Case], config: Config) -> tuple[Case, ...]:
    """The cases, those without names of channels under those of the config.

    What headers call the volumes of a series is no name that the input gave.
    """
    if not config.input.channels:
        return tuple(cases)
    given = config.input.channels
    return tuple(
        case
        if channel_names(case) and not _by_header(case, config)
        else replace(case, channels=given)
        for case in cases
    )


def _by_header(case: Case, config: Config) -> bool:
    """Whether the channels of a case are the volumes of one DICOM series."""
    alone = len(case.images) == 1 and bool(case.images[0].files)
    return alone and config.input.several_volumes == "channels"
