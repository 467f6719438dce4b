"""One label map of a case as the cohort numbers it: whole numbers, declared, mapped and renumbered.

Nothing passes through a type that cannot hold it: a value is stored as the file has it, or is an error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuprep.config.label import Label
from gpuprep.io.scan import Scan
from gpuprep.ops.label_maps import (
    labelled,
    merge_structures,
    most_likely,
    renumber,
    smallest_dtype,
)
from gpuprep.values.agreement import Classes
from gpuprep.values.case import LabelSource, Source
from gpuprep.values.errors import InputError
from gpuprep.values.findings import Findings

_EXACT_IN_FLOAT32 = 2**24
_NEAR = 1e-3  # a value this close to a whole number was meant to be one
_TOLD = 5  # values named in a message


@dataclass(frozen=True, slots=True)
class LabelMap:
    """Integers on the file's own grid, in the cohort's values; ``counts`` are the voxels of each but 0.

    Where structures overlap, ``counts`` has every voxel of each.
    """

    array: NDArray[Any]
    counts: dict[int, int]


@dataclass(frozen=True, slots=True)
class LabelRules:
    """What one label map is read by: the config, what its input and its cohort say of values."""

    entry: LabelSource
    config: Label
    cohort: Classes
    findings: Findings

    @property
    def own(self) -> Classes | None:
        """What the input or the config says of the values in the file."""
        return self.entry.classes if self.entry.classes.names else self.config.classes

    @property
    def declared(self) -> Classes:
        """What is known of the values in the file: of its own, or else from the cohort."""
        return self.own or self.cohort

    @property
    def names(self) -> dict[int, str]:
        """The name of each value that the file may hold, in the cohort's numbers."""
        moved = self.declared.renumbered(self.cohort)
        names = {moved.get(value, value): name for value, name in self.declared.names.items()}
        return dict(sorted(names.items()))

    def single(self, scan: Scan) -> LabelMap:
        """The label map that one file holds."""
        path = self.entry.sources[0].path
        array = _mapped(
            self._whole(scan, self.entry.sources[0]), self.config.map, path, self.findings
        )
        counts = labelled(array)
        if not counts:
            text = f"{self.entry.name} holds background only"
            self.findings.report("W_LABEL_EMPTY", text, path=path)
        self._check_declared(counts, path)
        moved = self.declared.renumbered(self.cohort)
        if moved := {value: number for value, number in moved.items() if value in counts}:
            told = ", ".join(f"{value} → {number}" for value, number in moved.items())
            text = f"values of {self.entry.name} were numbered as in the cohort: {told}"
            self.findings.report("W_LABEL_RENUMBERED", text, path=path)
        return LabelMap(
            renumber(array, moved), {moved.get(value, value): n for value, n in counts.items()}
        )

    def merged(self, masks: Sequence[NDArray[Any]]) -> LabelMap:
        """One label map of the masks of structures, all on one grid, in the order of the sources."""
        moved = self.entry.classes.renumbered(self.cohort)
        values = [moved.get(number, number) for number in range(1, len(masks) + 1)]
        counts = {
            value: sum(labelled(mask).values()) for value, mask in zip(values, masks, strict=True)
        }
        self.report_partial()
        array, lost = merge_structures(masks, values)
        if lost:
            overlap = sum(lost.values())
            told = ", ".join(f"{value}: {count:,}" for value, count in lost.items())
            self.findings.report(
                "W_LABEL_OVERLAP",
                f"{overlap:,} voxels of {self.entry.name} lie in several structures (lost by value {told})",
                voxels=overlap,
                values={str(value): count for value, count in lost.items()},
            )
        return LabelMap(array, {value: count for value, count in counts.items() if count})

    def report_partial(self) -> None:
        """Say which structures of the cohort have no file."""
        own = self.entry.classes.names.values()
        missing = [name for name in self.cohort.names.values() if name not in own]
        if missing:
            told = ", ".join(missing[:_TOLD]) + (" …" if len(missing) > _TOLD else "")
            text = (
                f"{self.entry.name} has no file of {len(missing)} structures of the cohort: {told}"
            )
            self.findings.report("W_LABEL_PARTIAL", text, missing=len(missing))

    def report_unnamed(self, path: str) -> None:
        """Say where nothing tells what values mean, though the cohort has classes.

        Raises:
            InputError: E_LABEL_UNNAMED.
        """
        if self.own is None and self.cohort.names:
            self.findings.report(
                "E_LABEL_UNNAMED",
                f"nothing says what the values of {self.entry.name} mean, and the cohort has "
                f"{self.cohort.describe()}",
                path=path,
                advice="name them with label.names; input.policy {E_LABEL_UNNAMED: warn} takes them as the "
                "cohort's",
            )

    def mask(self, scan: Scan, source: Source) -> NDArray[Any]:
        """Where one structure is: an array that is 0 outside and has one value inside.

        Raises:
            InputError: E_LABEL_VALUES for a file with several values.
        """
        array = _mapped(self._whole(scan, source), self.config.map, source.path, self.findings)
        values = list(labelled(array))
        if len(values) > 1 or any(value < 0 for value in values):
            raise InputError(
                "E_LABEL_VALUES",
                f"structure {source.name or source.path} holds {_list(values)} beside 0, where one file per "
                "structure has one value",
                path=source.path,
                advice="list it as a label map of its own in a manifest, or set label.map",
            )
        return array

    def likely(self, scans: Sequence[Scan]) -> NDArray[Any]:
        """The most likely structure of each voxel, from one file of probabilities each."""
        moved = self.entry.classes.renumbered(self.cohort)
        values = [moved.get(number, number) for number in range(1, len(scans) + 1)]
        maps = []
        for scan, source in zip(scans, self.entry.sources, strict=True):
            array = single_volume(scan, source)
            if not (np.isfinite(array).all() and array.min() >= 0 and array.max() <= 1):
                raise InputError(
                    "E_LABEL_VALUES",
                    f"label.probabilities: argmax needs values in 0..1, this file has {array.min():.6g}.."
                    f"{array.max():.6g}",
                    path=source.path,
                    advice="give a threshold as label.probabilities",
                )
            maps.append(array)
        return most_likely(maps, values)

    def _whole(self, scan: Scan, source: Source) -> NDArray[Any]:
        array = single_volume(scan, source)
        limit = self.config.probabilities
        if isinstance(limit, float | int) and not isinstance(limit, bool):
            return (array >= limit).astype(np.uint8)
        return whole_numbers(array, scan, source.path, self.findings)

    def _check_declared(self, counts: Mapping[int, int], path: str) -> None:
        declared = self.declared
        if not declared.names:
            return
        self.report_unnamed(path)
        strange = {value: n for value, n in counts.items() if value not in declared.names}
        if not strange:
            return
        told = ", ".join(f"{value} ({n:,} voxels)" for value, n in list(strange.items())[:_TOLD])
        text = f"{self.entry.name} holds {told}, but declared are {declared.describe()}"
        advice = "declare them, or map them with label.map: {VALUE: VALUE}"
        values = {str(value): n for value, n in strange.items()}
        self.findings.report("E_LABEL_UNDECLARED", text, path=path, advice=advice, values=values)
        taken = [value for value in strange if value in self.cohort.names]
        if taken and self.own is not None:
            raise InputError(
                "E_LABEL_UNDECLARED",
                f"{text}; in the cohort {taken[0]} is {self.cohort.names[taken[0]]}",
                path=path,
                advice=advice,
            )


