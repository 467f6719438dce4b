"""Cases as nnU-Net 2.8 keeps its preprocessed ones: ``CASE.b2nd``, ``CASE_seg.b2nd`` and ``CASE.pkl``.

The image is float32 ``c, z, y, x``, the label map int16 ``1, z, y, x``, the pickle the properties nnU-Net
trains with and returns predictions by. Pickles are written here and never read. A case's image comes last,
because nnU-Net takes every image it finds for a whole case.
"""

from __future__ import annotations

import math
import pickle
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuprep.export.case import Labelled, label_values
from gpuprep.host.atomic import whole_file
from gpuprep.store.reader import StoredCase
from gpuprep.values.errors import UsageError
from gpuprep.values.geometry import Geometry

_BLOCK = (32, 32, 32)  # 128 KiB of float32, nnU-Net's limit
_CHUNK = (96, 128, 128)  # 6 MiB of float32
_LOCATIONS = 10_000  # voxels listed of each class …
_LOCATED_SHARE = 0.01  # … and at least this share of it
_SEED = 1234  # nnU-Net's


def write_nnunet(labelled: Sequence[Labelled], folder: Path) -> None:
    """Write cases into an empty folder, which then is one of nnU-Net's configurations (``…_3d_fullres``).

    Raises:
        UsageError: a case has no image or no label map, blosc2 is missing, or the disk refuses.
    """
    blosc2 = _import_blosc2()
    classes = tuple(label_values(labelled))
    for entry in labelled:
        case, label = entry
        if label is None:
            raise UsageError(
                f"case {case.id} has no label map, and nnU-Net trains with one",
                advice="leave it out with --case",
            )
        image = entry.channels().astype(np.float32)
        segmentation = np.asarray(case.labels[label])[None].astype(np.int16)
        properties = _properties(case) | {"class_locations": class_locations(segmentation, classes)}
        _write_array(blosc2, segmentation, folder / f"{case.id}_seg.b2nd")
        with whole_file(folder / f"{case.id}.pkl") as partial:
            partial.write_bytes(pickle.dumps(properties))
        _write_array(blosc2, image, folder / f"{case.id}.b2nd")


def class_locations(
    segmentation: NDArray[np.int16], classes: Sequence[int]
) -> dict[int, NDArray[np.int64] | list[int]]:
    """Some voxels of each class as ``(n, 4)`` indices, drawn as nnU-Net draws them; [] where it is absent.

    Source: nnU-Net v2 ``DefaultPreprocessor._sample_foreground_locations``.
    """
    random = np.random.RandomState(_SEED)
    found: dict[int, NDArray[np.int64] | list[int]] = {}
    for value in classes:
        places = np.argwhere(segmentation == value)
        count = max(min(_LOCATIONS, len(places)), math.ceil(_LOCATED_SHARE * len(places)))
        drawn = random.choice(len(places), count, replace=False) if len(places) else None
        found[value] = [] if drawn is None else places[drawn]
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
