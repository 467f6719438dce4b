"""What the tests of the pages in node compare with: numcodecs, nibabel and numpy.

``python -m support.page_goldens`` (with ``tests`` on the path) writes ``web/tests/goldens.json`` anew.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
from pathlib import Path
from typing import Any

import nibabel
import numcodecs.blosc
import numpy as np

from gpuprep.store.codecs import preset

FILE = Path(__file__).parents[2] / "web/tests/goldens.json"
_DTYPES = ("float16", "float32", "uint8", "int16", "uint16")
_SHUFFLES = {"noshuffle": 0, "shuffle": 1, "bitshuffle": 2}


def goldens() -> dict[str, Any]:
    """All of them; nothing is random."""
    return {"blosc": [*_small_frames(), *_chunks()], "affines": list(_affines())}


def _frame(name: str, packed: bytes, raw: bytes) -> dict[str, str]:
    return {
        "name": name,
        "frame": base64.b64encode(packed).decode(),
        "sha256": hashlib.sha256(raw).hexdigest(),
    }


def _small_frames() -> list[dict[str, str]]:
    """Blocks of 512 bytes: whole, split, a shorter last one, elements that are no multiple of 8."""
    found = []
    for dtype, (name, shuffle) in itertools.product(_DTYPES, _SHUFFLES.items()):
        for count in (1, 700, 1003):
            raw = _smooth(count).astype(dtype).tobytes()
            packed = numcodecs.blosc.Blosc("lz4", 5, shuffle, 512).encode(raw_of(raw, dtype))
            found.append(_frame(f"{dtype} {name} {count}", packed, raw))
    noise = np.random.default_rng(5).bytes(999)
    copied = numcodecs.blosc.Blosc("lz4", 5, 1, 512).encode(noise)
    return [*found, _frame("bytes that do not shrink", copied, noise)]


def _chunks() -> list[dict[str, str]]:
    """Chunks of 32³ as the store writes them."""
    found = []
    for dtype, name in itertools.product(_DTYPES, ("balanced", "fast", "tight")):
        chunk = _smooth(32**3).round().astype(dtype).reshape(32, 32, 32)
        chunk[:, 3:, :] = chunk[:1, :1, :]  # to keep the file small
        packed = preset(name, chunk.dtype, [chunk]).encode(chunk)
        found.append(_frame(f"{dtype} {name}", bytes(packed), chunk.tobytes()))
    return found


def raw_of(raw: bytes, dtype: str) -> Any:
    """An array, so that Blosc learns the size of its elements."""
    return np.frombuffer(raw, dtype)


def _smooth(count: int) -> Any:
    return 100 + 90 * np.sin(np.arange(count) / 30)


def _affines() -> Any:
    """All 48 orientations, and oblique ones, with a point of each."""
    spacing, origin = (0.75, 1.5, 3.0), (-12.5, 40.25, 7.0)
    turn = _rotation(0.3, -0.2, 0.5)
    for axes in itertools.permutations(range(3)):
        for signs in itertools.product((1, -1), repeat=3):
            matrix = np.zeros((3, 3))
            for column, (row, sign) in enumerate(zip(axes, signs, strict=True)):
                matrix[row, column] = sign * spacing[column]
            yield _affine(matrix, origin)
        yield _affine(turn @ matrix, origin)


def _affine(matrix: Any, origin: Any) -> dict[str, Any]:
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = matrix, origin
    index = (3, 17, 5)
    return {
        "affine": affine.tolist(),
        "letters": list(nibabel.aff2axcodes(affine)),
        "index": list(index),
        "mm": (affine @ (*index, 1))[:3].tolist(),
        "inverse": np.linalg.inv(affine).tolist(),
    }


def _rotation(a: float, b: float, c: float) -> Any:
    ca, sa, cb, sb, cc, sc = np.cos(a), np.sin(a), np.cos(b), np.sin(b), np.cos(c), np.sin(c)
    x = np.array([[1, 0, 0], [0, ca, -sa], [0, sa, ca]])
    y = np.array([[cb, 0, sb], [0, 1, 0], [-sb, 0, cb]])
    z = np.array([[cc, -sc, 0], [sc, cc, 0], [0, 0, 1]])
    return x @ y @ z


if __name__ == "__main__":
    FILE.write_text(json.dumps(goldens(), separators=(",", ":")) + "\n", "utf-8")
