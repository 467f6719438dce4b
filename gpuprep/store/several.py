"""A case with several outputs: each lies in a folder of its own, and one record tells of all.

The case's ``zarr.json`` is a plain group that names the outputs, the first of which is what readers get that
name none. Its record has what all of them share, what is of the first one beside it, and under ``outputs``
what is of each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from gpuprep.store.files import write_file
from gpuprep.store.layout import GROUP_FILE
from gpuprep.store.metadata import group_document, to_text
from gpuprep.values.errors import StoreError, UsageError


def below(output: str, path: str) -> str:
    """The path of a file inside its case, from that inside its output; of no name where there is but one."""
    return f"{output}/{path}" if output else path


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


def choose_output(group: Mapping[str, Any], asked: str | None, case: object) -> tuple[str, ...]:
    """The names of a case's outputs by its group, that which is read first; empty where it has but one.

    Raises:
        UsageError: it has no output of the name that is asked for.
        StoreError: the output is nnU-Net's files.
    """
    names, nnunet = list(group.get("outputs", ())), group.get("nnunet", ())
    if asked and asked not in names:
        raise unknown_output(asked, names, case)
    chosen = asked or (names[0] if names else "")
    if chosen in nnunet:
        rest = [name for name in names if name not in nnunet]
        what = f"output {chosen} is" if chosen else "it is"
        raise StoreError(
            f"{case}: {what} stored as files of nnU-Net, and no arrays of Zarr",
            advice=f"read output={rest[0]!r}" if rest else "read them with nnU-Net",
        )
    return (chosen, *(name for name in names if name != chosen)) if names else ()


def unknown_output(asked: str, names: Sequence[str], where: object) -> UsageError:
    """The error for an output that is not there."""
    known = f"its outputs are {', '.join(names)}" if names else "its config names no outputs"
    return UsageError(
        f"{where}: no output {asked!r}; {known}",
        advice="leave the name out" if not names else f"ask for output={names[0]!r}",
    )


def output_record(record: Mapping[str, Any], output: str) -> dict[str, Any]:
    """A record as if the case had this one output: of all files, it still names every one.

    Raises:
        KeyError: there is no such output.
    """
    if not output:
        return dict(record)
    outputs = record["outputs"]
    of_first = outputs[record["output"]]
    shared = {key: value for key, value in record.items() if key not in of_first}
    return {**shared, **outputs[output], "output": output}
