"""The same operations by other libraries on the CPU, as functions without arguments.

Each ``*_peers`` gives paths by name. A library that is not installed gives none.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from scipy import ndimage

from gpuprep.ops.axis import antialias_sigma
from operations import BOUNDARY, PERCENTILES, Array, Variant, Volume

Peers = dict[str, Callable[[], Any]]

_ORDERS = {"nearest": 0, "linear": 1, "cubic": 3}


@cache
def optional(name: str) -> Any:
    """The module, or None after the reason was printed."""
    try:
        return importlib.import_module(name)
    except ImportError as reason:
        print(f"{name} is left out: {reason}")
        return None


def as_array(result: Any) -> Array:
    """What a path returns, in ``z, y, x``."""
    return (
        result
        if isinstance(result, np.ndarray)
        else optional("SimpleITK").GetArrayFromImage(result)
    )


def resampling_peers(volume: Volume, how: Variant, threads: int) -> Peers:
    """An image on the volume's grid, as float32 in ``z, y, x``."""
    peers: Peers = {"scipy": lambda: scipy_resample(ndimage, np, volume.image, volume, how)}
    if how.antialias or how.separate_axis is not None:
        return peers
    return {**peers, **_itk(volume, how, threads), **_torch(volume, how, threads)}


def scipy_resample(ndimage: Any, xp: Any, image: Any, volume: Volume, how: Variant) -> Any:
    """By ``scipy.ndimage`` or ``cupyx.scipy.ndimage``."""
    mapping, order = volume.mapping, _ORDERS[how.interpolation]
    mode = BOUNDARY[how.interpolation]
    if how.antialias:
        sigma = [antialias_sigma(scale) for scale in mapping.scale]
        image = ndimage.gaussian_filter(
            image, sigma, output=xp.float32, mode="nearest", truncate=6.0
        )
    if how.separate_axis is None:
        scale, offset = xp.asarray(mapping.scale), mapping.offset
        return ndimage.affine_transform(
            image, scale, offset, mapping.shape, xp.float32, order=order, mode=mode
        )
    result = xp.empty(mapping.shape, xp.float32)
    for o, plane in enumerate(result):
        picked = image[int(np.floor(o * mapping.scale[0] + mapping.offset[0] + 0.5))]
        scale, offset = xp.asarray(mapping.scale[1:]), mapping.offset[1:]
        ndimage.affine_transform(
            picked, scale, offset, mapping.shape[1:], plane, order=order, mode=mode
        )
        xp.clip(plane, picked.min(), picked.max(), out=plane)
    return result


def _itk(volume: Volume, how: Variant, threads: int) -> Peers:
    sitk = optional("SimpleITK")
    if sitk is None:
        return {}
    kinds = {"nearest": "sitkNearestNeighbor", "linear": "sitkLinear", "cubic": "sitkBSpline"}
    interpolator = getattr(sitk, kinds[how.interpolation])
    image = sitk.GetImageFromArray(volume.image)
    grid = (volume.mapping.shape, volume.mapping.offset, volume.mapping.scale)
    size, origin, spacing = (tuple(reversed(triple)) for triple in grid)

    def run() -> Any:
        sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(threads)
        return sitk.Resample(
            image, size, sitk.Transform(), interpolator, origin, spacing,
            image.GetDirection(), 0.0, sitk.sitkFloat32,
        )  # fmt: skip

    return {"SimpleITK": run}


def _torch(volume: Volume, how: Variant, threads: int) -> Peers:
    torch = optional("torch") if how.interpolation != "cubic" else None
    if torch is None:
        return {}
    torch.set_num_threads(threads)
    mode = {"linear": "trilinear", "nearest": "nearest-exact"}[how.interpolation]
    corners = {"align_corners": False} if mode == "trilinear" else {}
    image = torch.from_numpy(volume.image)[None, None]

    def interpolate() -> Array:
        floats = image.to(torch.float32)
        size = volume.mapping.shape
        return torch.nn.functional.interpolate(floats, size, mode=mode, **corners).numpy()[0, 0]

    grid = [
        torch.from_numpy((2 * (np.arange(m) * scale + offset) + 1) / n - 1).to(torch.float32)
        for n, m, scale, offset in zip(
            volume.image.shape, volume.mapping.shape, volume.mapping.scale, volume.mapping.offset,
            strict=True,
        )
    ]  # fmt: skip

    def grid_sample() -> Array:
        z, y, x = torch.meshgrid(*grid, indexing="ij")
        points = torch.stack((x, y, z), -1)[None]
        function = torch.nn.functional.grid_sample
        settings = {"mode": "bilinear", "padding_mode": "border", "align_corners": False}
        return function(image.to(torch.float32), points, **settings).numpy()[0, 0]

    peers: Peers = {"torch interpolate": interpolate}
    return {**peers, "torch grid_sample": grid_sample} if mode == "trilinear" else peers


def label_peers(volume: Volume) -> Peers:
    """One indicator per label, linearly, the largest wins."""
    mapping = volume.mapping

    def one_by_one() -> Array:
        best = np.zeros(mapping.shape, np.float32)
        winner = np.zeros(mapping.shape, volume.labels.dtype)
        for label in np.unique(volume.labels):
            indicator = (volume.labels == label).astype(np.float32)
            share = ndimage.affine_transform(
                indicator, mapping.scale, mapping.offset, mapping.shape, order=1, mode="nearest"
            )
            wins = share > best
            best[wins], winner[wins] = share[wins], label
        return winner

    return {"scipy, label by label": one_by_one}


def percentile_peers(image: Array, mask: Array | None) -> Peers:
    """Mean, standard deviation (both only with a mask) and percentiles."""
    if mask is None:
        return {"numpy.percentile": lambda: np.percentile(image, PERCENTILES)}

    def masked() -> Array:
        inside = image[mask]
        moments = inside.mean(dtype=np.float64), inside.std(dtype=np.float64)
        return np.array([*moments, *np.percentile(inside, PERCENTILES)])

    return {"numpy, masked": masked}
