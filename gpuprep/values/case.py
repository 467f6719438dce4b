"""What a cohort is made of before anything is read: sources, label sources and cases."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

from gpuprep.values.agreement import Classes

NaturalKey = tuple[tuple[str | int, ...], str]

PICTURE_SUFFIXES = (".png", ".tif", ".tiff")
"""How files of a stack are called that may be pictures; what they are their bytes tell."""

_DIGITS = re.compile(r"([0-9]+)")
_ALL_ZERO = str.maketrans("123456789", "0" * 9)


def natural_key(name: str) -> NaturalKey:
    """Sort key of ids and names: ``volume-2`` before ``volume-10``, in any case; ties follow the text.

    >>> sorted(["volume-10", "Volume-2", "volume-1"], key=natural_key)
    ['volume-1', 'Volume-2', 'volume-10']
    """
    parts: list[str | int] = list(_DIGITS.split(name.casefold()))
    parts[1::2] = [int(digits) for digits in parts[1::2]]
    return tuple(parts), name


def natural_sorted(names: Iterable[str]) -> list[str]:
    """As ``sorted`` by ``natural_key``; many names take a third to a tenth of the time.

    >>> natural_sorted(["volume-10", "Volume-2", "volume-1"])
    ['volume-1', 'Volume-2', 'volume-10']
    """
    plain = sorted(names)
    text = "\n".join(plain)
    if text.count("\n") != len(plain) - 1 or "\0" in text:
        return sorted(plain, key=natural_key)
    if len(set(text.translate(_ALL_ZERO).split("\n"))) == 1:  # they differ in digits alone
        return plain
    parts = _DIGITS.split(text.casefold())  # of all names at once
    widest = max(map(len, parts[1::2]), default=0)
    parts[1::2] = ["\0" + digits.rjust(widest, "0") for digits in parts[1::2]]
    keys = "".join(parts).split("\n")
    return [plain[place] for place in sorted(range(len(plain)), key=keys.__getitem__)]


class Sister(NamedTuple):
    """The longest volume of the same series that lies where another one does: its name, and its slices."""

    name: str
    slices: int


@dataclass(frozen=True, slots=True)
class Source:
    """One readable thing on disk: a file, or the slices of one DICOM series.

    ``files`` is empty for a single file; for DICOM, ``path`` is the series' folder and ``files`` are its
    slices. ``name`` is the channel (``T1``) or the structure (``liver``) it holds, if known. ``volume`` names
    the one that is meant where the files hold several (``t0``, ``b1000``), or of a file of structures the
    numbers of those that are meant (``1,3``). ``drawn_on`` is the image on whose grid they were drawn.
    ``sister`` is told of a volume that has fewer slices than another one of its series.

    Of pictures, which know no place of their own, ``files`` are a stack; ``spacing`` is what the input tells
    of them, in mm along x, y[, z], or ``slices`` the DICOM files they were drawn on, one each.
    """

    path: str
    files: tuple[str, ...] = ()
    name: str = ""
    volume: str = ""
    spacing: tuple[float, ...] = ()
    slices: tuple[str, ...] = ()
    drawn_on: Source | None = None
    sister: Sister | None = None

    def to_json(self) -> dict[str, Any]:
        fields = asdict(self)
        for rare in ("drawn_on", "sister"):
            if fields[rare] is None:
                del fields[rare]
        return fields

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Source:
        fields: dict[str, Any] = {
            key: tuple(row.get(key, ())) for key in ("files", "spacing", "slices")
        }
        if row.get("drawn_on"):
            fields["drawn_on"] = cls.from_json(row["drawn_on"])
        if row.get("sister"):
            fields["sister"] = Sister(*row["sister"])
        return cls(row["path"], name=row["name"], volume=row.get("volume", ""), **fields)


@dataclass(frozen=True, slots=True)
class LabelSource:
    """One label map of a case, held in one file or in one binary file per structure.

    With several ``sources``, or one that is named, source ``i`` is a structure: its voxels stand for value
    ``i + 1`` of ``classes``, which are what the case's own input tells about the values.
    """

    sources: tuple[Source, ...]
    name: str = "segmentation"
    classes: Classes = field(default_factory=Classes)

    @property
    def structures(self) -> bool:
        """Whether each source is one structure."""
        return len(self.sources) > 1 or bool(self.sources[0].name)


@dataclass(frozen=True, slots=True)
class Case:
    """One unit of work: the images of a subject (one per channel) and its label maps.

    ``channels`` names the volumes in the order of the files and within them, where the input tells it and
    the images' own names do not.
    """

    id: str
    images: tuple[Source, ...]
    labels: tuple[LabelSource, ...] = ()
    attributes: dict[str, str] = field(default_factory=dict)
    channels: tuple[str, ...] = ()

    @property
    def files(self) -> tuple[str, ...]:
        """Every file the case names, images first; a reader may read more, as voxels beside a header."""
        if not self.labels and len(self.images) == 1:  # as most of very many
            return self.images[0].files or (self.images[0].path,)
        labels = (source for label in self.labels for source in label.sources)
        sources = (*self.images, *labels)
        return tuple(file for source in sources for file in source.files or (source.path,))

    @property
    def roles(self) -> dict[tuple[str, ...], str]:
        """What the files of each source are to the case: ``image T1``, ``label segmentation``.

        A source that stands twice has its first role.
        """
        labels = ((f"label {label.name}", label.sources) for label in self.labels)
        found: dict[tuple[str, ...], str] = {}
        for group, sources in (("image", self.images), *labels):
            for number, source in enumerate(sources):
                told = f" {source.name or number}" if len(sources) > 1 else ""
                found.setdefault(source.files or (source.path,), group + told)
        return found

    def to_json(self) -> dict[str, Any]:
        fields = asdict(self)
        fields["images"] = tuple(source.to_json() for source in self.images)
        for row, label in zip(fields["labels"], self.labels, strict=True):
            row["sources"] = tuple(source.to_json() for source in label.sources)
            row["classes"] = label.classes.to_json()  # regions in their order, not as a table
        return fields

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Case:
        labels = tuple(
            LabelSource(
                _sources(label["sources"]), label["name"], Classes.from_json(label["classes"])
            )
            for label in fields["labels"]
        )
        attributes, channels = dict(fields["attributes"]), tuple(fields["channels"])
        return cls(fields["id"], _sources(fields["images"]), labels, attributes, channels)


def _sources(rows: Any) -> tuple[Source, ...]:
    return tuple(map(Source.from_json, rows))
