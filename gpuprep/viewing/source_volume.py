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
from gpuprep.values.agreement import Agreement, Classes
from gpuprep.values.case import Case, LabelSource, Source, natural_sorted
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
    images: list[tuple[str, Source]] = []
    labels: dict[str, list[Source]] = {}
    classes: dict[str, Classes] = {}
    stored = sorted(record.get("labels", {}), key=len, reverse=True)
    for role, rows, header in _reads(record):
        source = _told(_source(rows, header), header, images)
        kind, _, rest = role.partition(" ")
        asked = header.get("asked", {})
        if kind == "image" and not asked.get("label"):
            images.append((role, replace(source, name="" if rest.isdigit() else rest)))
            continue
        name = asked.get("label") or next(
            (each for each in stored if f"{rest} ".startswith(f"{each} ")), rest
        )
        part = rest[len(name) + 1 :] if rest.startswith(f"{name} ") else ""
        labels.setdefault(name, []).append(replace(source, name="" if part.isdigit() else part))
        names = asked.get("names", {})
        classes[name] = Classes({int(value): str(told) for value, told in names.items()})
    channels = record.get("channels", ())
    shown = [source for _, source in images]
    if len(shown) == len(channels) == 1 and not shown[0].name:
        shown = [replace(shown[0], name=str(channels[0]))]
    maps = tuple(
        LabelSource(tuple(sources), name, classes[name]) for name, sources in labels.items()
    )
    return Case(str(record["case"]), tuple(shown), maps)


def _reads(record: Mapping[str, Any]) -> Iterator[tuple[str, list[Row], Row]]:
    """What was read, in its order: role, files and header; files of which more was read come again."""
    groups = _by_role(record["source"])
    known: dict[str, list[Row]] = {}
    for header in record.get("headers", ()):
        again = header.get("asked", {}).get("again", "")
        if again in known:
            yield again, known[again], header
        elif (group := next(groups, None)) is not None:
            role, known[role] = group
            yield role, known[role], header
    yield from ((role, rows, {}) for role, rows in groups)


def _by_role(rows: Sequence[Row]) -> Iterator[tuple[str, list[Row]]]:
    """Files of one source follow one another."""
    for role, group in groupby(rows, key=lambda row: str(row["role"])):
        yield role, list(group)


def _source(rows: Sequence[Row], header: Mapping[str, Any]) -> Source:
    """A series has all its files; of a header and its voxels, the header comes first."""
    paths = tuple(str(row["path"]) for row in rows)
    volumes = list(header.get("volumes", ()))
    volume = str(volumes[0]) if len(volumes) == 1 else ""
    if "structures" in header:
        return Source(paths[0])
    if header.get("format") == "dicom" or (header.get("format") == "picture" and len(paths) > 1):
        return Source(str(Path(paths[0]).parent), paths, volume=volume)
    return Source(paths[0], volume=volume)


def _told(
    source: Source, header: Mapping[str, Any], images: Sequence[tuple[str, Source]]
) -> Source:
    """The same with what the case's input told of it beside its files."""
    asked = header.get("asked", {})
    source = replace(source, spacing=tuple(asked.get("spacing", ())))
    if not images:
        return source
    by_role = dict(images)
    if "drawn_on" in asked or "structures" in header:
        image = by_role.get(asked.get("drawn_on", ""), images[0][1])
        plain = replace(image, name="")
        source = replace(source, volume=asked.get("volume", ""), drawn_on=plain)
    if "slices" in asked:
        image = by_role.get(asked["slices"], images[0][1])
        source = replace(source, slices=tuple(natural_sorted(image.files)))
    return source


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
