"""Cases in the layout of the Medical Segmentation Decathlon, which many training tools read.

Cases with a label map are for training, the others for testing. Several channels are the fourth axis of
one file, as in the MSD's own brain tumour task.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from gpuprep.export.case import Labelled, label_values, write_exported
from gpuprep.host.atomic import whole_file
from gpuprep.values.errors import UsageError


def write_msd(labelled: Sequence[Labelled], folder: Path) -> None:
    """Write images, label maps and, last, ``dataset.json`` into an empty folder.

    Raises:
        UsageError: cases have unequal channels or no image, or the folder cannot be written.
    """
    training, test = [], []
    for entry in labelled:
        image = _write_case(entry, folder)
        if entry.label is None:
            test.append(image)
        else:
            training.append({"image": image, "label": image.replace("imagesTr", "labelsTr")})
    names = {0: "background"} | label_values(labelled)
    document = {
        "name": folder.name,
        "description": "written by gpuprep, on the grids of its stored cases",
        "tensorImageSize": "4D" if len(_modalities(labelled)) > 1 else "3D",
        "modality": {str(n): name for n, name in enumerate(_modalities(labelled))},
        "labels": {str(value): name for value, name in names.items()},
        "numTraining": len(training),
        "numTest": len(test),
        "training": training,
        "test": test,
    }
    with whole_file(folder / "dataset.json") as partial:
        partial.write_text(json.dumps(document, indent=1, ensure_ascii=False), "utf-8")


def _write_case(entry: Labelled, folder: Path) -> str:
    """Write one case; returns its image's path as ``dataset.json`` has it."""
    case, label = entry
    part = "Ts" if label is None else "Tr"
    name = f"{case.id}.nii.gz"
    channels = entry.channels()
    voxels = {"images": channels[0] if len(channels) == 1 else channels}
    if label is not None:
        voxels["labels"] = np.asarray(case.labels[label])
    for kind, array in voxels.items():
        (folder / f"{kind}{part}").mkdir(exist_ok=True)
        write_exported(array, case.geometry, folder / f"{kind}{part}" / name)
    return f"./images{part}/{name}"


def _modalities(labelled: Sequence[Labelled]) -> tuple[str, ...]:
    """The names of the channels, which must be those of every case."""
    names = {case.channel_names: case.id for case, _ in labelled}
    if len(names) > 1:
        told = "; ".join(f"{case_id}: {', '.join(channels)}" for channels, case_id in names.items())
        raise UsageError(
            f"cases have different channels: {told}", advice="convert those that agree with --case"
        )
    (modalities,) = names
    return modalities or ("image",)
