"""Cases in the layout of the Medical Segmentation Decathlon, which many training tools read.

Cases with a label map are for training, the others for testing. Several channels are the fourth axis of
one file, as in the MSD's own brain tumour task.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from gpuprep.export.case import write_exported
from gpuprep.export.selection import Chosen, Labelled, Selection
from gpuprep.host.atomic import whole_file
from gpuprep.values.errors import UsageError

DESCRIPTION = "dataset.json"


class Msd:
    """Images, label maps and, last, ``dataset.json``.

    It names channels and label values as the cohort does. It has no words for regions.
    """

    def __init__(self, chosen: Selection, folder: Path) -> None:
        self._chosen, self._folder = chosen, folder

    @staticmethod
    def require() -> None:
        """Nothing beside what is always there."""

    @staticmethod
    def check(entry: Labelled) -> None:
        """Raises UsageError for a case that has no image."""
        if entry.case.image is None:
            raise UsageError(
                f"case {entry.case.id} holds labels only", advice="leave it out with --case"
            )

    def begin(self) -> None:
        """Make the folders."""
        for chosen in self._chosen.cases:
            for name in self.files_of(chosen):
                (self._folder / name).parent.mkdir(parents=True, exist_ok=True)

    @property
    def how(self) -> dict[str, list[int]]:
        """What decides the files beside the cases: nothing."""
        return {}

    @staticmethod
    def files_of(chosen: Chosen) -> tuple[str, ...]:
        """The files of a case, relative to the folder; its image comes last."""
        name = f"{chosen.id}.nii.gz"
        return (
            (f"imagesTs/{name}",)
            if chosen.label is None
            else (f"labelsTr/{name}", f"imagesTr/{name}")
        )

    def write(self, chosen: Chosen) -> None:
        """Write a case."""
        with self._chosen.opened(chosen) as entry:
            channels = entry.channels()
            image = channels[0] if len(channels) == 1 else channels
            arrays = (
                [image] if entry.label is None else [entry.case.read_classes(entry.label), image]
            )
            for name, array in zip(self.files_of(chosen), arrays, strict=True):
                write_exported(np.asarray(array), entry.case.geometry, self._folder / name)

    def finish(self) -> Path:
        """Write ``dataset.json``."""
        training, test = [], []
        for chosen in self._chosen.cases:
            *label, image = (f"./{name}" for name in self.files_of(chosen))
            if label:
                training.append({"image": image, "label": label[0]})
            else:
                test.append(image)
        channels, names = self._chosen.channels, {0: "background", **self._chosen.classes.names}
        document = {
            "name": self._folder.name,
            "description": "written by gpuprep, on the grids of its stored cases",
            "tensorImageSize": "4D" if len(channels) > 1 else "3D",
            "modality": {str(n): name for n, name in enumerate(channels)},
            "labels": {str(value): name for value, name in names.items()},
            "numTraining": len(training),
            "numTest": len(test),
            "training": training,
            "test": test,
        }
        file = self._folder / DESCRIPTION
        with whole_file(file) as partial:
            partial.write_text(json.dumps(document, indent=1, ensure_ascii=False), "utf-8")
        return file
