"""Cases in the layout of the Medical Segmentation Decathlon, which many training tools read.

Cases with a label map are for training, the others for testing. Several channels are the fourth axis of
one file, as in the MSD's own brain tumour task.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from gpuprep.export.case import write_exported
from gpuprep.export.selection import Labelled, Selection
from gpuprep.host.atomic import whole_file


def write_msd(chosen: Selection, folder: Path) -> Path:
    """Write images, label maps and, last, ``dataset.json`` into an empty folder; returns the latter.

    It names channels and label values as the cohort does. It has no words for regions.

    Raises:
        UsageError: a case has no image, or the folder cannot be written.
    """
    training, test = [], []
    for entry in chosen.cases:
        image = _write_case(entry, folder)
        if entry.label is None:
            test.append(image)
        else:
            training.append({"image": image, "label": image.replace("imagesTr", "labelsTr")})
    names = {0: "background", **chosen.classes.names}
    document = {
        "name": folder.name,
        "description": "written by gpuprep, on the grids of its stored cases",
        "tensorImageSize": "4D" if len(chosen.channels) > 1 else "3D",
        "modality": {str(n): name for n, name in enumerate(chosen.channels)},
        "labels": {str(value): name for value, name in names.items()},
        "numTraining": len(training),
        "numTest": len(test),
        "training": training,
        "test": test,
    }
    file = folder / "dataset.json"
    with whole_file(file) as partial:
        partial.write_text(json.dumps(document, indent=1, ensure_ascii=False), "utf-8")
    return file


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
