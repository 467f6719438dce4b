"""nnU-Net raw datasets: ``imagesTr/{case}_{0000}{ending}``, ``labelsTr/{case}{ending}``, ``dataset.json``.

Version 2 names channels and the file ending in ``dataset.json``, and may list files there (``dataset``);
version 1 lists images without their channel number. Folders of that form alone are enough.
"""

from __future__ import annotations

import os
import re
from typing import Any

from gpuprep.cohort.layouts.dataset_json import Description, check_some_are_there, describe
from gpuprep.cohort.layouts.naming import VOLUME_SUFFIXES, join, split_suffix
from gpuprep.cohort.layouts.tree import Outcome, Tree
from gpuprep.values.errors import UsageError

_SETS = {"Tr": "train", "Ts": "test", "Va": "validation"}
_CHANNEL = re.compile(r"(?P<case>.+)_(?P<channel>[0-9]{4})")

_VARIABLE = re.compile(r"\$(?:(?P<bare>\w+)|\{(?P<braced>\w+)\})")

_Channels = dict[int, str]  # channel number → file


def find(tree: Tree, *, deep: bool = False) -> Outcome | None:
    """The cases of an nnU-Net raw dataset; one with a missing channel or label gets a reason.

    With ``deep`` it lies farther below the root than in a folder there.
    """
    description = describe(tree, deep=deep)
    if description is None and not deep and _holds_numbered_pairs(tree):
        description = Description("", {})
    if description is None or not _is_nnunet(tree, description):
        return None
    outcome = Outcome(own={description.file})
    listed = description.fields.get("dataset")
    if isinstance(listed, dict):
        _add_listed(outcome, tree, description, listed)
    for ending, split in _SETS.items():
        if not (ending == "Tr" and isinstance(listed, dict)):
            _add_set(outcome, tree, description, ending, split)
    return outcome


def _is_nnunet(tree: Tree, description: Description) -> bool:
    fields = description.fields
    ending = fields.get("file_ending")
    if ending is not None and ending not in VOLUME_SUFFIXES:
        raise UsageError(
            f"{tree.path(description.file)}: file_ending {ending!r} is no volume format gpuprep reads"
        )
    if ending or isinstance(fields.get("dataset"), dict):
        return True
    training = fields.get("training") or []
    first = training[0].get("image") if training and isinstance(training[0], dict) else None
    if not isinstance(first, str):
        return "training" not in fields and bool(_channels_in(tree, description, "Tr"))
    file = description.locate(tree, first)
    stem, suffix = split_suffix(file)
    return file not in tree.known and f"{stem}_0000{suffix}" in tree.known


def _holds_numbered_pairs(tree: Tree) -> bool:
    """Whether ``imagesTr`` and ``labelsTr`` alone show nnU-Net's names."""
    labels = {split_suffix(name)[0] for name in tree.folders.get("labelsTr", ())}
    matches = [
        _CHANNEL.fullmatch(split_suffix(name)[0]) for name in tree.folders.get("imagesTr", ())
    ]
    return all(matches) and any(match["case"] in labels for match in matches if match)


def _channels_in(tree: Tree, description: Description, ending: str) -> dict[str, _Channels]:
    """The channel files of each case in ``imagesTr`` and its like."""
    wanted = description.fields.get("file_ending")
    folder = join(description.folder, f"images{ending}")
    cases: dict[str, _Channels] = {}
    for name in tree.folders.get(folder, ()):
        stem, suffix = split_suffix(name)
        match = _CHANNEL.fullmatch(stem)
        if match and wanted in (None, suffix):
            cases.setdefault(match["case"], {})[int(match["channel"])] = join(folder, name)
    return cases


def _add_set(
    outcome: Outcome, tree: Tree, description: Description, ending: str, split: str
) -> None:
    cases = _channels_in(tree, description, ending)
    folder = join(description.folder, f"labels{ending}")
    labels = {split_suffix(name)[0]: join(folder, name) for name in tree.folders.get(folder, ())}
    wanted = _channel_numbers(description, cases)
    for case, channels in cases.items():
        missing = [number for number in wanted if number not in channels]
        extra = [number for number in channels if number not in wanted]
        if missing or extra:
            number = (missing or extra)[0]
            fault = "has no" if missing else "has an undeclared"
            reason = f"case {case} {fault} channel {number:04d} (dataset.json names {len(wanted)})"
        elif split == "train" and case not in labels:
            reason = f"case {case} has no label in {folder}"
        else:
            files = [channels[number] for number in wanted]
            attributes = {"split": split}
            outcome.cases.append(description.case(tree, case, files, labels.get(case), attributes))
            continue
        outcome.reasons.update((file, reason) for file in channels.values())
    for case, file in labels.items():
        outcome.reasons[file] = f"label of case {case}, whose channels are missing or incomplete"


def _channel_numbers(description: Description, cases: dict[str, _Channels]) -> range:
    """The channels every case must have: those named, or without names those any case has."""
    named = len(description.channel_names)
    present = max((max(channels) + 1 for channels in cases.values()), default=0)
    return range(named or present)


def _add_listed(
    outcome: Outcome, tree: Tree, description: Description, listed: dict[str, Any]
) -> None:
    for case, entry in listed.items():
        where = f"{tree.path(description.file)}: dataset[{case!r}]"
        images = entry.get("images") if isinstance(entry, dict) else None
        if not isinstance(images, list) or not all(isinstance(one, str) for one in images):
            raise UsageError(f"{where} must have a list of paths as 'images'")
        label = entry.get("label")
        files = [description.locate(tree, _expanded(path)) for path in images]
        named = isinstance(label, str)
        label_file = description.locate(tree, _expanded(label)) if named else None
        attributes = {"split": "train"}
        outcome.cases.append(description.case(tree, case, files, label_file, attributes))
    check_some_are_there(tree, description, outcome.cases)


def _expanded(path: str) -> str:
    """A path with variables in it, as nnU-Net has them; what stands for no folder stays as it is.

    So a description cannot make a message show what else is in the environment.
    """

    def folder(match: re.Match[str]) -> str:
        value = os.environ.get(match["bare"] or match["braced"], "")
        return value if os.path.isabs(value) and os.path.isdir(value) else match[0]  # noqa: PTH112, PTH117

    return _VARIABLE.sub(folder, path)
