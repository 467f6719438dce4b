"""Taking an output folder for a config: made durable, or mended, or refused if it holds something else."""

from __future__ import annotations

import json
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from gpuprep.config.difference import differences
from gpuprep.config.model import Config
from gpuprep.host.atomic import fsync_above, fsync_path, make_folder
from gpuprep.ledger.output import read_json, unwritable, write_json
from gpuprep.store.layout import CASES_FOLDER, CONFIG_FILE, GROUP_FILE, OUTPUT_ENTRIES, case_path
from gpuprep.store.metadata import group_document, is_group
from gpuprep.store.places import Place, case_ids, holds_cases, to_place
from gpuprep.store.record import read_record
from gpuprep.values.errors import CorruptStoreError, StoreError, UsageError
from gpuprep.values.version import __version__

_SHOWN = 3
"""Values of two configs that a message tells."""


def claim(root: Path, config: Config, *, overwrite: bool, cases_at: Place | None = None) -> str:
    """Make the output folder ready for a config, or refuse one that holds another config's cases.

    All that it makes is on the disk when it returns. Where a power cut took ``gpuprep.json``, the records of
    the cases tell whether they are of this config. An output without a finished case is free for any config:
    what was refused, or failed altogether, is run again with a better one.

    Only who holds the output may call this.

    Args:
        root: The folder of the run.
        config: What the cases are to be made with.
        overwrite: Every case is to be made anew.
        cases_at: Where the cases are published; ``root`` by default.

    Returns:
        What was mended, or which config had to go, in words; empty where all is well.

    Raises:
        UsageError: the folder may not be written, or belongs to another config.
        StoreFault: the disk failed.
        RunStopped: the disk is full.
    """
    try:
        make_folder(root)
        present, state = _present(root)
        cases_at, case_digest = cases_at or to_place(root), config.digest
        if state != "whole":
            note = _mended(root, cases_at, state, config, overwrite=overwrite)
        elif present["digest"] != config.digest:
            note = _taken_over(root, cases_at, present, config, overwrite=overwrite)
        else:  # a run that dies before it has statistics must not disown the cases
            note, case_digest = "", str(present.get("case_digest", config.digest))
        (root / CASES_FOLDER).mkdir(
            exist_ok=True
        )  # first: where it cannot be, the config stays as it was
        describe(root, config, case_digest)
        _describe_groups(root)
        _make_durable(root)
    except OSError as error:
        raise unwritable(root, error) from None
    return note


def describe(root: Path, config: Config, case_digest: str) -> None:
    """Write down the config, and the digest that every case of the cohort carries."""
    recipe = config.resolved()
    del recipe["cluster"], recipe["report"]  # where, and what is told of it: no part of the result
    document = {
        "version": __version__,
        "digest": config.digest,
        "case_digest": case_digest,
        "config": recipe,
    }
    if _present(root)[0] != document:
        write_json(root / CONFIG_FILE, document, sort=False)  # outputs have an order
        fsync_path(root)


def case_digest_of(root: Path) -> str:
    """The digest that the cases of an output carry, as ``describe`` wrote it down; empty where it did not."""
    return str(_present(root)[0].get("case_digest", ""))


def _present(root: Path) -> tuple[dict[str, Any], str]:
    """What ``gpuprep.json`` holds, and whether it is ``whole``, ``damaged`` or ``lost``."""
    if not (root / CONFIG_FILE).exists():
        return {}, "lost"
    with suppress(CorruptStoreError):
        document = read_json(root / CONFIG_FILE)
        if isinstance(document.get("digest"), str):
            return document, "whole"
    return {}, "damaged"


def _taken_over(
    root: Path, cases_at: Place, present: dict[str, Any], config: Config, *, overwrite: bool
) -> str:
    """Refuse an output with cases of another config; returns what to tell of one without any."""
    if overwrite:
        return ""
    if holds_cases(cases_at):
        raise UsageError(
            f"{root} holds cases made with another config "
            f"({present['digest'][:12]}, this one is {config.digest[:12]}){_differing(present, config)}",
            advice="choose another output folder, or --overwrite to make every case anew",
        )
    return f"{CONFIG_FILE} was of another config and is written anew: no case is there"


