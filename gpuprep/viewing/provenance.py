"""Where a stored case comes from and how it was made, in words, by its record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gpuprep.ops.table import Table
from gpuprep.values.units import human_bytes


def provenance_rows(
    record: Mapping[str, Any], *, raw_bytes: int, stored_bytes: int
) -> list[tuple[str, str]]:
    """Names and texts: what a case was made from, by what, and what became of it.

    Args:
        record: The case's.
        raw_bytes: Of its arrays, uncompressed.
        stored_bytes: Of its files.
    """
    read = sum(entry["size"] for entry in record["source"])
    first, *more = record["source"]
    files = first["path"] + (f" and {len(more)} more" if more else "")
    ratio = raw_bytes / max(stored_bytes, 1)
    seconds = ", ".join(f"{name} {spent:.2f} s" for name, spent in record["timings"].items())
    return [
        ("made from", f"{files} ({human_bytes(read)}, sha256 {first['sha256'][:12]}…)"),
        *(("read as", facts(header)) for header in record["headers"][:1]),
        ("config", record["digest"][:12]),
        *([("output", record["output"])] if "output" in record else ()),
        ("crop", crop_text(record["geometry"])),
        *(("filters", filters_text(each)) for each in record.get("filters", ())),
        *(("intensity", line_text(step)) for step in record["intensity"]),
        ("stored", f"{human_bytes(stored_bytes)}, {ratio:.2f} times smaller than raw"),
        ("time", f"{seconds} ({_engine(record['engine'])}, {record['written']})"),
        ("versions", ", ".join(f"{name} {text}" for name, text in record["versions"].items())),
    ]


def _engine(engine: Mapping[str, Any]) -> str:
    """What did the array work, and why parts of it were done by something else."""
    device = f" on {engine['device']}" if "device" in engine else ""
    fallbacks = "".join(f"; {reason}" for reason in engine.get("fallbacks", ()))
    return f"{engine['backend']}{device}{fallbacks}"


def crop_text(geometry: Mapping[str, Any]) -> str:
    """The box that a case was cropped to, in words."""
    box = geometry["crop"]
    if all(part == [0, n] for part, n in zip(box, geometry["oriented"]["shape"], strict=True)):
        return "none"
    return " ".join(f"{start}:{stop}" for start, stop in box) + " (z y x of the oriented source)"


def filters_text(filters: Sequence[Mapping[str, Any]]) -> str:
    """One channel's filters in words, with what they found."""
    told = []
    for entry in filters:
        for name, rule in entry.items():
            given = facts({key: value for key, value in rule.items() if key != "found"})
            found = f"; found {facts(rule['found'])}" if "found" in rule else ""
            told.append(f"{name} ({given}{found})")
    return ", then ".join(told) or "none"


def line_text(step: Mapping[str, Any]) -> str:
    """One channel's intensity chain in words."""
    low, high = ("…" if end is None else f"{end:.6g}" for end in step["clip"])
    line = f"× {step['scale']:.6g} {'-' if step['offset'] < 0 else '+'} {abs(step['offset']):.6g}"
    done = [] if low == high == "…" else [f"clip to {low} … {high}"]
    if "table" in step:
        done.append(f"a table of {len(Table.from_json(step['table']).x)} points")
    if line != "× 1 + 0":
        done.append(line)
    return ", then ".join(done) or "as it was"


def facts(header: Mapping[str, Any]) -> str:
    """A header in one line, without what it leaves open, and what the input told beside it."""
    told = {name: value for name, value in header.items() if name != "asked"}
    return ", ".join(
        f"{name} {_fact(value)}" for name, value in told.items() if value not in ("", None)
    )


def _fact(value: object) -> str:
    """A value of a header; what has parts in brackets."""
    return f"({facts(value)})" if isinstance(value, Mapping) else str(value)
