"""Arrays that nnU-Net and we are both given: by seed, the same under every NumPy."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

FILE = Path(__file__).parents[1] / "goldens" / "nnunet_files.json"
"""What nnU-Net 2.8.1 did with them; ``goldens/from_nnunet_files.py`` makes it."""

LABELS: dict[str, tuple[tuple[int, int, int], tuple[int, ...], list[Any]]] = {
    "classes, one absent": ((40, 50, 60), (0, 1, 2, 5), [1, 2, 3, 5]),
    "regions": ((33, 64, 29), (-1, 0, 1, 2, 3), [(1, 2, 3), (3, 2), (3,), 1]),
    "an ignore label": ((48, 31, 40), (-1, 0, 1, 2, 3), [1, 2, (-1, 0, 1, 2)]),
    "one in a hundred": ((90, 130, 140), (0, 1, 1, 1, 1, 2), [1, 2]),
    "many classes": ((60, 60, 60), tuple(range(118)), list(range(1, 118))),
    "background only": ((9, 8, 7), (0,), [1, 2]),
}
"""Shape, values and keys of label maps, by what is special about them."""

IMAGES = ("smooth", "whole numbers", "noise", "zero outside")


def label_map(name: str) -> np.ndarray:
    """int16 ``z, y, x``: boxes with stray voxels."""
    shape, values, _ = LABELS[name]
    random = np.random.RandomState(len(values))
    boxes = random.randint(0, len(values), (6, 6, 6))
    for axis, edge in enumerate(shape):
        boxes = boxes.take(np.arange(edge) * 6 // edge, axis)
    stray = random.randint(0, 50, shape) == 0
    boxes[stray] = random.randint(0, len(values), int(stray.sum()))
    return np.array(values, np.int16)[boxes]


def image(name: str) -> np.ndarray:
    """float32 ``c, z, y, x``."""
    random = np.random.RandomState(3)
    z, y, x = np.meshgrid(*(np.linspace(0, 3, n) for n in (40, 150, 170)), indexing="ij")
    smooth = np.sin(z) + np.cos(2 * y) * x
    noise = random.standard_normal(smooth.shape)
    made = {
        "smooth": smooth + 0.01 * noise,
        "whole numbers": (np.round(40 * smooth + 5 * noise) - 17.25) / 33.5,
        "noise": noise,
        "zero outside": np.where((y - 1.5) ** 2 + (x - 1.5) ** 2 < 1, smooth, 0),
    }
    return made[name].astype(np.float32)[None]


def digest(array: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()[:32]


def goldens() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(FILE.read_text("utf-8"))
    return found
