"""New images for a trained network, named as nnU-Net wants them, as a manifest."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from gpuprep.cohort.layouts.naming import case_id
from gpuprep.host.atomic import whole_file
from gpuprep.nnunet.dataset import Dataset
from gpuprep.values.case import natural_sorted
from gpuprep.values.errors import UsageError

PLANS, CASES, COHORT = "plans.json", "cases.jsonl", "cohort"
"""What lies in the folder of new cases, beside ``dataset.json``."""


@dataclass(frozen=True)
class NewCases:
    """New images.

    Attributes:
        rows: As a manifest has them: ``case_id``, ``image``, ``image_1`` …, and ``label`` for what an earlier
            stage made of the case. Files that are missing are among them, and fail their case.
        left: Files in the folder that are none.
    """

    rows: tuple[dict[str, str], ...]
    left: tuple[Path, ...]

    def save(self, file: Path) -> None:
        """Write the manifest."""
        with whole_file(file) as partial:
            partial.write_text("".join(f"{json.dumps(row)}\n" for row in self.rows), "utf-8")


def find_new_cases(
    inputs: Iterable[Path], dataset: Dataset, previous: Path | None = None
) -> NewCases:
    """The cases in folders, or of single files, by their names: ``CASE_0000`` and the data set's ending.

    Args:
        inputs: Folders, which are not searched deeper, and files, each of which stands for its case.
        dataset: How many channels a case has, and the ending.
        previous: The folder of the earlier stage's segmentations, ``CASE`` and the ending.

    Raises:
        UsageError: there is none, or two have one name.
    """
    channel = re.compile(rf"(?P<case>[^.].*)_(?P<number>\d{{4}}){re.escape(dataset.ending)}")
    found: dict[str, Path] = {}
    left = []
    for path in inputs:
        files = sorted(path.iterdir()) if path.is_dir() else [path]
        for file in files:
            match = channel.fullmatch(file.name)
            if match is None or int(match["number"]) >= len(dataset.channels):
                left.append(file)
            elif found.setdefault(match["case"], file.parent) != file.parent:
                raise UsageError(
                    f"case {match['case']} lies in {found[match['case']]} and in {file.parent}",
                    advice="give each case a name of its own",
                )
    if not found:
        raise UsageError(
            f"no image is named CASE_0000{dataset.ending} in {', '.join(map(str, inputs))}",
            advice="name the channels of a case CASE_0000, CASE_0001, … as for nnUNetv2_predict",
        )
    cases = natural_sorted(found)
    rows = tuple(_row(case, found[case], dataset, previous) for case in cases)
    return NewCases(rows, tuple(left))


def _row(case: str, folder: Path, dataset: Dataset, previous: Path | None) -> dict[str, str]:
    row = {"case_id": case_id(case)}
    for number in range(len(dataset.channels)):
        column = f"image_{number}" if number else "image"
        row[column] = str((folder / f"{case}_{number:04d}{dataset.ending}").absolute())
    if previous is not None:
        row["label"] = str((previous / f"{case}{dataset.ending}").absolute())
    return row