def single_volume(scan: Scan, source: Source) -> NDArray[Any]:
    """The voxels of a file that must be one volume; InputError for one of several."""
    check_single(len(scan.volumes), source)
    return scan.volumes[0].array


def check_single(volumes: int, source: Source) -> None:
    """Refuse a label's file with several volumes, as E_NOT_VOLUME."""
    if volumes != 1:
        text = f"a label map must be one volume, but the file holds {volumes}"
        raise InputError("E_NOT_VOLUME", text, path=source.path)


def whole_numbers(array: NDArray[Any], scan: Scan, path: str, findings: Findings) -> NDArray[Any]:
    """The label as the smallest integer dtype that holds it.

    Raises:
        InputError: E_LABEL_VALUES for values that are no whole numbers, or too large to be sure of.
    """
    stored = str(scan.header.get("stored_dtype", array.dtype))
    if stored.startswith("float") or array.dtype.kind == "f":
        findings.report("W_LABEL_FLOAT", f"label is stored as {stored}", path=path)
    if array.dtype.kind == "f":
        array = _rounded(array, path, findings)
        if stored != "float32" and np.abs(array).max(initial=0) > _EXACT_IN_FLOAT32:
            raise InputError(
                "E_LABEL_VALUES",
                f"label values of {stored} reach {np.abs(array).max():.0f}, beyond 32-bit integers",
                path=path,
                advice="map them to smaller values in the file",
            )
    low, high = (int(array.min()), int(array.max())) if array.size else (0, 0)
    dtype = smallest_dtype(low, high)
    if dtype is None:
        raise InputError("E_LABEL_VALUES", f"label values reach {low}..{high}", path=path)
    return array.astype(dtype, copy=False)


def _rounded(array: NDArray[Any], path: str, findings: Findings) -> NDArray[Any]:
    """Whole numbers of a floating-point label; what is none is told with its distance from one."""
    with np.errstate(invalid="ignore"):
        nearest = np.rint(array)
        off = ~(array == nearest)
    if not off.any():
        return array
    strange = array[off]
    finite = strange[np.isfinite(strange)].astype(np.float64)
    distance = float(np.abs(finite - np.rint(finite)).max(initial=0.0))
    example = f"{finite[0]:.9g}" if finite.size else str(strange[0])
    told = (
        f"{strange.size:,} of {array.size:,} label values are no whole numbers, such as {example}"
    )
    near = (
        "is this file an image or a probability map? label.probabilities makes labels of the latter"
    )
    if finite.size == strange.size and distance < _NEAR:
        near = "input.policy {E_LABEL_VALUES: fix} rounds them"
    findings.report(
        "E_LABEL_VALUES",
        f"{told}, at most {distance:.3g} from one"
        + (
            f"; {strange.size - finite.size:,} are not finite" if finite.size < strange.size else ""
        ),
        path=path,
        advice=near,
        voxels=int(strange.size),
        distance=distance,
    )
    return np.nan_to_num(nearest, nan=0.0, posinf=0.0, neginf=0.0)


def _mapped(
    array: NDArray[Any], wanted: Mapping[int, int], path: str, findings: Findings
) -> NDArray[Any]:
    """The label after ``label.map``; what it replaced is a finding."""
    if not wanted:
        return array
    counts = labelled(array)
    counts[0] = array.size - sum(counts.values())
    used = {value: number for value, number in wanted.items() if counts.get(value)}
    if not used:
        return array
    told = ", ".join(f"{value} → {to} ({counts[value]:,} voxels)" for value, to in used.items())
    values = {str(value): counts[value] for value in used}
    findings.report("W_LABEL_MAPPED", f"label.map: {told}", path=path, values=values)
    return renumber(array, used)


def _list(values: Sequence[int]) -> str:
    told = ", ".join(map(str, values[:_TOLD]))
    return f"{told} …" if len(values) > _TOLD else told
