"""The source of a stored case, found by its record and read again in the sandbox."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

from gpuprep.config.model import Config
from gpuprep.io.rules import ReadRules
from gpuprep.io.sandbox.parent import Sandbox
from gpuprep.preprocess.assemble import Assembled, assemble
from gpuprep.values.agreement import Agreement
from gpuprep.values.case import Case, LabelSource, Source
from gpuprep.values.findings import CODES, Findings, Policy

Row = Mapping[str, Any]


def source_problem(record: Mapping[str, Any], roots: Sequence[str] | None = None) -> str:
    """Why the source of a stored case cannot be shown; empty where it can.

    Args:
        record: The case's.
        roots: Folders that its files must lie in, links followed; None for anywhere.
    """
    rows: list[Row] = list(record.get("source", ()))
    if not rows:
        return "the record names no source files"
    if not all(row.get("role") for row in rows):
        return (
            "an older version wrote the record, which does not tell images from labels; "
            "run the case again"
        )
    for row in rows:
        if problem := _outside(row, roots) or _changed(row):
            return problem
    return ""


def _changed(row: Row) -> str:
    name = Path(row["path"]).name
    try:
        found = Path(row["path"]).stat()
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        return f"{name} is not to be had any more at {row['path']} ({why})"
    told, now = (row["size"], row["mtime_ns"]), (found.st_size, found.st_mtime_ns)
    if told == now:
        return ""
    return (
        f"{name} is not the file that the case was made from: the record says {told[0]:,} bytes, written "
        f"at {_seconds(told[1])}, and there are {now[0]:,} bytes, written at {_seconds(now[1])}; run the "
        "case again"
    )


def _seconds(nanoseconds: int) -> str:
    """Seconds since 1970, with all the digits that a file system has."""
    return f"{nanoseconds // 10**9}.{nanoseconds % 10**9:09d}"


def _outside(row: Row, roots: Sequence[str] | None) -> str:
    if roots is None:
        return ""
    try:
        real = Path(row["path"]).resolve()
    except (OSError, RuntimeError, ValueError):
        real = Path(row["path"])
    if any(real.is_relative_to(Path(root).resolve()) for root in roots):
        return ""
    return f"{real.name} lies in none of the roots that may be read here"


def source_case(record: Mapping[str, Any]) -> Case:
    """The case as its record tells it: images, and label maps by their stored names."""
    images: list[Source] = []
    labels: dict[str, list[Source]] = {}
    stored = sorted(record.get("labels", {}), key=len, reverse=True)
    formats = iter(record.get("headers", ()))
    for role, rows in _by_role(record["source"]):
        source = _source(rows, next(formats, {}))
        kind, _, rest = role.partition(" ")
        if kind == "image":
            images.append(replace(source, name="" if rest.isdigit() else rest))
            continue
        name = next((each for each in stored if f"{rest} ".startswith(f"{each} ")), rest)
        part = rest[len(name) + 1 :]
        labels.setdefault(name, []).append(replace(source, name="" if part.isdigit() else part))
    channels = record.get("channels", ())
    if len(images) == len(channels) == 1 and not images[0].name:
        images = [replace(images[0], name=str(channels[0]))]
    maps = tuple(LabelSource(tuple(sources), name) for name, sources in labels.items())
    return Case(str(record["case"]), tuple(images), maps)


def _by_role(rows: Sequence[Row]) -> Iterator[tuple[str, list[Row]]]:
    """Files of one source follow one another."""
    for role, group in groupby(rows, key=lambda row: str(row["role"])):
        yield role, list(group)


def _source(rows: Sequence[Row], header: Mapping[str, Any]) -> Source:
    """A series has all its files; of a header and its voxels, the header comes first."""
    paths = tuple(str(row["path"]) for row in rows)
    if header.get("format") == "dicom":
        return Source(str(Path(paths[0]).parent), paths)
    return Source(paths[0])


def read_source(
    record: Mapping[str, Any],
    config: Config,
    *,
    agreement: Agreement | None = None,
    roots: Sequence[str] | None = None,
    most_bytes: int = 0,
) -> Assembled:
    """All voxels of a source in the axis order of its file, label maps on the image's grid.

    A sheared or uneven source is straightened, as it was for the case.

    Args:
        record: The case's, whose ``source_problem`` is none.
        config: What it was made with; of a case by itself, any.
        agreement: The cohort's channels and classes.
        roots: As for ``source_problem``.
        most_bytes: Of one decoded file; 0 for what the config allows.

    Raises:
        InputError: it cannot be used.
        ReaderCrash: the reader died of it, or took too long.
        MemoryShortage: it does not fit the memory.
        OSError: the file system failed.
    """
    policy = _policy(record, config)
    image = config.image.model_copy(update={"orientation": "keep"})
    given = config.input.model_copy(update={"policy": policy, "roots": tuple(roots or ())})
    config = config.model_copy(update={"image": image, "input": given})
    rules = ReadRules.of(config)
    if most_bytes:
        rules = replace(rules, max_bytes=min(most_bytes, rules.max_bytes))
    with Sandbox(rules) as sandbox:
        return assemble(
            source_case(record), config, sandbox.read, Findings(policy), agreement=agreement
        )


def _policy(record: Mapping[str, Any], config: Config) -> dict[str, Policy]:
    """What the case went through goes through again: its findings were allowed or repaired then."""
    lenient: dict[str, Policy] = {code: "warn" for code, row in CODES.items() if row.takes("warn")}
    found = {row["code"]: row["severity"] for row in record.get("findings", ())}
    told = {code: each for code, each in config.input.policy.items() if each != "error"}
    return {**lenient, **{code: each for code, each in found.items() if code in CODES}, **told}
