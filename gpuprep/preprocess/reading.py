"""Reading the files of one case: its channels, named as in the cohort, and its label maps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from gpuprep.config.model import Config
from gpuprep.io.scan import FileIdentity, Scan
from gpuprep.ops.label_maps import labelled
from gpuprep.ops.shear import unshear, unshear_labels
from gpuprep.preprocess.align import Target, Way, align_label, meet
from gpuprep.preprocess.labels import LabelMap, LabelRules
from gpuprep.preprocess.losses import Losses
from gpuprep.values.agreement import unnamed
from gpuprep.values.case import Case, LabelSource, Source
from gpuprep.values.errors import InputError
from gpuprep.values.findings import Findings
from gpuprep.values.geometry import Geometry
from gpuprep.values.stack import Stack
from gpuprep.values.volume import Volume

Reader = Callable[[Source], Scan]

_NO_NAMES: Mapping[int, str] = {}


class CaseReading:
    """What was read so far: findings, identities and headers of every file of the case.

    ``first`` is the first scan, which sets the grid.
    """

    def __init__(
        self, case: Case, reader: Reader, config: Config, findings: Findings, threads: int
    ) -> None:
        self._roles = case.roles
        self._reader = reader
        self.config = config
        self._threads = threads
        self.first: Scan | None = None
        self.findings = findings
        self.identity: list[FileIdentity] = []
        self._held: set[tuple[str, str]] = set()
        self.headers: list[dict[str, Any]] = []
        self.decoded_bytes = 0

    def read(self, source: Source, label: str = "", names: Mapping[int, str] = _NO_NAMES) -> Scan:
        """The voxels as the file has them, of an image, or of a label map and what its values are called."""
        scan = self._reader(source)
        self.first = self.first or scan
        self.findings.items.extend(scan.findings)
        role = self._roles[source.files or (source.path,)]
        told = self._asked(source, label, names)
        rows = [replace(entry, role=role) for entry in scan.identity]
        if {(row.role, row.path) for row in rows} <= self._held:
            told |= {"label": label, "again": role}  # as of structures in several label maps
        else:
            self.identity.extend(rows)
            self._held.update((row.role, row.path) for row in rows)
        asked = {"asked": told} if told else {}
        self.headers.append({"format": scan.format, **scan.header, **asked})
        self.decoded_bytes += sum(volume.array.nbytes for volume in scan.volumes)
        return scan

    def _asked(self, source: Source, label: str, names: Mapping[int, str]) -> dict[str, Any]:
        """What the files alone do not tell of a source, so that it can be read again by the record."""
        told: dict[str, Any] = {}
        if names:
            told = {"label": label, "names": {str(value): name for value, name in names.items()}}
        if (image := source.drawn_on) is not None:
            role = self._roles.get(image.files or (image.path,), "image")
            told |= {"label": label, "drawn_on": role, "volume": source.volume}
        if source.spacing:
            told["spacing"] = list(source.spacing)
        if source.slices:
            held = set(source.slices)
            told["slices"] = next((r for f, r in self._roles.items() if held == set(f)), "image")
        return told

    def straight_image(self, volume: Volume, stack: Stack | None) -> Volume:
        """The volume on a straight grid, interpolated as the config's resampling is."""
        if stack is None:
            return volume
        rule = self.config.image.resample
        array = unshear(
            volume.array,
            stack,
            interpolation=rule.interpolation,
            boundary=rule.boundary,
            threads=self._threads,
        )
        self.decoded_bytes += array.nbytes
        return Volume(array, stack.geometry)

    def straight_label(self, volume: Volume, stack: Stack | None) -> Volume:
        """The label map on a straight grid."""
        if stack is None:
            return volume
        kind = self.config.label.interpolation
        array = unshear_labels(volume.array, stack, interpolation=kind, threads=self._threads)
        self.decoded_bytes += array.nbytes
        return Volume(array, stack.geometry)


class Channel(NamedTuple):
    """One channel on a straight grid, and the file it comes from."""

    volume: Volume
    name: str
    source: Source
    header: dict[str, Any]


def read_channels(case: Case, wanted: Sequence[str], reading: CaseReading) -> list[Channel]:
    """The channels of a case in the order that its cohort ``wanted``.

    Raises:
        InputError: E_CHANNELS, where they are not the cohort's.
    """
    channels = []
    for source in in_order(case.images, wanted):
        scan = reading.read(source)
        own = volume_names(source, len(scan.volumes))
        for name, volume in zip(own, scan.volumes, strict=True):
            straight = reading.straight_image(volume, scan.stack)
            channels.append(Channel(straight, name, source, scan.header))
    told = [channel.name for channel in channels]
    names = channel_names(case, told, wanted, reading.findings)
    channels = [channel._replace(name=name) for channel, name in zip(channels, names, strict=True)]
    return [channels[place] for place in places(names, wanted)]


