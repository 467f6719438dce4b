"""Makes ``nnunet_files.json``: how nnU-Net 2.8.1 cuts, filters and describes the files of a case.

Not run by the tests. In an environment with nnU-Net (see ``make.py``), with a folder of its real plans and
of what it preprocessed (``DatasetXXX/nnUNetPlans.json``, ``preprocessed.json``, ``export.json``):

    PYTHONPATH=tests python tests/goldens/from_nnunet_files.py FOLDER
"""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path
from typing import Any

import blosc2
from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor
from nnunetv2.training.dataloading.nnunet_dataset import comp_blosc2_params, nnUNetDatasetBlosc2
from support.nnunet_arrays import FILE, IMAGES, LABELS, digest, image, label_map

DESCRIBED = ("shape_before_cropping", "bbox", "shape_cropped", "spacing")


def drawn_chunks() -> list[Any]:
    """Rows of shape, patch, bytes of a voxel, chunk, block."""
    draw = random.Random(5)
    rows = []
    for _ in range(400):
        edges = [draw.choice((1, 3, 64, 128, draw.randint(1, 900))) for _ in range(3)]
        shape = [draw.choice((1, 2)), *edges]
        patch = [
            draw.choice((1, 16, 128, draw.randint(1, 700))) for _ in range(draw.choice((2, 3)))
        ]
        itemsize = draw.choice((1, 2, 4))
        block, chunk = comp_blosc2_params(shape, patch, itemsize)
        rows.append([shape, patch, itemsize, chunk, block])
    return rows


def real_chunks(folder: Path, done: dict[str, Any]) -> list[Any]:
    rows = []
    for name, cases in done.items():
        planned = json.loads((folder / name.split("/")[0] / "nnUNetPlans.json").read_text())
        patch = planned["configurations"][name.split("nnUNetPlans_")[1]]["patch_size"]
        for case in cases.values():
            rows.append([case["shape"], patch, 4, case["chunks"], case["blocks"]])
            shape = [1, *case["shape"][1:]]
            rows.append([shape, patch, 2, case["seg_chunks"], case["seg_blocks"]])
    return [json.loads(text) for text in dict.fromkeys(map(json.dumps, rows))]


def locations() -> dict[str, Any]:
    found = {}
    for name, (_, _, keys) in LABELS.items():
        drawn = DefaultPreprocessor._sample_foreground_locations(label_map(name)[None], keys)
        found[name] = [
            [
                str(key),
                len(rows),
                digest(rows) if len(rows) else "",
                [int(n) for n in rows[0]] if len(rows) else [],
            ]
            for key, rows in drawn.items()
        ]
    return found


def filters() -> dict[str, Any]:
    chosen = {}
    arrays = {name: image(name) for name in IMAGES} | {n: label_map(n)[None] for n in LABELS}
    for name, array in arrays.items():
        block, chunk = comp_blosc2_params(array.shape, (64, 96, 96), array.itemsize)
        choice = nnUNetDatasetBlosc2._select_filter(array, block, chunk, blosc2.Codec.LZ4HC, 5)
        chosen[name] = choice.name
    return chosen


def properties(folder: Path, done: dict[str, Any]) -> list[Any]:
    rows = []
    for place in (
        "703_StrokeRegions 2d mr_d",
        "706_SynthSagittal 3d_fullres syn_0",
        "707_Flat 2d flat_0",
    ):
        name, configuration, case = place.split()
        planned = json.loads((folder / f"Dataset{name}" / "nnUNetPlans.json").read_text())
        told = done[f"Dataset{name}/nnUNetPlans_{configuration}"][case]
        rows.append([planned["transpose_forward"], *(told[field] for field in DESCRIBED)])
    return rows


def previous_stage(folder: Path) -> dict[str, Any]:
    (told,) = json.loads((folder / "export.json").read_text())["next_stage"]
    planned = json.loads((folder / told["dataset"] / "nnUNetPlans.json").read_text())
    patch = planned["configurations"]["3d_lowres"]["patch_size"]
    return {"patch": patch, **{name: told[name] for name in ("shape", "dtype", "chunks", "blocks")}}


def main(folder: Path) -> None:
    done = json.loads((folder / "preprocessed.json").read_text())
    parts = {
        "chunks": [*real_chunks(folder, done), *drawn_chunks()],
        "locations": locations(),
        "filters": filters(),
        "properties": properties(folder, done),
        "previous_stage": previous_stage(folder),
    }
    text = ",\n".join(f" {json.dumps(name)}: {json.dumps(part)}" for name, part in parts.items())
    FILE.write_text("{\n" + text + "\n}\n", "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
