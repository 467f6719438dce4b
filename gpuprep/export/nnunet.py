"""Cases as nnU-Net 2.8 keeps its preprocessed ones: ``CASE.b2nd``, ``CASE_seg.b2nd`` and ``CASE.pkl``.

The image is float32 ``c, z, y, x``, the label map int16 ``1, z, y, x``, the pickle the properties nnU-Net
trains with and returns predictions by. Pickles are written here and never read. A case's image comes last,
because nnU-Net takes every image it finds for a whole case. ``dataset.json``, which nnU-Net reads beside the
folder of a configuration, is written there and nowhere else: no other file may lie in that folder.
"""

from __future__ import annotations

import json
import math
import pickle
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuprep.export.nnunet_labels import Key, NnunetLabels
from gpuprep.export.selection import Chosen, Labelled, Selection
from gpuprep.host.atomic import whole_file
from gpuprep.store.stored_case import StoredCase
from gpuprep.values.errors import UsageError
from gpuprep.values.exact import exactly
from gpuprep.values.geometry import Geometry

_BLOCK = (32, 32, 32)  # 128 KiB of float32, nnU-Net's limit
_CHUNK = (96, 128, 128)  # 6 MiB of float32
_LOCATIONS = 10_000  # voxels listed of each class …
_LOCATED_SHARE = 0.01  # … and at least this share of it
_SEED = 1234  # nnU-Net's


class Nnunet:
    """A folder that is one of nnU-Net's configurations (``…_3d_fullres``).

    Raises:
        UsageError: blosc2 is missing, or labels do not suit nnU-Net.
    """

    def __init__(self, chosen: Selection, folder: Path) -> None:
        self._blosc2 = _import_blosc2()
        self._chosen, self._folder = chosen, folder
        self._labels = NnunetLabels.of(chosen.classes)
        self._description = folder.absolute().parent / "dataset.json"

    @staticmethod
    def require() -> None:
        """Raises UsageError where blosc2 is missing."""
        _import_blosc2()

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

    def write(self, chosen: Chosen) -> None:
        """Write a case."""
        with self._chosen.opened(chosen) as entry:
            case, label = entry
            image = entry.channels().astype(np.float32)
            what = f"case {case.id}, label {label}"
            segmentation = exactly(np.asarray(case.labels[str(label)])[None], np.int16, what)
            properties = _properties(case)
        properties["class_locations"] = class_locations(segmentation, self._labels.keys)
        for_labels, for_properties, for_image = (
            self._folder / name for name in self.files_of(chosen)
        )
        _write_array(self._blosc2, segmentation, for_labels)
        with whole_file(for_properties) as partial:
            partial.write_bytes(pickle.dumps(properties))
        _write_array(self._blosc2, image, for_image)

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


def class_locations(
    segmentation: NDArray[np.int16], keys: Sequence[Key]
) -> dict[Key, NDArray[np.int64] | list[int]]:
    """Some voxels of each class as ``(n, 4)`` indices, drawn as nnU-Net draws them; [] where it is absent.

    A key of several values stands for all of their voxels, label by label.

    Source: nnU-Net v2 ``DefaultPreprocessor._sample_foreground_locations``.
    """
    random = np.random.RandomState(_SEED)
    found: dict[Key, NDArray[np.int64] | list[int]] = {}
    for key in keys:
        values = key if isinstance(key, tuple) else (key,)
        places = np.concatenate([np.flatnonzero(segmentation == value) for value in values])
        count = max(min(_LOCATIONS, len(places)), math.ceil(_LOCATED_SHARE * len(places)))
        if not len(places):
            found[key] = []
            continue
        drawn = places[random.choice(len(places), count, replace=False)]
        found[key] = np.stack(np.unravel_index(drawn, segmentation.shape), axis=1)
    return found


def _properties(case: StoredCase) -> dict[str, Any]:
    """Where the case comes from, in nnU-Net's words; shapes and spacings are ``z, y, x``."""
    grids = case.record["geometry"]
    oriented = Geometry.from_json(grids["oriented"])
    box = [[int(start), int(stop)] for start, stop in grids["crop"]]
    return {
        "sitk_stuff": {
            "spacing": oriented.spacing,
            "origin": oriented.origin,
            "direction": oriented.direction,
        },
        "spacing": list(oriented.spacing_zyx),
        "shape_before_cropping": oriented.shape,
        "bbox_used_for_cropping": box,
        "shape_after_cropping_and_before_resampling": tuple(stop - start for start, stop in box),
    }


def _write_array(blosc2: ModuleType, array: NDArray[Any], file: Path) -> None:
    chunk, block = (
        (1, *(min(n, edge) for n, edge in zip(array.shape[1:], edges, strict=True)))
        for edges in (_CHUNK, _BLOCK)
    )
    settings = {"codec": blosc2.Codec.LZ4HC, "clevel": 5, "filters": [blosc2.Filter.SHUFFLE]}
    with whole_file(file) as partial:
        blosc2.asarray(
            np.ascontiguousarray(array),
            urlpath=str(partial),
            mode="w",
            chunks=chunk,
            blocks=block,
            cparams=settings,
        )


def _import_blosc2() -> ModuleType:
    try:
        import blosc2
    except ImportError as error:
        raise UsageError(
            "nnU-Net's files need the package blosc2, which is not installed",
            advice="pip install 'gpuprep[nnunet]'",
        ) from error
    module: ModuleType = blosc2
    return module
