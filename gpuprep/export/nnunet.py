"""Cases as nnU-Net 2.8 keeps its preprocessed ones: ``CASE.b2nd``, ``CASE_seg.b2nd`` and ``CASE.pkl``.

``store.nnunet`` makes them; plans beside the folder say how they are cut, and in which order axes lie. A
case's image comes last, because nnU-Net takes every image it finds for a whole case. ``dataset.json``, which
nnU-Net reads beside the folder of a configuration, is written there and nowhere else: no other file may lie
in that folder.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from gpuprep.export.nnunet_labels import NnunetLabels
from gpuprep.export.nnunet_plans import planned_rule
from gpuprep.export.selection import Chosen, Labelled, Selection
from gpuprep.host.atomic import whole_file
from gpuprep.store.nnunet.b2nd import import_blosc2
from gpuprep.store.nnunet.case import IMAGE_FILE, LABEL_FILE, PROPERTIES_FILE, case_files
from gpuprep.values.errors import UsageError


class Nnunet:
    """A folder that is one of nnU-Net's configurations (``…_3d_fullres``).

    Raises:
        UsageError: blosc2 is missing, or labels do not suit nnU-Net.
    """

    def __init__(self, chosen: Selection, folder: Path) -> None:
        import_blosc2()
        self._chosen, self._folder = chosen, folder
        self._labels = NnunetLabels.of(chosen.classes)
        self._rule = planned_rule(folder, self._labels.keys)
        self._description = folder.absolute().parent / "dataset.json"

    @staticmethod
    def require() -> None:
        """Raises UsageError where blosc2 is missing."""
        import_blosc2()

    @staticmethod
    def check(entry: Labelled) -> None:
        """Raises UsageError for a case without an image or a label map, and for values beyond int16."""
        _check_labels(entry)

    def begin(self) -> None:
        """Write the ``dataset.json`` beside the folder, unless there is one that says the same of labels.

        Raises:
            UsageError: the one that is there says something else.
        """
        _describe(self._chosen, self._labels, self._description)

    @staticmethod
    def files_of(chosen: Chosen) -> tuple[str, ...]:
        """The files of a case, relative to the folder; its image comes last."""
        return f"{chosen.id}_seg.b2nd", f"{chosen.id}.pkl", f"{chosen.id}.b2nd"

    @property
    def how(self) -> dict[str, list[int]]:
        """What decides the files beside the cases, as plain JSON."""
        return {"patch": list(self._rule.patch), "forward": list(self._rule.forward)}

    def write(self, chosen: Chosen) -> None:
        """Write a case."""
        names = dict(
            zip((LABEL_FILE, PROPERTIES_FILE, IMAGE_FILE), self.files_of(chosen), strict=True)
        )
        with self._chosen.opened(chosen) as entry:
            case, label = entry
            labels = {str(label): np.asarray(case.labels[str(label)])}
            grids = case.record["geometry"]
            for name, pieces in case_files(entry.channels(), labels, grids, self._rule):
                with (
                    whole_file(self._folder / names[name]) as partial,
                    partial.open("wb") as stream,
                ):
                    stream.writelines(pieces)

    def finish(self) -> Path:
        """The ``dataset.json``."""
        return self._description


def _check_labels(entry: Labelled) -> None:
    """Refuse a case before anything is written, rather than in the middle."""
    case, label = entry
    if case.image is None:
        raise UsageError(f"case {case.id} holds labels only", advice="leave it out with --case")
    if label is None:
        raise UsageError(
            f"case {case.id} has no label map, and nnU-Net trains with one",
            advice="leave it out with --case",
        )
    strange = [v for v in entry.values if not 0 <= v <= np.iinfo(np.int16).max]
    if strange:
        raise UsageError(
            f"case {case.id}, label {label} holds the value {strange[0]} ({entry.values[strange[0]]:,} "
            "voxels), and nnU-Net has 0 to 32,767 (int16; less than 0 is outside)",
            advice="map it with label.map: {VALUE: VALUE}, in a new output",
        )


def _describe(chosen: Selection, labels: NnunetLabels, file: Path) -> Path:
    """``dataset.json`` as nnU-Net's trainer reads it; what is there stays, if it says the same."""
    document = {
        "channel_names": {str(number): name for number, name in enumerate(chosen.channels)},
        **labels.to_json(),
        "numTraining": len(chosen.cases),
        "file_ending": ".nii.gz",
    }
    if not file.exists():
        with whole_file(file) as partial:
            partial.write_text(json.dumps(document, indent=1, ensure_ascii=False), "utf-8")
        return file
    try:
        present = json.loads(file.read_text("utf-8"))
        told = _meaning(present)
    except (OSError, ValueError, TypeError, AttributeError, KeyError) as error:
        raise UsageError(
            f"{file} is no description of a dataset of nnU-Net ({error!r})",
            advice="choose a folder in another dataset",
        ) from error
    if told != _meaning(document):
        raise UsageError(
            f"{file} has the labels {json.dumps(present['labels'], ensure_ascii=False)} and "
            f"{told[-1]} channels, the cohort {json.dumps(document['labels'], ensure_ascii=False)} and "
            f"{len(chosen.channels)}",
            advice="choose a folder in another dataset, or remove that file",
        )
    return file


def _meaning(document: dict[str, Any]) -> tuple[Any, ...]:
    """What must be the same in two descriptions: values, regions in order, ignored value, channels."""
    labels = document["labels"]
    keys = [tuple(v) if isinstance(v, list) else (int(v),) for k, v in labels.items() if v != 0]
    ignore = labels.get("ignore")
    order = document.get("regions_class_order")
    channels = document.get("channel_names", document.get("modality", {}))
    return (keys if order else sorted(keys)), ignore, order, len(channels)
