"""OME-Zarr 0.5 attributes of a case: multiscales with axes in mm, labels, and what 0.5 cannot say.

OME-Zarr 0.5 knows a positive scale and a translation per axis, no rotation. On an LPS grid both are exact.
On a grid turned by a small angle they are approximate; on one whose axes point elsewhere (RAS, say) a
translation would be wrong and is left out. The full geometry always stands in ``attributes.gpuprep``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gpuprep.geometry import Geometry
from gpuprep.store.layout import IMAGE_ARRAY

FORMAT_VERSION = 1  # of attributes.gpuprep and record.json
_OME_VERSION = "0.5"
_AXIS_TOLERANCE = 1e-4  # of a direction cosine: float32 headers carry 1e-6, real tilts 1e-2


def axis_names(ndim: int) -> tuple[str, ...]:
    """``z, y, x`` or ``c, z, y, x``."""
    return ("c", "z", "y", "x")[4 - ndim :]


def is_oblique(geometry: Geometry) -> bool:
    """Whether some index axis follows no patient axis."""
    return bool(np.abs(geometry.matrix - np.round(geometry.matrix)).max() > _AXIS_TOLERANCE)


def image_attributes(
    geometry: Geometry,
    ndim: int,
    *,
    name: str,
    channel_names: Sequence[str],
    label_names: Sequence[str],
    attributes: Mapping[str, Any],
) -> dict[str, Any]:
    """Attributes of a case's group: for OME readers, and the geometry as SimpleITK has it.

    ``ndim`` is the image's, 0 for a case of labels only, which is no OME image.
    """
    own = {
        "format": FORMAT_VERSION,
        "geometry": geometry.to_json(),
        "oblique": is_oblique(geometry),
        "channels": list(channel_names),
        "labels": list(label_names),
        "attributes": dict(attributes),
    }
    if ndim == 0:
        return {"gpuprep": own}
    multiscales = [_multiscale(geometry, ndim, name)]
    return {"ome": {"version": _OME_VERSION, "multiscales": multiscales}, "gpuprep": own}


def labels_attributes(names: Sequence[str]) -> dict[str, Any]:
    """Attributes of the ``labels`` group, which lists the label images below it."""
    return {"ome": {"version": _OME_VERSION, "labels": list(names)}}


def label_attributes(
    geometry: Geometry, *, name: str, value_names: Mapping[int, str], has_image: bool
) -> dict[str, Any]:
    """Attributes of one label image; ``value_names`` names its voxel values."""
    image_label: dict[str, Any] = {"source": {"image": "../../"}} if has_image else {}
    if value_names:
        image_label["properties"] = [
            {"label-value": value, "name": text} for value, text in sorted(value_names.items())
        ]
    multiscales = [_multiscale(geometry, 3, name)]
    ome = {"version": _OME_VERSION, "multiscales": multiscales, "image-label": image_label}
    return {"ome": ome}


def parse_value_names(attributes: Mapping[str, Any]) -> dict[int, str]:
    """The names of a label's voxel values, as ``label_attributes`` wrote them."""
    properties = attributes["ome"]["image-label"].get("properties", [])
    return {int(entry["label-value"]): str(entry["name"]) for entry in properties}


def _multiscale(geometry: Geometry, ndim: int, name: str) -> dict[str, Any]:
    lead = ndim - 3
    axes: list[dict[str, str]] = [{"name": "c", "type": "channel"}] * lead
    axes += [{"name": axis, "type": "space", "unit": "millimeter"} for axis in "zyx"]
    scale = [1.0] * lead + [float(s) for s in geometry.spacing_zyx]
    transforms: list[dict[str, Any]] = [{"type": "scale", "scale": scale}]
    if geometry.orientation == "LPS":
        shift = [0.0] * lead + [float(t) for t in reversed(geometry.origin)]
        transforms.append({"type": "translation", "translation": shift})
    dataset = {"path": IMAGE_ARRAY, "coordinateTransformations": transforms}
    return {"name": name, "axes": axes, "datasets": [dataset]}
