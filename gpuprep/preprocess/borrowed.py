"""What intensity steps take from files of elsewhere, read once before a run and written into its config."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from gpuprep.config.file import explained, parse_config
from gpuprep.config.model import Config
from gpuprep.config.standards import Nyul
from gpuprep.io.rules import ReadRules
from gpuprep.io.sandbox.parent import Sandbox
from gpuprep.ops.statistics import measure
from gpuprep.preprocess.standards import cumulative
from gpuprep.store.layout import LANDMARKS_FILE
from gpuprep.values.case import Source
from gpuprep.values.errors import CaseError, ConfigError

Node = dict[str, Any]

_MOST_BYTES = 8 << 20  # of landmarks: those of a thousand channels


def with_borrowed(config: Config) -> Config:
    """The config with standards and reference histograms written out; the same one where there are none.

    Raises:
        ConfigError: a file cannot be used.
    """
    tree = config.resolved()
    changed = False
    for name, node in _steps(tree):
        if name == "nyul" and "landmarks" in node and "standard" not in node:
            percentiles, scales = _landmarks(Path(node["landmarks"]).absolute())
            node |= {"percentiles": percentiles, "standard": scales}
            changed = True
        elif name == "histogram_match" and "reference" in node and not node["values"]:
            path = Path(node["reference"]).absolute()
            node["values"], node["shares"] = _histogram(path, node["over"], config)
            changed = True
    return parse_config(tree, "what steps take from files") if changed else config


def _steps(tree: Any) -> Iterator[tuple[str, Node]]:
    """Every step of these kinds, wherever it stands."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            if key in ("nyul", "histogram_match") and isinstance(value, dict):
                yield key, value
            else:
                yield from _steps(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from _steps(value)


def _landmarks(path: Path) -> tuple[list[float], dict[str, list[float]]]:
    """Percentiles, and the standard of each channel, from a file or the folder it lies in."""
    advice = "give the folder of a cohort whose steps learnt nyul, or its landmarks.json"
    file = path / LANDMARKS_FILE if path.is_dir() else path
    try:
        if file.stat().st_size > _MOST_BYTES:
            raise ValueError("it is too large")
        rows = json.loads(file.read_bytes())["nyul"]
        found = [(str(row["channel"]), row["percentiles"], row["standard"]) for row in rows]
        for name, percentiles, standard in found:
            Nyul.model_validate({"percentiles": percentiles, "standard": {name: standard}})
    except (OSError, KeyError, TypeError, ValueError, RecursionError) as error:
        text = f"nyul: landmarks {path} cannot be used: {_reason(error)}"
        raise ConfigError(text, advice=advice) from None
    percentiles, scales = found[0][1] if found else [], {name: scale for name, _, scale in found}
    if not found or any(
        each != percentiles or scales[name] != scale for name, each, scale in found
    ):
        text = f"nyul: landmarks {path} holds {len(found)} scales, not one for each channel"
        raise ConfigError(text, advice=advice)
    return percentiles, scales


def _reason(error: Exception) -> str:
    match error:
        case ValidationError():
            return explained(error, Nyul).strip()
        case OSError():
            return str(error.strerror)
        case KeyError() | TypeError():
            return "it holds no landmarks"
    return str(error)


def _histogram(path: Path, over: str, config: Config) -> tuple[list[float], list[float]]:
    try:
        with Sandbox(ReadRules.of(config)) as sandbox:
            volumes = sandbox.read(Source(str(path))).volumes
    except (CaseError, OSError) as error:
        reason = error.message if isinstance(error, CaseError) else error.strerror
        raise ConfigError(
            f"histogram_match: reference {path} cannot be used: {reason}",
            advice="give a volume file or a folder with one DICOM series",
        ) from error
    array = volumes[0].array
    values = measure(array, array != 0 if over == "foreground" else None)
    if len(volumes) != 1 or not values.count:
        raise ConfigError(
            f"histogram_match: reference {path} holds {len(volumes)} volumes, {values.count} voxels to count",
            advice="give a file of one volume that is not empty",
        )
    return cumulative(values)
