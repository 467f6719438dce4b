"""The source of a stored case, found by its record and read again in the sandbox."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from itertools import groupby
from pathlib import Path
from typing import Any

from gpuprep.config.model import Config
from gpuprep.io.rules import ReadRules
from gpuprep.io.sandbox.parent import Sandbox
from gpuprep.io.scan import Preview
from gpuprep.preprocess.assemble import Assembled, assemble
from gpuprep.values.agreement import Agreement
from gpuprep.values.case import Case, LabelSource, Source
from gpuprep.values.codes import CODES, Policy
from gpuprep.values.errors import InputError
from gpuprep.values.findings import Findings

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
    inside = cache(partial(_inside, roots))  # the files of a series have one folder
    for row in rows:
        path = Path(row["path"])
        if not (inside(path.parent) if not path.is_symlink() else inside(path)):
            return f"{path.name} lies in none of the roots that may be read here"
        if problem := _changed(row):
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


def _inside(roots: Sequence[str] | None, path: Path) -> bool:
    """Whether a path really lies in one of the roots, if there are any."""
    if roots is None:
        return True
    try:
        real = path.resolve()
    except (OSError, RuntimeError, ValueError):
        return False
    return any(real.is_relative_to(Path(root).resolve()) for root in roots)


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
    volumes = list(header.get("volumes", ()))
    volume = str(volumes[0]) if len(volumes) == 1 else ""
    if header.get("format") == "dicom":
        return Source(str(Path(paths[0]).parent), paths, volume=volume)
    return Source(paths[0], volume=volume)


def read_source(
    record: Mapping[str, Any],
    config: Config,
    *,
    agreement: Agreement | None = None,
    roots: Sequence[str] | None = None,
    most_bytes: int = 0,
    started: Callable[[Sandbox], None] = lambda sandbox: None,
) -> Assembled:
    """All voxels of a source in the axis order of its file, label maps on the image's grid.

    A sheared or uneven source is straightened, as it was for the case.

    Args:
        record: The case's, whose ``source_problem`` is none.
        config: What it was made with; of a case by itself, any.
        agreement: The cohort's channels and classes.
        roots: As for ``source_problem``.
        most_bytes: Of all its decoded files; 0 for what the config allows of each.
        started: Is given the reader, so that it can be ended from elsewhere.

    Raises:
        InputError: it cannot be used, or has more bytes than are allowed.
        ReaderCrash: the reader died of it, or took too long.
        MemoryShortage: it does not fit the memory.
        OSError: the file system failed.
    """
    policy = _policy(record, config)
    image = config.image.model_copy(update={"orientation": "keep"})
    several = any(len(header.get("volumes", ())) > 1 for header in record.get("headers", ()))
    changed = (
        {"several_volumes": "channels"} if several else {}
    )  # else each source names its volume
    given = config.input.model_copy(
        update={"policy": policy, "roots": tuple(roots or ()), **changed}
    )
    config = config.model_copy(update={"image": image, "input": given})
    rules = ReadRules.of(config)
    case = source_case(record)
    with Sandbox(rules) as sandbox:
        started(sandbox)
        if most_bytes:
            _check_size(case, sandbox, most_bytes)
        return assemble(case, config, sandbox.read, Findings(policy), agreement=agreement)


def _check_size(case: Case, sandbox: Sandbox, most_bytes: int) -> None:
    """Refuse by the headers alone what would take too much memory."""
    sources = [*case.images, *(source for label in case.labels for source in label.sources)]
    promised = [each for each in sandbox.peek_all(sources) if isinstance(each, Preview)]
    needed = sum(each.straight_bytes for each in promised)
    if needed > most_bytes:
        raise InputError(
            "E_LIMIT",
            f"the source decodes to {needed:,} bytes, more than the {most_bytes:,} that may be held for "
            "viewing here",
            path=sources[0].path,
            advice="look at it where more memory is free, or at the stored case alone",
        )


def _policy(record: Mapping[str, Any], config: Config) -> dict[str, Policy]:
    """What the case went through goes through again: its findings were allowed or repaired then."""
    lenient: dict[str, Policy] = {code: "warn" for code, row in CODES.items() if row.takes("warn")}
    found = {row["code"]: row["severity"] for row in record.get("findings", ())}
    told = {code: each for code, each in config.input.policy.items() if each != "error"}
    return {**lenient, **{code: each for code, each in found.items() if code in CODES}, **told}
