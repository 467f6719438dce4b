"""One case looked at: what its headers tell, and what only its voxels do."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuprep.advice.facts import CaseFacts
from gpuprep.advice.modality import kind_of, modalities
from gpuprep.advice.spread import counted
from gpuprep.config.model import Config
from gpuprep.nnunet.mixture import CountedChannel
from gpuprep.ops.crop import find_box
from gpuprep.ops.statistics import are_whole
from gpuprep.preprocess.assemble import Assembled
from gpuprep.preprocess.grid import orient
from gpuprep.preprocess.projection import Projection
from gpuprep.values.agreement import Agreement
from gpuprep.values.case import Case
from gpuprep.values.errors import InputError
from gpuprep.values.findings import Findings
from gpuprep.values.geometry import Shape

_BODY_FRACTION = 0.01  # as a crop to the body has it
BODY = -500.0
"""HU above which a voxel of a CT is inside the body."""


@dataclass(frozen=True, slots=True)
class Look:
    """What a look at a case gave.

    Attributes:
        facts: Of it.
        foregrounds: The counts of each CT channel's foreground, by name.
        extra: What else was asked for of its voxels.
    """

    facts: CaseFacts
    foregrounds: Mapping[str, CountedChannel] = field(default_factory=dict)
    extra: dict[str, Any] | None = None


Extra = Callable[[Case, Assembled, Agreement], dict[str, Any] | None]


def glance(case: Case, projected: Projection, config: Config, agreement: Agreement) -> CaseFacts:
    """What the headers of a case tell."""
    grid, _ = orient(projected.source, config.image.orientation)
    names = agreement.channels[: projected.channels] or case.channels
    told = str(case.attributes.get("modality", ""))
    return CaseFacts(
        case.id,
        grid.shape,
        grid.spacing,
        projected.source.orientation,
        names,
        tuple(kind_of(told, name, None, whole=False) for name in names),
        bool(projected.labels),
        findings=projected.findings,
    )


def look(
    case: Case, assembled: Assembled, config: Config, agreement: Agreement, findings: Findings
) -> Look:
    """What a case in memory tells.

    Raises:
        InputError: a channel has no finite voxel.
    """
    told = modalities(assembled.headers, len(case.images), len(assembled.channels))
    kinds = tuple(
        _kind(modality, name, array, case)
        for modality, name, array in zip(
            told, assembled.channel_names, assembled.channels, strict=False
        )
    )
    box = find_box(assembled.channels) if assembled.channels else None
    counts = next(iter(assembled.label_counts.values()), {})
    facts = CaseFacts(
        case.id,
        assembled.geometry.shape,
        assembled.geometry.spacing,
        assembled.straight_geometry.orientation,
        assembled.channel_names,
        kinds,
        bool(assembled.labels),
        tuple(sorted(counts)),
        tuple(dict.fromkeys(item.code for item in findings.items)),
        _shape(box) if box else assembled.geometry.shape,
        _body(assembled.channels[kinds.index("CT")]) if "CT" in kinds else None,
    )
    if "CT" not in kinds:
        return Look(facts)
    mask, inside = _foreground(assembled, agreement, box, [assembled.channels[kinds.index("CT")]])
    foregrounds = {
        name: counted((array[inside] if mask is None else array[inside][mask]).ravel())
        for name, array, kind in zip(
            assembled.channel_names, assembled.channels, kinds, strict=False
        )
        if kind == "CT"
    }
    return Look(facts, foregrounds)


def _kind(modality: str, name: str, array: NDArray[Any], case: Case) -> str:
    whole, finite = array.dtype.kind != "f", True
    if not whole:
        inside = np.isfinite(array)
        finite = bool(inside.any())
        lowest = float(np.min(array, where=inside, initial=np.inf))
    if not finite or not array.size:
        raise InputError(
            "E_UNREADABLE", f"channel {name} has no finite voxel", path=case.images[0].path
        )
    told = kind_of(modality, name, None, whole=False)
    if told:
        return told
    return kind_of("", "", float(array.min()) if whole else lowest, whole=whole or are_whole(array))


def _foreground(
    assembled: Assembled, agreement: Agreement, box: Any, body: Sequence[NDArray[Any]]
) -> tuple[NDArray[np.bool_] | None, Any]:
    """Labelled voxels inside the crop, as nnU-Net counts them, less those to be ignored.

    Without a label map those in the box of the body: its lungs are air, and belong to it.
    """
    inside = box or ...
    if not assembled.labels:
        return None, find_box(body, BODY, _BODY_FRACTION) or inside
    name, label = next(iter(assembled.labels.items()))
    classes = agreement.labels.get(name)
    mask = label[inside] > 0
    if classes is not None and classes.ignore is not None:
        mask &= label[inside] != classes.ignore
    return mask, inside


def _body(array: NDArray[Any]) -> float:
    box = find_box([array], BODY, _BODY_FRACTION)
    return math.prod(_shape(box)) / array.size if box else 1.0


def _shape(box: Any) -> Shape:
    z, y, x = (part.stop - part.start for part in box)
    return z, y, x
