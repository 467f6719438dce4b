"""What is known of a stored case without opening it: its line in ``manifest.jsonl``, from its record."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from gpuprep.store.files import CaseVersion
from gpuprep.values.geometry import Geometry

_FAULTS = (KeyError, IndexError, TypeError, ValueError, AttributeError)

Line = tuple[str, str, int, int]
"""A source file: what it is to the case, its path, its size, and its time in ns."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What the record of a case tells, in the form of a line.

    Attributes:
        record: Which record it was, by ``version_text``; a case with another one is to be read anew.
        source: The stamp of its source files, by ``source_stamp``.
        input: The input that it came from.
        shape: Of its arrays, ``z, y, x``.
        spacing: In mm, ``z, y, x``.
        source_shape: Of the file, ``z, y, x``.
        source_spacing: In mm, ``z, y, x``.
        source_bytes: Of all source files.
        voxels: How many there are of each value, label map by label map in the order of ``Holding.labels``.
        measures: Names of the numbers of each channel.
        statistics: These numbers, channel by channel; None where there is none.
        findings: Codes.
        attributes: What the input says beside its files.
        files: What the case consists of, beside its record.
        sizes: In bytes, of each.
        orientation: Of the source's axes x, y, z, such as ``LPS``; empty in lines of older versions.
        oblique: The largest angle of the source's axes to the patient's, in degrees; None in such lines.
        kept: Which share of the source's voxels the crop left; None in such lines.
    """

    record: str
    source: str
    input: str
    shape: tuple[int, ...]
    spacing: tuple[float, ...]
    source_shape: tuple[int, ...]
    source_spacing: tuple[float, ...]
    source_bytes: int
    voxels: tuple[int, ...]
    measures: tuple[tuple[str, ...], ...]
    statistics: tuple[float | None, ...]
    findings: tuple[str, ...]
    attributes: Mapping[str, str]
    files: tuple[str, ...]
    sizes: tuple[int, ...]
    orientation: str = ""
    oblique: float | None = None
    kept: float | None = None

    @classmethod
    def of_record(cls, record: Mapping[str, Any], version: CaseVersion | None) -> Facts | None:
        """What a record tells; None where an older version, or somebody else, wrote it."""
        try:
            counts = dict(sorted(record["labels"].items()))
            measured = [_flat(row) for row in record.get("statistics", [])]
            orientation, oblique, kept = _placement(record["geometry"])
            source, files = record["source"], dict(sorted(record["files"].items()))
            return cls(
                version_text(version),
                source_stamp((r["role"], r["path"], r["size"], r["mtime_ns"]) for r in source),
                str(record.get("input", "")),
                *_grid(record["geometry"]["output"]),
                *_grid(record["geometry"]["source"]),
                sum(row["size"] for row in source),
                tuple(n for found in counts.values() for _, n in sorted(_by_value(found))),
                tuple(tuple(row) for row in measured),
                tuple(number for row in measured for number in row.values()),
                tuple(finding["code"] for finding in record.get("findings", [])),
                dict(record.get("attributes", {})),
                tuple(files),
                tuple(seal["size"] for seal in files.values()),
                orientation,
                oblique,
                kept,
            )
        except _FAULTS:
            return None

    @classmethod
    def of_row(cls, row: Mapping[str, Any]) -> Facts | None:
        """What a line tells; None where an older version wrote it."""
        try:
            return cls(
                str(row["record"]),
                str(row["source"]),
                str(row["input"]),
                _three(row["shape"], int),
                _three(row["spacing"], float),
                _three(row["source_shape"], int),
                _three(row["source_spacing"], float),
                int(row["source_bytes"]),
                tuple(map(int, row["voxels"])),
                tuple(tuple(map(str, names)) for names in row["measures"]),
                tuple(_known(n) for n in row["statistics"]),
                tuple(map(str, row["findings"])),
                {str(name): str(value) for name, value in row["attributes"].items()},
                tuple(map(str, row["files"])),
                tuple(map(int, row["sizes"])),
                str(row.get("orientation", "")),
                _known(row.get("oblique")),
                _known(row.get("kept")),
            )
        except _FAULTS:
            return None

    def to_row(self) -> dict[str, Any]:
        """Its part of a line."""
        return {name: getattr(self, name) for name in FACTS}


FACTS = tuple(field.name for field in fields(Facts))


def version_text(version: CaseVersion | None) -> str:
    """Which record a case has, as far as a copy with its times has it, too: size and time, or the etag."""
    return "" if version is None else version_texts([version])[0]


def version_texts(versions: Iterable[CaseVersion]) -> list[str]:
    """The same of many records."""
    return [f"{v[-2]}-{v[-1]}" if len(v) > 1 else str(v[0]) for v in versions]


def source_stamp(lines: Iterable[Line]) -> str:
    """A sum of roles, paths, sizes and times of files; no file is read."""
    text = "\n".join(sorted("\0".join(map(str, line)) for line in lines))
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:32]


def _by_value(found: Mapping[str, int]) -> Iterable[tuple[int, int]]:
    return ((int(value), int(count)) for value, count in found.items())


def _grid(geometry: Mapping[str, Any]) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    return _three(geometry["shape"], int), _three(geometry["spacing"][::-1], float)


def _three(numbers: Any, kind: type[Any]) -> tuple[Any, ...]:
    x, y, z = numbers
    return kind(x), kind(y), kind(z)


def _known(number: float | None) -> float | None:
    """A number of a line; None for NaN, which stands in columns where there is none."""
    return None if number is None or number != number else float(number)


def _placement(geometry: Mapping[str, Any]) -> tuple[str, float | None, float | None]:
    """How the source lies in the patient, and which share of its voxels is left, as far as a record tells."""
    try:
        source = Geometry.from_json(geometry["source"])
        kept = math.prod(stop - start for start, stop in geometry["crop"])
        turned = math.prod(geometry["oriented"]["shape"])
        return source.orientation, round(source.oblique_degrees, 4), kept / turned
    except (*_FAULTS, ZeroDivisionError):
        return "", None, None


def _flat(row: Mapping[str, Any]) -> dict[str, float | None]:
    """Statistics of a channel, percentiles as ``p0.5``."""
    flat = {name: value for name, value in row.items() if name != "percentiles"}
    flat |= {f"p{name}": value for name, value in row.get("percentiles", {}).items()}
    return dict(sorted(flat.items()))