def _differing(present: dict[str, Any], config: Config) -> str:
    """The first values in which a config differs from that of an output; empty where it cannot be told."""
    try:
        before = Config.model_validate(present["config"]).deciding()
    except (KeyError, ValidationError):  # of another version
        return ""
    told = list(differences(before, config.deciding()))
    more = f", and {len(told) - _SHOWN} more" if len(told) > _SHOWN else ""
    return f": {', '.join(told[:_SHOWN])}{more}" if told else ""


def _mended(root: Path, cases_at: Place, state: str, config: Config, *, overwrite: bool) -> str:
    """Decide by the records whether an output without its config may go on; returns what to tell of it."""
    made = _configs_of_cases(cases_at, config.digest)
    if state == "lost" and not _is_ours(root, made):
        if any(not entry.name.startswith(".") for entry in root.iterdir()):
            raise UsageError(
                f"{root} is not empty and holds no gpuprep cohort", advice="choose a new folder"
            )
        return ""
    ours = made.pop(config.digest, 0)
    if made and not overwrite:
        told = made.total() - made[""]
        raise UsageError(
            f"{root}: {CONFIG_FILE} is {state}, and by their records {ours} of its cases are of this "
            f"config, {told} of another, and {made['']} do not tell",
            advice="run with the config that made them, or --overwrite to make every case anew",
        )
    if made or ours:
        agreed = f"the records of all {ours} cases agree"
        why = "with --overwrite, cases are made anew" if overwrite else agreed
        return f"{CONFIG_FILE} was {state} and is restored: {why}"
    return f"{CONFIG_FILE} was {state} and is written anew: no case is there" * (state != "lost")


def _configs_of_cases(cases_at: Place, ours: str) -> Counter[str]:
    """How many whole cases are of which config, by its digest; of an empty one where the record is silent.

    Records of older versions tell only what they are if no statistics of the cohort went into it.
    """
    made: Counter[str] = Counter()
    try:
        ids = case_ids(cases_at, finished=True)
    except FileNotFoundError:
        return made
    for case_id in ids:
        with suppress(CorruptStoreError, StoreError):  # it is no whole case, and is made anew
            record = read_record(cases_at / case_path(case_id))
            made[record.get("config_digest", ours if record.get("digest") == ours else "")] += 1
    return made


def _is_ours(root: Path, made: Counter[str]) -> bool:
    """Whether a folder is what a run left that broke off before ``gpuprep.json`` was on the disk."""
    names = {entry.name for entry in root.iterdir() if not entry.name.startswith(".")}
    if made or not names:
        return bool(made) and names <= OUTPUT_ENTRIES
    if not names <= OUTPUT_ENTRIES:
        return False
    cases = root / CASES_FOLDER
    left = {entry.name for entry in cases.iterdir()} if cases.is_dir() else set()
    empty = {name for name in left if not name.startswith(".")} <= {GROUP_FILE}
    groups = [folder / GROUP_FILE for folder in (root, cases)]
    plain = all(_is_bare(file) for file in groups if file.exists())
    return empty and plain and (cases.is_dir() or GROUP_FILE in names)


def _is_bare(file: Path) -> bool:
    """Whether a ``zarr.json`` is a group that says nothing, or is torn."""
    text = file.read_bytes()
    return not is_group(text) or json.loads(text) == group_document({})


def _describe_groups(root: Path) -> None:
    """Make the output and its folder of cases Zarr groups, which ``zarr.open`` lists; mend torn ones."""
    for folder in (root, root / CASES_FOLDER):
        file = folder / GROUP_FILE
        if not file.exists() or not is_group(file.read_bytes()):
            write_json(file, group_document({}))


def _make_durable(root: Path) -> None:
    """Without this a power cut could take the way to cases whose every byte is on the disk."""
    fsync_path(root / CASES_FOLDER)
    fsync_path(root)
    fsync_above(root)
