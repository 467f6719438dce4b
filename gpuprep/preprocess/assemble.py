"""Reading a whole case: its channels and label maps, turned to one orientation, on one grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from numpy.typing import NDArray

from gpuprep.config.model import Config
from gpuprep.io.scan import FileIdentity
from gpuprep.preprocess.align import Target, align_channel, align_label, meet
from gpuprep.preprocess.labels import LabelRules
from gpuprep.preprocess.losses import Losses
from gpuprep.preprocess.reading import CaseReading, Reader, read_channels, read_label
from gpuprep.values.agreement import Agreement, Classes
from gpuprep.values.case import Case, LabelSource
from gpuprep.values.errors import CaseError
from gpuprep.values.findings import Findings
from gpuprep.values.geometry import Geometry, Reorientation


@dataclass(frozen=True, slots=True)
class Assembled:
    """A case in memory: arrays in ``z, y, x``, all of ``geometry.shape``, images in their source dtype.

    ``source_geometry`` is the file's, which may be sheared, and ``heights`` where its slices lie if that
    is uneven. ``straight_geometry`` is the file's too, unless the voxels had to be straightened (see
    ``stack``); turned by ``reorientation`` it is ``geometry``. ``decoded_bytes`` counts the voxels as
    read and as straightened. ``label_counts`` are the voxels of each value but 0, as the files have them.
    """

    channels: tuple[NDArray[Any], ...]
    channel_names: tuple[str, ...]
    labels: dict[str, NDArray[Any]]
    label_names: dict[str, dict[int, str]]
    label_counts: dict[str, dict[int, int]]
    geometry: Geometry
    source_geometry: Geometry
    heights: tuple[float, ...]
    straight_geometry: Geometry
    reorientation: Reorientation
    identity: tuple[FileIdentity, ...]
    headers: tuple[dict[str, Any], ...]
    decoded_bytes: int
    losses: Losses
    uptakes: tuple[dict[str, Any], ...] = ()
    """Of every channel: the factors of SUV by their kinds, where its file tells them."""

    @property
    def path(self) -> str:
        """The first file that was read."""
        return self.identity[0].path if self.identity else ""


def assemble(
    case: Case,
    config: Config,
    reader: Reader,
    findings: Findings,
    *,
    agreement: Agreement | None = None,
    threads: int = 1,
) -> Assembled:
    """Read every file of a case and bring it to a straight grid and to the config's orientation.

    Channels are in the order of the cohort's ``agreement``, label values are its.

    Raises:
        InputError: a file is unusable, the files do not lie on one grid, or the case does not fit its cohort.
    """
    agreement = agreement or Agreement()
    reading = CaseReading(case, reader, config, findings, threads)
    losses = Losses(config.label.loss)
    entries = label_entries(case, config)
    check_nnunet(case, entries, config)
    rules = {entry.name: label_rules(entry, config, agreement, findings) for entry in entries}
    channels = [] if config.label.only else read_channels(case, agreement.channels, reading)
    report_missing(case, entries, agreement, config, findings)
    maps = {name: read_label(each, reading, losses) for name, each in rules.items()}
    volumes = [channel.volume for channel in channels] or [volume for volume, _ in maps.values()]
    straight = volumes[0].geometry
    target = Target.of(straight, config.image.orientation)
    meeting = partial(meet, target=target, tolerance=config.input.grid_tolerance, findings=findings)
    kind = config.image.resample.interpolation
    arrays, labels = [], {}
    for volume, name, source, _ in channels:
        way = meeting(volume.geometry, what=f"channel {name}", path=source.path)
        arrays.append(align_channel(volume, target, way, name, kind, findings, path=source.path))
    for entry in entries:
        volume, _ = maps[entry.name]
        path = entry.sources[0].path
        way = meeting(volume.geometry, what=f"label {entry.name}", path=path)
        labels[entry.name] = align_label(
            volume, target, way, entry.name, losses, findings, path=path
        )
    assert reading.first is not None
    return Assembled(
        channels=tuple(arrays),
        channel_names=tuple(channel.name for channel in channels),
        labels=labels,
        label_names={name: names for name, each in rules.items() if (names := each.names)},
        label_counts={name: counts for name, (_, counts) in maps.items()},
        geometry=target.geometry,
        source_geometry=reading.first.geometry,
        heights=reading.first.heights,
        straight_geometry=straight,
        reorientation=target.turn,
        identity=tuple(reading.identity),
        headers=tuple(reading.headers),
        decoded_bytes=reading.decoded_bytes,
        losses=losses,
        uptakes=tuple(channel.header.get("suv", {}) for channel in channels),
    )


def label_entries(case: Case, config: Config) -> tuple[LabelSource, ...]:
    """The label maps of a case; with ``label.only`` its image is one where it has none."""
    if case.labels or not config.label.only:
        return case.labels
    return (LabelSource(tuple(replace(source, name="") for source in case.images)),)


def check_nnunet(case: Case, entries: Sequence[LabelSource], config: Config) -> None:
    """Refuse what nnU-Net's files cannot hold, before anything is read.

    Raises:
        CaseError: the case has several label maps.
    """
    if len(entries) > 1 and any(part.store.nnunet for part in config.parts().values()):
        names = ", ".join(entry.name for entry in entries)
        raise CaseError(
            f"nnU-Net's files hold one label map, and case {case.id} has {len(entries)}: {names}",
            advice="give the case one, as without input.label_layers, or leave store.nnunet out",
        )


def label_rules(
    entry: LabelSource, config: Config, agreement: Agreement, findings: Findings
) -> LabelRules:
    """What one label map of a case is read by."""
    return LabelRules(entry, config.label, agreement.labels.get(entry.name, Classes()), findings)


def report_missing(
    case: Case,
    entries: Sequence[LabelSource],
    agreement: Agreement,
    config: Config,
    findings: Findings,
) -> None:
    """Say which label maps the case lacks that the config needs or the cohort has."""
    if not entries and (reason := label_needed(config)):
        findings.report(
            "E_LABEL_MISSING",
            f"case {case.id} has no label, but {reason}",
            advice="add its label to the input, or set input.policy {E_LABEL_MISSING: warn}",
        )
    absent = sorted(agreement.labels.keys() - {entry.name for entry in entries})
    if absent and case.attributes.get("split") != "test":
        text = f"case {case.id} has no label map {', '.join(absent)}, which the cohort has"
        findings.report("W_LABEL_ABSENT", text)


def label_needed(config: Config) -> str:
    """Which setting cannot do without a label; empty when none."""
    image = config.image
    if config.label.required:
        return "label.required is set"
    if image.crop.to == "label":
        return "image.crop goes to the label"
    parts = config.parts().values()
    steps = [entry.step for part in parts for entry in part.image.steps]
    uses_foreground = any(part.image.zeroes for part in parts) or any(
        getattr(step, "over", "image") != "image" for step in steps
    )
    return "image.foreground is the label" * (image.foreground.where == "label" and uses_foreground)
