"""What headers tell of doing a case: the findings and refusals of ``assemble``, without a voxel."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np

from gpuprep.config.model import Config
from gpuprep.io.scan import Preview
from gpuprep.ops.label_maps import smallest_dtype
from gpuprep.preprocess.align import Target, Way, meet
from gpuprep.preprocess.assemble import check_nnunet, label_entries, label_rules, report_missing
from gpuprep.preprocess.channels import channel_rules
from gpuprep.preprocess.labels import LabelRules, check_single
from gpuprep.preprocess.outside import bytes_with
from gpuprep.preprocess.projection import Projection, project
from gpuprep.preprocess.reading import (
    channel_names,
    in_order,
    places,
    structure_ways,
    volume_names,
)
from gpuprep.values.agreement import Agreement
from gpuprep.values.case import Case, LabelSource, Source
from gpuprep.values.findings import Findings
from gpuprep.values.geometry import Geometry

Peek = Callable[[Source], Preview]

_WIDEST_LABEL = 4  # bytes of a stored label's voxel


class _Channel(NamedTuple):
    grid: Geometry
    name: str
    path: str


@dataclass(frozen=True, slots=True)
class _Reading:
    """The headers of one case, each read once."""

    peek: Peek
    findings: Findings
    previews: list[Preview]

    def read(self, source: Source) -> Preview:
        preview = self.peek(source)
        self.findings.items.extend(preview.findings)
        self.previews.append(preview)
        return preview


def sources_of(case: Case, config: Config) -> tuple[Source, ...]:
    """Those whose headers ``rehearse`` asks for."""
    images = () if config.label.only else case.images
    return (*images, *(each for entry in label_entries(case, config) for each in entry.sources))


def rehearse(case: Case, config: Config, agreement: Agreement, peek: Peek) -> Projection:
    """What a case will need and give, and what will be found, as far as the headers of all its files tell.

    Raises:
        InputError: a run would refuse it, for what its headers say.
        CaseError: it has several label maps, and nnU-Net's files hold one.
    """
    findings = Findings(config.input.policy)
    reading = _Reading(peek, findings, [])
    entries = label_entries(case, config)
    check_nnunet(case, entries, config)
    channels = [] if config.label.only else _channels(case, agreement, reading)
    if channels:
        channel_rules(config.image, [channel.name for channel in channels])
    report_missing(case, entries, agreement, config, findings)
    label_bytes, grids, told = 0, {}, {}
    for entry in entries:
        rules = label_rules(entry, config, agreement, findings)
        told[entry.name] = rules.names
        first = _label(rules, config, reading)
        grids[entry.name] = first.straight_geometry
        label_bytes += _voxel_bytes(entry, first, rules, config.label.outside)
    straight = channels[0].grid if channels else next(iter(grids.values()))
    _meet(channels, entries, grids, Target.of(straight, config.image.orientation), config, findings)
    return project(
        case.id,
        config,
        straight,
        channels=len(channels),
        bytes_in=sum(preview.file_bytes for preview in reading.previews),
        decoded_bytes=sum(preview.straight_bytes for preview in reading.previews),
        label_bytes=label_bytes,
        findings=tuple(dict.fromkeys(item.code for item in findings.items)),
        labels=told,
    )


def _channels(case: Case, agreement: Agreement, reading: _Reading) -> list[_Channel]:
    found = []
    for source in in_order(case.images, agreement.channels):
        preview = reading.read(source)
        own = volume_names(source, preview.channels)
        found += [_Channel(preview.straight_geometry, name, source.path) for name in own]
    told = [channel.name for channel in found]
    names = channel_names(case, told, agreement.channels, reading.findings)
    return [found[place]._replace(name=names[place]) for place in places(names, agreement.channels)]


def _label(rules: LabelRules, config: Config, reading: _Reading) -> Preview:
    """The header that sets the grid of a label map."""
    entry = rules.entry
    previews = [reading.read(source) for source in entry.sources]
    for preview, source in zip(previews, entry.sources, strict=True):
        check_single(preview.channels, source)
    findings = reading.findings
    if entry.structures:
        grids = [preview.geometry for preview in previews]
        ways = structure_ways(entry, grids, config, findings)
        for source, way in zip(entry.sources, ways, strict=True):
            _note_regrid(
                "W_LABEL_REGRID", f"label {source.name or source.path}", way, source.path, findings
            )
        rules.report_partial()
    else:
        rules.report_unnamed(entry.sources[0].path)
    return previews[0]


def _meet(
    channels: list[_Channel],
    entries: tuple[LabelSource, ...],
    grids: Mapping[str, Geometry],
    target: Target,
    config: Config,
    findings: Findings,
) -> None:
    """Refuse, or note, grids that are not the case's; what is lost on the way only voxels tell."""
    meeting = partial(meet, target=target, tolerance=config.input.grid_tolerance, findings=findings)
    for grid, name, path in channels:
        way = meeting(grid, what=f"channel {name}", path=path)
        _note_regrid("W_CHANNEL_REGRID", f"channel {name}", way, path, findings)
    for entry in entries:
        path = entry.sources[0].path
        way = meeting(grids[entry.name], what=f"label {entry.name}", path=path)
        _note_regrid("W_LABEL_REGRID", f"label {entry.name}", way, path, findings)


def _note_regrid(code: str, what: str, way: Way, path: str, findings: Findings) -> None:
    if way == "by geometry":
        findings.report(code, f"{what} will be brought over to another grid", path=path)


def _voxel_bytes(
    entry: LabelSource, preview: Preview, rules: LabelRules, outside: int | None
) -> int:
    """The most bytes a voxel of a stored label may take: by its classes, or else by its file."""
    values = [*rules.declared.names, *rules.cohort.names]
    if entry.structures:
        values += range(len(entry.sources) + 1)
    if values:
        if outside is not None:
            return bytes_with(outside, values)
        dtype = smallest_dtype(min(0, *values), max(values))
        return _WIDEST_LABEL if dtype is None else dtype.itemsize
    return min(_WIDEST_LABEL, np.dtype(preview.dtype).itemsize)
