"""What is known of a cohort before anything is decided: plain facts of its cases."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from gpuprep.advice.modality import most
from gpuprep.advice.spread import Spread
from gpuprep.values.agreement import Agreement
from gpuprep.values.events import CaseFailed
from gpuprep.values.geometry import Shape, Triple


@dataclass(frozen=True, slots=True)
class CaseFacts:
    """One case on its grid, turned to the config's orientation.

    Attributes:
        case_id: Its id.
        shape: ``z, y, x``.
        spacing: mm, ``x, y, z``.
        orientation: Of the file, as ``LPS``.
        channels: Names.
        kinds: ``CT``, ``MR``, ``PT`` or empty for each channel.
        labelled: Whether it has a label map.
        values: Of the label map, but 0, where voxels were read.
        findings: Codes.
        cropped: The shape of what is not zero, ``z, y, x``; None where voxels were not read.
        body: The share of the voxels in the box of a CT's body; None where there is no CT, or unread.
    """

    case_id: str
    shape: Shape
    spacing: Triple
    orientation: str
    channels: tuple[str, ...]
    kinds: tuple[str, ...]
    labelled: bool
    values: tuple[int, ...] = ()
    findings: tuple[str, ...] = ()
    cropped: Shape | None = None
    body: float | None = None


@dataclass(frozen=True)
class CohortFacts:
    """What is known of a cohort.

    Attributes:
        source: The input, as it was named.
        layout: How its cases were found; empty for a stored cohort.
        cases: In order.
        refused: Cases that a run would refuse, or that could not be read.
        unmatched: Files of no case.
        agreement: Names of channels and classes.
        spreads: The foreground of each CT channel by its name, as far as voxels were read.
        counted: Which voxels these are, in words.
        read: Whether voxels were read.
    """

    source: str
    layout: str
    cases: tuple[CaseFacts, ...]
    refused: tuple[CaseFailed, ...]
    unmatched: int
    agreement: Agreement
    spreads: Mapping[str, Spread] = field(default_factory=dict)
    counted: str = ""
    read: bool = True

    @property
    def channels(self) -> tuple[str, ...]:
        return self.agreement.channels or self.cases[0].channels

    def kind(self, channel: int) -> str:
        """What most cases have as this channel."""
        return most(self.kinds(channel))

    def kinds(self, channel: int) -> list[str]:
        """What each case has as this channel."""
        return [case.kinds[channel] for case in self.cases if channel < len(case.kinds)]

    @property
    def orientations(self) -> Counter[str]:
        return Counter(case.orientation for case in self.cases)

    @property
    def kept(self) -> float | None:
        """The median share of voxels that a crop to what is not zero keeps; None where it is not known."""
        shares = sorted(
            _voxels(case.cropped) / _voxels(case.shape) for case in self.cases if case.cropped
        )
        middle = len(shares) // 2
        return (shares[middle] + shares[~middle]) / 2 if shares else None

    @property
    def values(self) -> Counter[int]:
        """In how many cases each value of the label map is."""
        return Counter(value for case in self.cases for value in case.values)

    def to_json(self) -> dict[str, Any]:
        return {
            "input": self.source,
            "layout": self.layout,
            "cases": len(self.cases),
            "refused": [each.to_json() for each in self.refused],
            "unmatched": self.unmatched,
            "channels": {name: self.kind(n) for n, name in enumerate(self.channels)},
            "orientations": dict(self.orientations),
            "kept_by_crop": self.kept,
            "foreground": {name: asdict(spread) for name, spread in self.spreads.items()},
        }


def _voxels(shape: Shape) -> int:
    z, y, x = shape
    return z * y * x
