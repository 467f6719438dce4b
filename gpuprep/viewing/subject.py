"""Everything there is to say about one input or one stored case: grid, values, labels, findings, origin."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from gpuprep.cohort.discover import discover
from gpuprep.config.model import Config
from gpuprep.export import find_case
from gpuprep.io.rules import ReadRules
from gpuprep.io.sandbox.parent import Sandbox
from gpuprep.io.scan import Preview
from gpuprep.ops.statistics import Distribution, label_counts, measure
from gpuprep.preprocess.assemble import assemble
from gpuprep.store.layout import CASE_SUFFIX, CASES_FOLDER, RECORD_FILE
from gpuprep.store.objects.path import ObjectPath
from gpuprep.store.stored_case import StoredCase, open_case
from gpuprep.values.case import Case
from gpuprep.values.errors import CorruptStoreError, InputError, UsageError
from gpuprep.values.findings import Finding, Findings
from gpuprep.values.geometry import Geometry
from gpuprep.viewing.first_window import Window, steps_of, window_as_stored, window_of_steps
from gpuprep.viewing.refused import header_preview

_LABEL_VALUES = 128  # an integer volume of 0 … 127 alone is taken for a label map
_SHOWN = 8


@dataclass(frozen=True)
class Channel:
    """One channel: its voxels, their statistics, and the intensities a picture should span."""

    name: str
    array: NDArray[Any] = field(repr=False)
    statistics: Mapping[str, Any]
    window: Window

    def to_json(self) -> dict[str, Any]:
        return {"name": self.name, "dtype": str(self.array.dtype), "statistics": self.statistics}


@dataclass(frozen=True)
class LabelMap:
    """One label map: its voxels, how many there are of each value, and what the values mean."""

    name: str
    array: NDArray[Any] = field(repr=False)
    voxels: Mapping[int, int]
    voxel_ml: float
    names: Mapping[int, str]

    def ml(self, value: int) -> float:
        """The volume of a label value in millilitres."""
        return self.voxels[value] * self.voxel_ml

    def name_of(self, value: int) -> str:
        return self.names.get(value, "background" if value == 0 else f"label {value}")

    def to_json(self) -> dict[str, Any]:
        rows = [
            {"value": value, "name": self.name_of(value), "voxels": count, "ml": self.ml(value)}
            for value, count in self.voxels.items()
        ]
        return {"name": self.name, "dtype": str(self.array.dtype), "values": rows}


@dataclass(frozen=True)
class Inspection:
    """What was found. Arrays lie on ``grid``; ``geometry`` is the one to report (of an input, before it
    was turned). Of an unusable input only the header's geometry may be known, and ``failure`` is set;
    ``heights`` are then those of uneven slices above the first, in mm."""

    id: str
    kind: Literal["input", "stored"]
    path: Path | ObjectPath
    geometry: Geometry | None
    grid: Geometry | None = None
    channels: tuple[Channel, ...] = ()
    labels: tuple[LabelMap, ...] = ()
    findings: tuple[Finding, ...] = ()
    headers: tuple[Mapping[str, Any], ...] = ()
    record: Mapping[str, Any] = field(default_factory=dict)
    stored_bytes: int = 0
    heights: tuple[float, ...] = ()
    failure: InputError | None = None

    @property
    def raw_bytes(self) -> int:
        """Bytes of all arrays uncompressed."""
        arrays = [channel.array for channel in self.channels] + [
            label.array for label in self.labels
        ]
        return sum(array.nbytes for array in arrays)

    def to_json(self) -> dict[str, Any]:
        tree: dict[str, Any] = {
            "id": self.id,
            "kind": self.kind,
            "path": str(self.path),
            "geometry": _geometry_json(self.geometry),
            "slice_heights_mm": list(self.heights),
            "channels": [channel.to_json() for channel in self.channels],
            "labels": [label.to_json() for label in self.labels],
            "findings": [finding.to_json() for finding in self.findings],
            "headers": [dict(header) for header in self.headers],
            "raw_bytes": self.raw_bytes,
        }
        if self.kind == "stored":
            provenance = {name: part for name, part in self.record.items() if name != "files"}
            tree |= {"stored_bytes": self.stored_bytes, "record": provenance}
        return tree


def inspect_path(path: Path, config: Config, output: str | None = None) -> Inspection:
    """Inspect an input file, a folder with one case or DICOM series, or a stored case.

    >>> seen = inspect_path(Path("cohort/volume-0"), Config())
    >>> seen.geometry.orientation, [label.name for label in seen.labels]
    ('LPS', ['segmentation'])

    A stored case is named by its folder or as ``OUTPUT/case-id``. An input is read under the limits and
    the policy of ``config``; if it is unusable, the inspection says why instead of raising. ``output`` names
    one of several outputs of a stored case, by default the first.

    Raises:
        UsageError: nothing, or more than one case, is there; or the case has no such output.
        CorruptStoreError: a stored case is damaged.
    """
    if (path / RECORD_FILE).is_file() or path.name.endswith(CASE_SUFFIX):
        return _inspect_stored(open_case(path, output=output))
    if not path.exists() and (path.parent / CASES_FOLDER).is_dir():
        return _inspect_stored(find_case(path.parent, path.name, output))
    if (path / CASES_FOLDER).is_dir():
        raise UsageError(
            f"{path} is a whole cohort", advice=f"name one of its cases: {path / '<case id>'}"
        )
    if output is not None:
        raise UsageError(f"{path} is an input, and only stored cases have outputs")
    return _inspect_input(path, _one_case(path, config), config)


def _one_case(path: Path, config: Config) -> Case:
    rule = config.input
    found = discover(
        path,
        layout=rule.layout,
        series=rule.series,
        several_volumes=rule.several_volumes,
        structures=rule.structure_rules,
    )
    if len(found.cases) != 1:
        ids = [case.id for case in found.cases[:_SHOWN]]
        more = ", …" if len(found.cases) > _SHOWN else ""
        raise UsageError(
            f"{path} holds {len(found.cases)} cases ({', '.join(ids)}{more}), not one",
            advice="give one file or the folder of one case; 'gpuprep plan' shows them all",
        )
    return found.cases[0]


def _inspect_input(path: Path, case: Case, config: Config) -> Inspection:
    findings = Findings(config.input.policy)
    with Sandbox(ReadRules.of(config)) as sandbox:
        try:
            assembled = assemble(case, config, sandbox.read, findings)
        except InputError as error:
            told = (*findings.items, _as_finding(error))
            seen = header_preview(case, error, config)
            refused = Inspection(case.id, "input", path, None, findings=told, failure=error)
            if seen is None:
                return refused
            return replace(refused, geometry=seen.geometry, heights=_in_mm(seen))
    names = assembled.channel_names
    channels = [
        _channel(name, array, partial(window_of_steps, steps))
        for name, array, steps in zip(
            names, assembled.channels, steps_of(config, names), strict=True
        )
    ]
    labels = [
        _label_map(name, array, assembled.geometry, assembled.label_names.get(name, {}))
        for name, array in assembled.labels.items()
    ] or [
        _label_map("values", channel.array, assembled.geometry, {})
        for channel in channels
        if _looks_like_label(channel.array)
    ]
    return Inspection(
        case.id,
        "input",
        path,
        assembled.source_geometry,
        assembled.geometry,
        tuple(channels),
        tuple(labels),
        tuple(findings.items),
        assembled.headers,
    )


def _in_mm(seen: Preview) -> tuple[float, ...]:
    """The heights of uneven slices above the first one."""
    return tuple(height * seen.geometry.spacing[2] for height in seen.heights)


def _as_finding(error: InputError) -> Finding:
    return Finding(error.code, error.message, error.path, error.advice, "error")


def _inspect_stored(case: StoredCase) -> Inspection:
    record = case.record
    image = None if case.image is None else np.asarray(case.image)
    stack = () if image is None else (image,) if image.ndim == 3 else tuple(image)
    try:
        names = record["channels"] or [f"channel_{number}" for number in range(len(stack))]
        channels = [
            _channel(name, array, partial(window_as_stored, rules))
            for name, array, rules in zip(names, stack, record["intensity"], strict=True)
        ]
        headers, findings = tuple(record["headers"]), tuple(case.findings)
        stored_bytes = case.stored_bytes
    except (KeyError, TypeError, ValueError) as error:
        raise CorruptStoreError(f"{case.path}: its record is not a record ({error!r})") from error
    labels = [
        _label_map(name, case.read_classes(name), case.geometry, case.label_names.get(name, {}))
        for name in case.labels
    ]
    return Inspection(
        case.id,
        "stored",
        case.path,
        case.geometry,
        case.geometry,
        tuple(channels),
        tuple(labels),
        findings,
        headers,
        record,
        stored_bytes,
    )


def _looks_like_label(array: NDArray[Any]) -> bool:
    """Whether an image by itself is probably a label map: few, small whole numbers."""
    if array.dtype.kind not in "iu" or int(array.min()) < 0 or int(array.max()) >= _LABEL_VALUES:
        return False
    return int(np.count_nonzero(array == 0)) > 0


def _channel(name: str, array: NDArray[Any], choose: Callable[[Distribution], Window]) -> Channel:
    values = measure(array)
    return Channel(name, array, values.summary(), choose(values) if values.count else (0.0, 1.0))


def _label_map(
    name: str, array: NDArray[Any], geometry: Geometry, names: Mapping[int, str]
) -> LabelMap:
    return LabelMap(name, array, label_counts(array), math.prod(geometry.spacing) / 1000, names)


def _geometry_json(geometry: Geometry | None) -> dict[str, Any] | None:
    if geometry is None:
        return None
    extent = [n * s for n, s in zip(geometry.size, geometry.spacing, strict=True)]
    return {
        **geometry.to_json(),
        "affine": geometry.affine.tolist(),
        "size": list(geometry.size),
        "orientation": geometry.orientation,
        "oblique_degrees": geometry.oblique_degrees,
        "field_of_view_mm": extent,
    }
