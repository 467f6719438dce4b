"""A decoded case in words: all of ``Assembled`` but the voxels, and all that decides what it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from gpuprep.config.model import PIPELINE, Config
from gpuprep.io.scan import FileIdentity
from gpuprep.preprocess.assemble import Assembled, label_entries, label_needed
from gpuprep.preprocess.losses import Losses
from gpuprep.preprocess.record import versions
from gpuprep.preprocess.task import CaseTask
from gpuprep.values.findings import Finding, default_policy
from gpuprep.values.geometry import Geometry, Reorientation


def decided_by(task: CaseTask, config: Config) -> dict[str, Any]:
    """Everything that decides what ``assemble`` makes of the files of a case, as JSON has it.

    What happens to voxels afterwards is left out: two runs that differ in nothing else share a case. So is
    what a stricter policy would refuse, which the findings of a case tell.
    """
    resample = config.image.resample  # of sheared files, and of those brought to another grid
    reading = config.input.model_dump(mode="json")
    reading["policy"] = {
        code: asked
        for code, asked in config.input.policy.items()
        if asked not in ("error", default_policy(code))
    }
    unlabelled = not label_entries(task.case, config)
    return {
        "pipeline": PIPELINE,
        "versions": versions(),
        "case": task.case.to_json(),
        "root": task.root,
        "agreement": task.agreement.to_json(),
        "input": reading,
        "label": config.label.model_dump(mode="json", exclude={"outside"}),
        "orientation": config.image.orientation,
        "between": [resample.interpolation, resample.boundary],
        "needed": label_needed(config) if unlabelled else "",
        "suv": config.suv_kinds,
    }


def stamps(paths: Sequence[str]) -> list[list[Any]]:
    """Path, size and time of files as they are now; OSError for one that is gone."""
    seen = [(path, Path(path).stat()) for path in sorted(set(paths))]
    return [[path, found.st_size, found.st_mtime_ns] for path, found in seen]


def to_words(assembled: Assembled, findings: Sequence[Finding]) -> dict[str, Any]:
    """All but the voxels, and the findings that were made on the way."""
    return {
        "channel_names": assembled.channel_names,
        "labels": list(assembled.labels),
        "label_names": assembled.label_names,
        "label_counts": assembled.label_counts,
        "geometry": assembled.geometry.to_json(),
        "source_geometry": assembled.source_geometry.to_json(),
        "heights": assembled.heights,
        "straight_geometry": assembled.straight_geometry.to_json(),
        "axes": assembled.reorientation.axes,
        "flips": assembled.reorientation.flips,
        "identity": [asdict(entry) for entry in assembled.identity],
        "headers": assembled.headers,
        "decoded_bytes": assembled.decoded_bytes,
        "kept": assembled.losses.kept,
        "uptakes": assembled.uptakes,
        "findings": [finding.to_json() for finding in findings],
    }


def from_words(
    words: Mapping[str, Any], arrays: Sequence[NDArray[Any]], limit: float
) -> tuple[Assembled, list[Finding]]:
    """The case that ``to_words`` told of, with its voxels: channels first, then label maps.

    ``limit`` is the config's ``label.loss``.
    """
    count = len(arrays) - len(words["labels"])
    assembled = Assembled(
        channels=tuple(arrays[:count]),
        channel_names=tuple(words["channel_names"]),
        labels=dict(zip(words["labels"], arrays[count:], strict=True)),
        label_names={name: _by_value(each) for name, each in words["label_names"].items()},
        label_counts={name: _by_value(each) for name, each in words["label_counts"].items()},
        geometry=Geometry.from_json(words["geometry"]),
        source_geometry=Geometry.from_json(words["source_geometry"]),
        heights=tuple(words["heights"]),
        straight_geometry=Geometry.from_json(words["straight_geometry"]),
        reorientation=Reorientation(_three(words["axes"]), _three(words["flips"])),
        identity=tuple(FileIdentity(**row) for row in words["identity"]),
        headers=tuple(words["headers"]),
        decoded_bytes=words["decoded_bytes"],
        losses=Losses(limit, words["kept"]),
        uptakes=tuple(words["uptakes"]),
    )
    return assembled, [Finding.from_json(row) for row in words["findings"]]


def _by_value(row: Mapping[str, Any]) -> dict[int, Any]:
    return {int(value): told for value, told in row.items()}


def _three(values: Sequence[Any]) -> tuple[Any, Any, Any]:
    a, b, c = values
    return a, b, c
