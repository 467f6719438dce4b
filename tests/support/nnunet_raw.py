"""Small raw data sets of nnU-Net, and its fingerprint of one, restated from its source in plain NumPy."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

ENDING = ".nii.gz"
_PERCENTILES = np.array((0.5, 50.0, 99.5))


def write_image(path: Path, array: np.ndarray, spacing: Sequence[float] = (1.5, 0.7, 0.6)) -> Path:
    """A file by SimpleITK; ``spacing`` is ``z, y, x``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(tuple(spacing[-array.ndim :])[::-1])
    sitk.WriteImage(image, str(path), useCompression=True)
    return path


def read_array(path: Path) -> np.ndarray:
    """The voxels ``z, y, x`` of a file, by SimpleITK."""
    return sitk.GetArrayFromImage(sitk.ReadImage(str(path)))


def write_dataset(folder: Path, cases: int, *, channels: int = 1, **more: Any) -> Path:
    """The ``dataset.json`` of a raw data set with labels 1, 2 and the ignore label 3."""
    folder.mkdir(parents=True, exist_ok=True)
    labels = {"background": 0, "organ": 1, "tumour": 2, "ignore": 3}
    names = {str(number): "CT" if number else "MR" for number in range(channels)}
    document = {"channel_names": names, "labels": labels, "numTraining": cases}
    text = json.dumps({**document, "file_ending": ENDING, **more})
    (folder / "dataset.json").write_text(text)
    return folder


def write_case(folder: Path, name: str, seed: int, *, channels: int = 1) -> None:
    """Noise in a border of zeros, of whole and of fractional numbers, with four label values."""
    random = np.random.default_rng(seed)
    shape = (9 + seed % 3, 14 + seed % 4, 12)
    label = np.zeros(shape, np.uint8)
    label[2:-1, 2:-1, 2:-1] = random.integers(0, 4, [edge - 3 for edge in shape])
    label[0, 0, 0] = 1  # outside the box of what is not zero
    for number in range(channels):
        voxels = np.zeros(shape)
        inside = voxels[1:-1, 1:-1, 1:-1]
        inside[:] = random.normal(40 + 10 * seed, 30, inside.shape)
        stored = voxels.astype(np.float32 if number else np.int16)
        write_image(folder / "imagesTr" / f"{name}_{number:04d}{ENDING}", stored)
    write_image(folder / "labelsTr" / f"{name}{ENDING}", label)


def write_raw(folder: Path, names: Sequence[str], *, channels: int = 1, **more: Any) -> Path:
    """A raw data set of these cases."""
    for seed, name in enumerate(names):
        write_case(folder, name, seed, channels=channels)
    return write_dataset(folder, len(names), channels=channels, **more)


def nnunets_fingerprint(
    cases: Sequence[tuple[Sequence[Path], Path]], budget: int
) -> dict[str, Any]:
    """What ``DatasetFingerprintExtractor`` of nnU-Net 2.8.1 makes of images and labels, step by step."""
    shapes, spacings, shares, pools = [], [], [], []
    for images, label in cases:
        read = [sitk.ReadImage(str(image)) for image in images]
        data = np.stack([sitk.GetArrayFromImage(image).astype(np.float32) for image in read])
        seg = sitk.GetArrayFromImage(sitk.ReadImage(str(label))).astype(np.float32)
        places = np.nonzero((data != 0).any(0))
        box = tuple(slice(int(each.min()), int(each.max()) + 1) for each in places)
        cropped, inside = data[(slice(None), *box)], seg[box] > 0
        state = np.random.RandomState(1234)
        pools.append([_drawn(state, each[inside], budget // len(cases)) for each in cropped])
        shapes.append(list(cropped.shape[1:]))
        spacings.append(list(read[0].GetSpacing()[::-1]))
        shares.append(np.prod(cropped.shape[1:]) / np.prod(data.shape[1:]))
    rows: dict[str, Mapping[str, float]] = {}
    for number in range(len(pools[0])):
        pool = np.concatenate([each[number] for each in pools])
        low, middle, high = np.percentile(pool, _PERCENTILES)
        rows[str(number)] = {
            **{"max": float(pool.max()), "mean": float(pool.mean()), "median": float(middle)},
            **{"min": float(pool.min()), "percentile_00_5": float(low)},
            **{"percentile_99_5": float(high), "std": float(pool.std())},
        }
    return {
        "foreground_intensity_properties_per_channel": rows,
        "median_relative_size_after_cropping": float(np.median(shares)),
        "shapes_after_crop": shapes,
        "spacings": spacings,
    }


def _drawn(state: np.random.RandomState, voxels: np.ndarray, number: int) -> Any:
    return state.choice(voxels, number, replace=True) if len(voxels) else []
