"""OME-Zarr 0.5 attributes of a case: multiscales with axes in mm, labels, and what 0.5 cannot say.

OME-Zarr 0.5 knows a positive scale and a translation per axis, no rotation. On an LPS grid both are exact.
On a grid turned by a small angle they are approximate; on one whose axes point elsewhere (RAS, say) a
translation would be wrong and is left out. The full geometry always stands in ``attributes.gpuprep``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from gpuprep.store.layout import image_array
from gpuprep.values.geometry import Geometry

FORMAT_VERSION = 1  # of attributes.gpuprep and record.json
_OME_VERSION = "0.5"
_ANATOMICAL = {
    "L": "right-to-left",
    "R": "left-to-right",
    "P": "anterior-to-posterior",
    "A": "posterior-to-anterior",
    "S": "inferior-to-superior",
    "I": "superior-to-inferior",
}
_AXIS_TOLERANCE = 1e-4  # of a direction cosine: float32 headers carry 1e-6, real tilts 1e-2


def axis_names(ndim: int) -> tuple[str, ...]:
    """``z, y, x`` or ``c, z, y, x``."""
    return ("c", "z", "y", "x")[4 - ndim :]


def is_oblique(geometry: Geometry) -> bool:
    """Whether some index axis follows no patient axis."""
    return bool(np.abs(geometry.matrix - np.round(geometry.matrix)).max() > _AXIS_TOLERANCE)


def rounding_attributes(keep_bits: int | None) -> dict[str, Any]:
    """Attributes of an image array of which so many bits of the fraction were kept; none where all were."""
    return {} if keep_bits is None else {"gpuprep": {"keep_bits": keep_bits}}


def image_attributes(
    geometries: Sequence[Geometry],
    ndim: int,
    *,
    name: str,
    channel_names: Sequence[str],
    label_names: Sequence[str],
) -> dict[str, Any]:
    """Attributes of a case's group: for OME readers, and the geometry as SimpleITK has it.

    ``geometries`` are those of the levels, from full resolution on.
    ``ndim`` is the image's, 0 for a case of labels only, which is no OME image.
    """
    geometry = geometries[0]
    own = {
        "format": FORMAT_VERSION,
        "geometry": geometry.to_json(),
        "oblique": is_oblique(geometry),
        "channels": list(channel_names),
        "labels": list(label_names),
        "attributes": {},  # they are in the record
    }
    if ndim == 0:
        return {"gpuprep": own}
    multiscales = [_multiscale(geometries, ndim, name)]
    return {"ome": {"version": _OME_VERSION, "multiscales": multiscales}, "gpuprep": own}


def labels_attributes(names: Sequence[str]) -> dict[str, Any]:
    """Attributes of the ``labels`` group, which lists the label images below it."""
    return {"ome": {"version": _OME_VERSION, "labels": list(names)}}


def label_attributes(
    geometries: Sequence[Geometry],
    *,
    name: str,
    value_names: Mapping[int, str],
    has_image: bool,
) -> dict[str, Any]:
    """Attributes of one label image; ``value_names`` names its voxel values."""
    image_label: dict[str, Any] = {"source": {"image": "../../"}} if has_image else {}
    if value_names:
        image_label["properties"] = [
            {"label-value": value, "name": text} for value, text in sorted(value_names.items())
        ]
    multiscales = [_multiscale(geometries, 3, name)]
    ome = {"version": _OME_VERSION, "multiscales": multiscales, "image-label": image_label}
    return {"ome": ome}


def parse_value_names(attributes: Mapping[str, Any]) -> dict[int, str]:
    """The names of a label's voxel values, as ``label_attributes`` wrote them."""
    properties = attributes["ome"]["image-label"].get("properties", [])
    return {int(entry["label-value"]): str(entry["name"]) for entry in properties}


def _multiscale(geometries: Sequence[Geometry], ndim: int, name: str) -> dict[str, Any]:
    lead = ndim - 3
    axes: list[dict[str, Any]] = [{"name": "c", "type": "channel"}] * lead
    axes += [
        {"name": axis, "type": "space", "unit": "millimeter"} | orientation
        for axis, orientation in zip("zyx", _orientations(geometries[0]), strict=True)
    ]
    datasets = [
        {"path": image_array(level), "coordinateTransformations": transforms}
        for level, transforms in enumerate(_transforms(geometries, lead))
    ]
    return {"name": name, "axes": axes, "datasets": datasets}


def _transforms(geometries: Sequence[Geometry], lead: int) -> Iterator[list[dict[str, Any]]]:
    """Scale and translation of each level.

    Off an LPS grid the translation is counted along the grid's own axes from its first voxel, so that
    levels lie over one another; that of full resolution is left out.
    """
    first = geometries[0]
    for geometry in geometries:
        scale = [1.0] * lead + [float(s) for s in geometry.spacing_zyx]
        transforms: list[dict[str, Any]] = [{"type": "scale", "scale": scale}]
        shift = geometry.origin
        if first.orientation != "LPS":
            shift = tuple(first.matrix.T @ np.subtract(geometry.origin, first.origin))
        if first.orientation == "LPS" or geometry is not first:
            along = [0.0] * lead + [float(t) for t in reversed(shift)]
            transforms.append({"type": "translation", "translation": along})
        yield transforms


def _orientations(geometry: Geometry) -> list[dict[str, Any]]:
    """RFC-4's word for the direction of each of ``z, y, x``; none on a grid between the patient's axes."""
    if is_oblique(geometry):
        return [{}, {}, {}]
    return [
        {"orientation": {"type": "anatomical", "value": _ANATOMICAL[letter]}}
        for letter in reversed(geometry.orientation)
    ]
