"""A case with several outputs: each lies in a folder of its own, and one record tells of all.

The case's ``zarr.json`` is a plain group that names the outputs, the first of which is what readers get that
name none. Its record has what all of them share, what is of the first one beside it, and under ``outputs``
what is of each.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from gpuprep.store.files import write_file
from gpuprep.store.layout import CONFIG_FILE, GROUP_FILE
from gpuprep.store.metadata import group_document, to_text
from gpuprep.store.places import Place
from gpuprep.values.errors import CorruptStoreError, GpuprepError, NotArrays, UnknownOutput


def unknown_output(asked: str, names: Sequence[str], where: object) -> UnknownOutput:
    """The error that says which outputs there are."""
    if not names:
        told, advice = "its config names no outputs", "leave the output's name out"
    else:
        told, advice = f"its outputs are {', '.join(names)}", f"ask for {names[0]!r}"
    return UnknownOutput(f"{where}: no output {asked!r}; {told}", advice=advice)


def below(output: str, path: str) -> str:
    """The path of something inside its case, from that inside its output, which may have no name."""
    return "/".join(part for part in (output, path) if part)


def write_outputs_group(
    folder: Path, outputs: Sequence[str], nnunet: Sequence[str], *, durable: bool
) -> dict[str, dict[str, int]]:
    """Write the group that names the outputs of a case; returns its seal by its path.

    Args:
        folder: The case's folder.
        outputs: Their names in order.
        nnunet: Those of which are nnU-Net's files and no arrays.
        durable: Wait for the disk.
    """
    told = {"outputs": list(outputs), "nnunet": list(nnunet)}
    file = folder / GROUP_FILE
    text = to_text(group_document({"gpuprep": told}), f"{file}")
    return {GROUP_FILE: asdict(write_file(file, [text], fsync=durable))}


def read_outputs(cohort: Place) -> tuple[str, ...]:
    """The names of the outputs of a cohort's cases, in order, as its config has them."""
    try:
        config = json.loads(cohort.document(CONFIG_FILE))["config"]
        return tuple(config.get("outputs", {}))
    except (GpuprepError, KeyError, TypeError, ValueError, AttributeError):
        return ()  # each case knows its own


def choose_output(
    names: Sequence[str], nnunet: Sequence[str], asked: str | None, case: object
) -> str:
    """The output of a case that is read, the first where none is asked for; empty where it has but one.

    Raises:
        UnknownOutput: it has no output of the name that is asked for.
        NotArrays: the output is nnU-Net's files.
    """
    if asked and asked not in names:
        raise unknown_output(asked, names, case)
    chosen = asked or next(iter(names), "")
    if chosen in nnunet:
        rest = [name for name in names if name not in nnunet]
        what = f"its output {chosen}" if chosen else "it"
        raise NotArrays(
            f"{case}: {what} is stored as files of nnU-Net, not as arrays",
            advice=f"read its output {rest[0]!r}" if rest else "read them with nnU-Net",
        )
    return chosen


def output_record(record: Mapping[str, Any], output: str, case: object) -> dict[str, Any]:
    """A record as if the case had this one output only, but for the files, which are those of all.

    Raises:
        CorruptStoreError: the record does not tell of the output.
    """
    if not output:
        return dict(record)
    try:
        outputs = record["outputs"]
        shared = record.keys() - outputs[record["output"]].keys() - {"outputs"}
        return {**{key: record[key] for key in shared}, **outputs[output], "output": output}
    except (KeyError, TypeError, AttributeError) as error:
        raise CorruptStoreError(
            f"{case}: its record does not tell of its output {output}", advice="run the case again"
        ) from error
