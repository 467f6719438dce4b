"""Do the slices of a series make a volume? Every check, with millimetres and degrees in its message.

All problems of a series are collected first and told together: a gap and a tilt are one refusal, so that
nobody repairs the one only to meet the other.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from gpuprep.io.dicom.decoded import has_odd_bits, is_run_length
from gpuprep.io.dicom.positions import along_normal, normal_of
from gpuprep.io.dicom.problem import Problem, advice_on
from gpuprep.io.dicom.slice import Slice
from gpuprep.io.dicom.table import ModalityTable
from gpuprep.io.dicom.telling import seen_of
from gpuprep.io.dicom.volumes import named, volumes_among
from gpuprep.io.rules import Reading
from gpuprep.values.errors import InputError

_Meaning = tuple[tuple[float, float], ModalityTable | None]
_TURNED = 1e-3  # largest difference of direction cosines between slices of one volume
_SCALED = 1e-3  # relative, and of their pixel spacing


def audit(slices: Sequence[Slice], reading: Reading) -> list[Slice]:
    """The slices of one volume, sorted along their normal.

    Findings are reported; where the policy of a problem goes on, it is repaired as its advice says.

    Raises:
        InputError: the first problem that the policy makes an error, its message naming them all.
    """
    return audit_each({"": slices}, reading)[0]


def audit_each(volumes: Mapping[str, Sequence[Slice]], reading: Reading) -> list[list[Slice]]:
    """The same for several volumes by name, each by itself; what is found in some names them."""
    kept = []
    found: dict[tuple[str, str], tuple[Problem, list[str]]] = {}
    for name, slices in volumes.items():
        sorted_slices, problems = _looked_at(slices, reading)
        kept.append(sorted_slices)
        for problem in problems:
            found.setdefault((problem.code, problem.text), (problem, []))[1].append(name)
    told = [
        problem if len(names) == len(volumes) else problem.of(names)
        for problem, names in found.values()
    ]
    _judge(told, reading)
    return kept


def _looked_at(slices: Sequence[Slice], reading: Reading) -> tuple[list[Slice], list[Problem]]:
    problems: list[Problem] = []
    groups = _groups(slices)
    if not reading.rules.headers_alone:
        _check_kind(groups[0])
    _check_placed(groups[0])
    kept = list(slices)
    if len(groups) > 1:
        problems.append(_mixed(groups))
        if reading.findings.policy("E_MIXED_SERIES") != "error":
            kept = groups[0]
    meanings = Counter((one.line, one.table) for one in kept)
    if len(meanings) > 1 and not _scaled_by_slice(kept):
        problems.insert(0, _mixed_rescale(meanings))
    if len(groups) == 1 or len(kept) < len(slices):
        kept, more = along_normal(kept, reading.rules.slice_tolerance)
        problems.extend(more)
    problems = [_separable(problem, slices, reading) for problem in problems]
    if kept[0].photometric == "MONOCHROME1":
        done = "are" if reading.findings.policy("W_MONOCHROME1") == "fix" else "are not"
        text = f"the pixels are MONOCHROME1, low values to be shown white; they {done} inverted"
        problems.append(Problem("W_MONOCHROME1", text, {"slices": len(kept)}))
    if misnamed := [one for one in kept if one.misnamed]:
        kind = "implicit" if misnamed[0].implicit else "explicit"
        text = f"{len(misnamed)} of {len(kept)} slices are written in {kind} VR, though their headers name"
        text += f" {misnamed[0].syntax}; they are read as they are written"
        problems.append(Problem("W_SYNTAX", text, {"slices": len(misnamed)}))
    lossy = sum(one.lossy for one in kept)
    if lossy:
        text = f"{lossy} of {len(kept)} slices were compressed with loss"
        problems.append(Problem("W_LOSSY", text, {"slices": lossy}))
    return kept, problems


def _separable(problem: Problem, slices: Sequence[Slice], reading: Reading) -> Problem:
    """With advice on how to have each of several volumes, where they are told apart."""
    if problem.code != "E_MIXED_SERIES" or reading.rules.several_volumes != "refuse":
        return problem
    names = [part.name for part in volumes_among([seen_of(one) for one in slices])]
    if len(names) < 2:
        return problem
    way = (
        f"input.several_volumes: channels, cases or first takes apart its volumes: {named(names)}."
    )
    return replace(problem, by_hand=way)


def _judge(problems: Sequence[Problem], reading: Reading) -> None:
    errors = [problem for problem in problems if _is_error(problem, reading)]
    if errors:
        first, *others = [*errors, *(problem for problem in problems if problem not in errors)]
        told = [first.text, *(f"{problem.code}: {problem.text}" for problem in others)]
        raise reading.error(first.code, "; ".join(told), advice_on(errors, reading.findings.policy))
    for problem in problems:
        advice = advice_on([problem], reading.findings.policy)
        reading.report(problem.code, problem.text, advice=advice, **problem.values)


def _is_error(problem: Problem, reading: Reading) -> bool:
    policy = reading.findings.policy(problem.code)
    return policy == "error" or (policy == "fix" and not problem.repairable)


def _check_kind(slices: Sequence[Slice]) -> None:
    """Refuse images that are no slices of intensities, whatever the policy."""
    for one in slices:
        if reason := no_intensity(one):
            advice = "Leave the series out, or convert it."
            raise InputError("E_PIXEL_TYPE", reason, path=one.path, advice=advice)


def no_intensity(one: Slice) -> str:
    """Why pixels cannot be read as one number each by the rescale line; empty if they can."""
    if one.samples != 1 or one.photometric not in ("MONOCHROME1", "MONOCHROME2"):
        meaning = one.photometric or "unknown meaning"
        return f"voxels are {one.samples} samples of {meaning}, not one MONOCHROME intensity each"
    bits = f"{one.bits_stored} bits up to bit {one.high_bit} of {one.bits_allocated}"
    fits = one.bits_stored <= one.high_bit + 1 <= one.bits_allocated
    if one.bits_allocated not in (8, 16, 32) or one.bits_stored < 1 or not fits:
        return f"pixels of {bits} are not supported"
    if one.table is not None and one.line != (1.0, 0.0):
        slope, intercept = one.line
        return f"pixels have two meanings: a table (Modality LUT) and the line {slope:g}·x{intercept:+g}"
    if one.compressed and has_odd_bits(one) and not is_run_length(one):
        return f"compressed pixels of {bits} are decoded wrongly"
    return ""


def _check_placed(slices: Sequence[Slice]) -> None:
    """Refuse slices that cannot be placed in the patient."""
    for keyword in ("position", "orientation", "pixel_spacing"):
        if missing := sum(not getattr(one, keyword) for one in slices):
            what = keyword.replace("_", " ")
            text = f"{missing} of {len(slices)} slices have no {what}"
            raise InputError("E_NO_GEOMETRY", text, path=slices[0].path)
    for one in slices:
        lengths = np.linalg.norm(np.reshape(one.orientation, (2, 3)), axis=1)
        across = np.cross(one.orientation[:3], one.orientation[3:])
        if np.abs(lengths - 1).max() > 0.01 or np.linalg.norm(across) < 0.5:
            text = f"the orientation {one.orientation} is not a row and a column direction"
            raise InputError("E_NO_GEOMETRY", text, path=one.path)


def _groups(slices: Sequence[Slice]) -> list[list[Slice]]:
    """Slices that could be one volume, the largest group first."""
    groups: list[list[Slice]] = []
    for one in slices:
        for group in groups:
            if _alike(one, group[0]):
                group.append(one)
                break
        else:
            groups.append([one])
    return sorted(groups, key=len, reverse=True)


def _alike(one: Slice, other: Slice) -> bool:
    if _character(one) != _character(other):
        return False
    turned = np.abs(np.subtract(one.orientation, other.orientation)).max(initial=0.0)
    scaled = np.allclose(one.pixel_spacing, other.pixel_spacing, rtol=_SCALED)
    return bool(turned <= _TURNED and scaled)


def _character(one: Slice) -> tuple[object, ...]:
    """What slices of one volume have exactly in common."""
    placed = (bool(one.position), bool(one.orientation), bool(one.pixel_spacing))
    pixels = (one.rows, one.columns, one.samples, one.photometric)
    mosaic = () if one.tile is None else one.tile.place  # two that moved are never one volume
    return (*placed, *pixels, one.series, one.kind, one.settings, mosaic)


def _mixed(groups: Sequence[Sequence[Slice]]) -> Problem:
    common = set.intersection(*(set(group[0].settings) for group in groups))
    parts = []
    for group in groups[:5]:
        one = group[0]
        own = [setting for setting in one.settings if setting not in common]
        if one.series != groups[0][0].series:
            own.append("of another series")
        size = f"{len(group)} {one.kind}".rstrip() + f" of {one.columns}×{one.rows}"
        parts.append(", ".join([size + _place(one, groups[0][0]), *own]))
    text = f"the series mixes {len(groups)} kinds of slices: {'; '.join(parts)}"
    values = {"groups": [len(group) for group in groups], "largest": parts[0]}
    return Problem("E_MIXED_SERIES", text, values)


def _place(one: Slice, first: Slice) -> str:
    if not (one.position and one.orientation and one.pixel_spacing):
        return " without a place"
    spacing = f"{one.pixel_spacing[1]:.3g}×{one.pixel_spacing[0]:.3g} mm"
    cosine = min(1.0, abs(float(normal_of(one) @ normal_of(first))))
    angle = math.degrees(math.acos(cosine))
    return f" at {spacing}" + (f", turned by {angle:.1f}°" if angle > 0.1 else "")


def _scaled_by_slice(slices: Sequence[Slice]) -> bool:
    """PET scales every slice to the full range of its pixels, by its own slope alone (PS3.3, C.8.9.4)."""
    return all(one.modality == "PT" and one.line[1] == 0 and not one.table for one in slices)


def _mixed_rescale(lines: Counter[_Meaning]) -> Problem:
    shown = ", ".join(
        (f"{slope:g}·x{intercept:+g}" if table is None else f"a table from {table.first} on")
        + f" ({count} slices)"
        for ((slope, intercept), table), count in lines.most_common(4)
    )
    text = f"slices have {len(lines)} different rescale lines: {shown}"
    return Problem("E_MIXED_RESCALE", text, {"lines": len(lines)})
