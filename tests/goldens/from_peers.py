"""Goldens by MONAI, TorchIO and SimpleITK: resampled values with their grids, on oblique volumes."""

from __future__ import annotations

import monai.transforms
import numpy as np
import SimpleITK as sitk
import torchio
from content import Array, content
from monai.data import MetaTensor
from torchio.transforms.preprocessing.spatial.resample import Resample

TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])  # from LPS, and back
OBLIQUE = np.array([[0.98, -0.17, 0.1], [0.16, 0.98, 0.12], [-0.12, -0.1, 0.99]])


def volume(
    seed: int, shape: tuple[int, int, int], spacing: tuple[float, ...]
) -> tuple[Array, Array]:
    """A volume (``z, y, x``, float32) and an oblique RAS affine for its index ``x, y, z``."""
    rotation = np.linalg.qr(OBLIQUE)[0]
    rotation *= np.sign(np.diag(rotation))
    affine = np.eye(4)
    affine[:3, :3] = rotation * np.array(spacing)
    affine[:3, 3] = (-31.5, 12.25, 90.0 + seed)
    return content(shape, seed).astype(np.float32), affine


# name: (shape z, y, x; spacing and target x, y, z)
GRIDS = {
    "coarser": ((21, 30, 27), (0.8, 0.9, 2.5), (1.5, 1.5, 3.1)),
    "finer": ((9, 17, 14), (1.6, 1.9, 3.0), (1.0, 1.3, 1.7)),
    "mixed": ((15, 22, 26), (0.7, 1.4, 2.0), (1.1, 1.4, 0.9)),
}


def monai_cases() -> dict[str, Array]:
    """``Spacing`` (bilinear, border) and ``Orientation``, at their defaults otherwise."""
    arrays: dict[str, Array] = {}
    for seed, (name, (shape, spacing, target)) in enumerate(GRIDS.items()):
        image, affine = volume(20 + seed, shape, spacing)
        tensor = MetaTensor(image.transpose(2, 1, 0)[None].copy(), affine=affine)
        done = monai.transforms.Spacing(target, mode="bilinear", padding_mode="border")(tensor)
        arrays |= golden(name, image, affine, done.numpy()[0], done.affine.numpy())
    for seed, codes in enumerate(("LPS", "RAS", "SAR", "ILA", "PIR")):
        image, affine = volume(40 + seed, (5, 6, 7), (0.8, 0.9, 2.5))
        tensor = MetaTensor(image.transpose(2, 1, 0)[None].copy(), affine=affine)
        done = monai.transforms.Orientation(codes, labels=None)(tensor)
        arrays |= golden(codes, image, affine, done.numpy()[0], done.affine.numpy())
    return arrays


def torchio_cases() -> dict[str, Array]:
    """``Resample`` with linear interpolation, and the sizes its rule gives for many axes."""
    arrays: dict[str, Array] = {}
    for seed, (name, (shape, spacing, target)) in enumerate(GRIDS.items()):
        image, affine = volume(60 + seed, shape, spacing)
        source = torchio.ScalarImage(tensor=image.transpose(2, 1, 0)[None].copy(), affine=affine)
        done = torchio.Resample(target, image_interpolation="linear")(source)
        arrays |= golden(name, image, affine, done.numpy()[0], done.affine)
    random = np.random.default_rng(8)
    lengths = random.integers(1, 500, 2000)
    own, target = np.round(random.uniform(0.4, 4, (2, 2000)), 2)
    sizes = []
    for n, s, t in zip(lengths.tolist(), own.tolist(), target.tolist(), strict=True):
        line = sitk.Image([n, 1, 1], sitk.sitkUInt8)
        line.SetSpacing([s, 1, 1])
        sizes.append(Resample.get_reference_image(line, (t, 1, 1)).GetSize()[0])
    table = {"length": lengths, "own": own, "target": target, "result": np.array(sizes)}
    return arrays | {f"sizes/{key}": value for key, value in table.items()}


def itk_cases() -> dict[str, Array]:
    """The usual SimpleITK recipe: same origin, size ``ceil``; linear and B-spline of order 3."""
    arrays: dict[str, Array] = {}
    kinds = {"linear": sitk.sitkLinear, "cubic": sitk.sitkBSpline}
    for seed, (name, (shape, spacing, target)) in enumerate(GRIDS.items()):
        image, affine = volume(80 + seed, shape, spacing)
        lps = TO_RAS @ affine
        source = sitk.GetImageFromArray(image.astype(np.float64))
        source.SetSpacing(spacing)
        source.SetOrigin(lps[:3, 3])
        source.SetDirection((lps[:3, :3] / spacing).ravel())
        size = np.ceil(np.array(source.GetSize()) * spacing / target).astype(int).tolist()
        grid = (source.GetOrigin(), target, source.GetDirection(), -9999.0, sitk.sitkFloat64)
        for kind, interpolator in kinds.items():
            done = sitk.Resample(source, size, sitk.Transform(), interpolator, *grid)
            values = sitk.GetArrayFromImage(done).astype(np.float32).transpose(2, 1, 0)
            after = np.eye(4)
            after[:3, :3] = np.reshape(done.GetDirection(), (3, 3)) * done.GetSpacing()
            after[:3, 3] = done.GetOrigin()
            arrays |= golden(f"{name}/{kind}", image, affine, values, TO_RAS @ after)
    return arrays


def golden(name: str, image: Array, affine: Array, result: Array, after: Array) -> dict[str, Array]:
    """One resampling; ``result`` comes in ``x, y, z`` and is stored in ``z, y, x``."""
    return {
        f"{name}/image": image.astype(np.int16),
        f"{name}/affine": affine,
        f"{name}/result": np.ascontiguousarray(result.transpose(2, 1, 0)),
        f"{name}/result_affine": np.asarray(after, np.float64),
    }
