"""What is written down about a case: everything a person, an audit or a replay needs."""

from __future__ import annotations

import math
import platform
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuprep.config.model import Config
from gpuprep.ops.curve import Curve
from gpuprep.ops.statistics import Distribution, Histogram, label_counts
from gpuprep.preprocess.assemble import Assembled
from gpuprep.preprocess.intensity import Intensity
from gpuprep.preprocess.measure import Measured
from gpuprep.preprocess.task import CaseTask
from gpuprep.values.findings import Findings
from gpuprep.values.grids import GridMapping
from gpuprep.values.version import __version__

SCHEMA = 1


def describe(
    task: CaseTask,
    measured: Measured,
    mapping: GridMapping,
    separate: int | None,
    intensities: tuple[Intensity, ...],
    findings: Findings,
) -> dict[str, Any]:
    """Everything a person or a replay needs to know about how a case was made."""
    assembled = measured.assembled
    return {
        "schema": SCHEMA,
        "case": task.case.id,
        "digest": task.digest,
        "config_digest": measured.config.digest,  # without the cohort's statistics
        "attributes": task.case.attributes,
        "input": task.input,
        "source": [asdict(entry) for entry in assembled.identity],
        "headers": list(assembled.headers),
        "channels": list(assembled.channel_names),
        "geometry": {
            "source": assembled.source_geometry.to_json(),
            **_straightening(assembled),
            "oriented": assembled.geometry.to_json(),
            "crop": [[part.start, part.stop] for part in measured.box],
            "output": mapping.on(measured.geometry).to_json(),
            **_reference(measured.config),
        },
        "mapping": {
            "scale": list(mapping.scale),
            "offset": list(mapping.offset),
            "separate_axis": separate,
        },
        **_filters(measured),
        "intensity": [intensity.to_json() for intensity in intensities],
        "statistics": [
            _statistics(measured, number, intensity) for number, intensity in enumerate(intensities)
        ],
        "findings": [finding.to_json() for finding in findings.items],
    }


def case_record(config: Config, outputs: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """The record of a case from what ``describe`` says of each of its outputs, by name in any order.

    Beside what all share it has what is of the first output, which is what readers get that name none.
    """
    if not config.outputs:
        return outputs[""]
    first = next(iter(config.outputs))
    own = {
        name: {key: outputs[name][key] for key in _OF_OUTPUT if key in outputs[name]}
        for name in config.outputs
    }
    return {
        **outputs[first],
        "config_digest": config.digest,
        "findings": _all_findings({name: words["findings"] for name, words in own.items()}),
        "output": first,
        "outputs": own,
    }


_OF_OUTPUT = (
    *("geometry", "mapping", "intensity", "statistics"),
    *("labels", "outside", "rounding", "findings"),
)


def _all_findings(outputs: Mapping[str, list[Any]]) -> list[Any]:
    """The findings of a case: those of all outputs as they are, others with the output's name."""
    told: list[Any] = []
    for name, findings in outputs.items():
        for finding in findings:
            if all(finding in others for others in outputs.values()):
                told += [finding] if finding not in told else []
            else:
                told.append({**finding, "message": f"output {name}: {finding['message']}"})
    return told


def _statistics(measured: Measured, channel: int, intensity: Intensity) -> dict[str, Any]:
    """The numbers of a channel's voxels: before its intensity steps, and as far as they tell it, after.

    Nothing is said of after where voxels outside the foreground become 0. Mean and deviation after are left
    out where it takes a further look at the voxels to know them.
    """
    values, chain, line = measured.distributions[channel], intensity.prologue, intensity.epilogue
    found = values.summary()
    ends = max(chain.low, found["min"]), min(chain.high, found["max"])
    found["at_low"], found["at_high"] = values.shares_beyond(*ends)
    known = measured.known_foreground(channel)
    if known is not None:
        found["foreground"] = known / values.count
    if intensity.outside == "zero":
        return found
    if isinstance(intensity.chain, Curve):
        return found | _after_curve(found, values, intensity.chain)
    found |= intensity.to_flat()
    if isinstance(values, Histogram):
        mean, std = values.moments((chain.low, chain.high))
    elif ends == (found["min"], found["max"]):  # nothing is clipped
        mean, std = found["mean"], found["std"]
    else:
        return found
    found["after_mean"], found["after_std"] = mean * line.scale + line.offset, std * abs(line.scale)
    return found


def _after_curve(
    found: Mapping[str, Any], values: Distribution, chain: Curve
) -> dict[str, float | None]:
    """The numbers after a chain that is no line: each known one put through it."""
    low, high = (end if math.isfinite(end) else None for end in (chain.low, chain.high))
    told: dict[str, float | None] = {"clip_low": low, "clip_high": high}
    known = {"min": found["min"], "max": found["max"]}
    known |= {f"p{q}": value for q, value in found["percentiles"].items()}
    told |= {f"after_{name}": chain(value) for name, value in known.items()}
    if isinstance(values, Histogram):
        told["after_mean"], told["after_std"] = values.moments_after(chain)
    return told


def _straightening(assembled: Assembled) -> dict[str, Any]:
    """How a sheared or uneven source was straightened; nothing for any other."""
    if assembled.straight_geometry == assembled.source_geometry and not assembled.heights:
        return {}
    return {
        "heights": list(assembled.heights),
        "straight": assembled.straight_geometry.to_json(),
    }


def _filters(measured: Measured) -> dict[str, Any]:
    """The filters of each channel, in their order; nothing where no channel has any.

    ``unfiltered`` is the range of the source, in place of that of ``statistics``, of channels that CLAHE gave
    another unit; None of all others.
    """
    if not measured.unfiltered:
        return {}
    ranges = [
        _finite_range(held.host) if any("clahe" in entry for entry in told) else None
        for held, told in zip(measured.unfiltered, measured.filters, strict=True)
    ]
    found = {"unfiltered": ranges} if any(ranges) else {}
    return {"filters": list(measured.filters), **found}


def _finite_range(array: NDArray[Any] | None) -> list[float] | None:
    """The smallest and the largest finite voxel; None where there is none."""
    if array is None:
        return None
    finite = array[np.isfinite(array)] if array.dtype.kind == "f" else array
    return [float(finite.min()), float(finite.max())] if finite.size else None


def _reference(config: Config) -> dict[str, Any]:
    """The volume on whose grid the case was put; nothing where there was none."""
    reference = config.image.resample.reference
    return {} if reference is None else {"reference": reference.model_dump(mode="json")}


def voxel_counts(label: NDArray[Any]) -> dict[str, int]:
    """Voxels per label value, the background included."""
    return {str(value): count for value, count in sorted(label_counts(label).items())}


def versions() -> dict[str, str]:
    """Of what made the case."""
    return {
        "gpuprep": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
    }