def in_order(sources: Sequence[Source], wanted: Sequence[str]) -> list[Source]:
    """The files as the cohort orders its channels, where their names are its: its first sets the grid."""
    if {source.name for source in sources} != set(wanted):
        return list(sources)
    return sorted(sources, key=lambda source: wanted.index(source.name))


def volume_names(source: Source, number: int) -> list[str]:
    """What the volumes of a file that holds so many are called; empty where it has no name."""
    if number == 1 or not source.name:
        return [source.name] * number
    return [f"{source.name}_{place}" for place in range(number)]


def channel_names(
    case: Case, told: Sequence[str], wanted: Sequence[str], findings: Findings
) -> tuple[str, ...]:
    """The names of a case's channels, of which its files have ``told`` some.

    Raises:
        InputError: E_CHANNELS, where they are not those that the cohort ``wanted``.
    """
    names = _names(case, told, findings)
    if wanted and sorted(names) != sorted(wanted):
        findings.report(
            "E_CHANNELS",
            f"case {case.id} has {_list(names)}, but the cohort has {_list(wanted)}",
            path=case.images[0].path,
            advice="give it the same channels, name them with input.channels or in a manifest, or use "
            "another output",
        )
    return names


def places(names: Sequence[str], wanted: Sequence[str]) -> list[int]:
    """The order in which channels are stored: the cohort's, where they are its."""
    order = list(range(len(names)))
    if sorted(names) != sorted(wanted):
        return order
    return sorted(order, key=lambda place: wanted.index(names[place]))


def _names(case: Case, names: Sequence[str], findings: Findings) -> tuple[str, ...]:
    """The channels as the input calls them, or by number where it gives no names."""
    if case.channels and len(case.channels) != len(names):
        findings.report(
            "E_CHANNELS",
            f"case {case.id} is said to have {_list(case.channels)}, but its files hold {len(names)} volumes",
            path=case.images[0].path,
            advice="correct its description, or input.channels",
        )
    elif case.channels:
        return case.channels
    return tuple(name or number for name, number in zip(names, unnamed(len(names)), strict=True))


def _list(names: Sequence[str]) -> str:
    return f"{len(names)} channel{'s' * (len(names) != 1)} ({', '.join(names)})"


def read_label(
    rules: LabelRules, reading: CaseReading, losses: Losses
) -> tuple[Volume, dict[int, int]]:
    """One label map on a straight grid, in the cohort's values, and the voxels of each but 0 in its files.

    Raises:
        InputError: its values are no labels, or its structures lie on different grids.
    """
    entry = rules.entry
    own = rules.declared
    names = own.names if own.renumbered(rules.cohort) else _NO_NAMES
    scans = [reading.read(source, entry.name, names) for source in entry.sources]
    first = scans[0]
    grids = [scan.geometry for scan in scans]
    ways = structure_ways(entry, grids, reading.config, reading.findings)
    if not entry.structures:
        found = rules.single(first)
    elif rules.config.probabilities == "argmax":
        array = rules.likely(scans)
        found = LabelMap(array, labelled(array))
    else:
        masks = []
        for scan, source, way in zip(scans, entry.sources, ways, strict=True):
            mask = Volume(rules.mask(scan, source), scan.geometry)
            grid = Target.of(first.geometry, "keep")
            name = source.name or source.path
            masks.append(
                align_label(mask, grid, way, name, losses, reading.findings, path=source.path)
            )
        found = rules.merged(masks)
    volume = reading.straight_label(Volume(found.array, first.geometry), first.stack)
    return volume, found.counts


def structure_ways(
    entry: LabelSource, grids: Sequence[Geometry], config: Config, findings: Findings
) -> list[Way]:
    """How the files of a label map, on these grids, come to the grid of its first one.

    Raises:
        InputError: E_SHAPE_MISMATCH or E_AFFINE_LOST.
    """
    if not entry.structures:
        return ["as it is"]
    first = Target.of(grids[0], "keep")
    ways: list[Way] = []
    for grid, source in zip(grids, entry.sources, strict=True):
        way = meet(
            grid,
            first,
            what=f"structure {source.name or source.path}",
            other="the first structure",
            tolerance=config.input.grid_tolerance,
            findings=findings,
            path=source.path,
        )
        if way != "as it is" and config.label.probabilities == "argmax":
            raise InputError(
                "E_SHAPE_MISMATCH",
                "probabilities are compared voxel by voxel, and this file lies on another grid",
                path=source.path,
                advice="bring the files of one label to one grid, or give label.probabilities a number",
            )
        ways.append(way)
    return ways
