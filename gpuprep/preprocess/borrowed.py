"""What intensity steps take from files of elsewhere, read once before a run and written into its config."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from gpuprep.config.file import explained, parse_config
from gpuprep.config.model import Config
from gpuprep.config.standards import HistogramMatch, Nyul
from gpuprep.io.rules import ReadRules
from gpuprep.io.sandbox.parent import Sandbox
from gpuprep.ops.statistics import measure
from gpuprep.preprocess.standards import cumulative
from gpuprep.store.layout import LANDMARKS_FILE
from gpuprep.values.case import Source
from gpuprep.values.errors import CaseError, ConfigError

Node = dict[str, Any]
Scales = dict[str, list[float]]

_MOST_BYTES = 8 << 20  # of landmarks: those of a thousand channels


def with_borrowed(config: Config) -> Config:
    """The config with standards and reference histograms written out; the same one where there are none.

    Raises:
        ConfigError: a file cannot be used.
    """
    tree = config.resolved()
    changed = False
    for name, node in _steps(tree):
        changed |= _fill(name, node, config)
    return parse_config(tree, "what steps take from files") if changed else config


def without_files(tree: Node) -> Node:
    """What was set of a config, with these numbers in place of the files; for whoever does not have them.

    Raises:
        ConfigError: a file cannot be used, or the config that names one is not valid.
    """
    if not any(node.get(_WRITTEN[name][0]) for name, node in _steps(tree)):
        return tree
    config, tree = parse_config(tree), copy.deepcopy(tree)
    for name, node in _steps(tree):
        model = _MODELS[name].model_validate(node)
        told = model.model_dump(mode="json")
        if _fill(name, told, config):
            file, *numbers = _WRITTEN[name]
            del node[file]
            node |= {key: told[key] for key in numbers}
    return tree


_MODELS: dict[str, type[Nyul | HistogramMatch]] = {"nyul": Nyul, "histogram_match": HistogramMatch}
_WRITTEN = {
    "nyul": ("landmarks", "percentiles", "standard"),
    "histogram_match": ("reference", "values", "shares"),
}
"""The key of a step that names a file, and those that hold what is in it."""


def _fill(name: str, node: Node, config: Config) -> bool:
    """Write what a step takes from a file into it; False where it takes nothing."""
    if name == "nyul" and node.get("landmarks") and not node.get("standard"):
        path = Path(node["landmarks"]).absolute()
        node["percentiles"], node["standard"] = _landmarks(path, node["percentiles"])
        return True
    if name == "histogram_match" and node.get("reference") and not node["values"]:
        path = Path(node["reference"]).absolute()
        node["values"], node["shares"] = _histogram(path, node["over"], config)
        return True
    return False


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


def _landmarks(path: Path, wanted: Sequence[float]) -> tuple[list[float], Scales]:
    """Percentiles, and the standard of each channel, from a file or the folder it lies in.

    Of several for one channel, as of a cohort with several outputs, those of the ``wanted`` percentiles.
    """
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
    asked = [row for row in found if list(row[1]) == list(wanted)]
    for rows in (found, asked):
        scales = {name: scale for name, _, scale in rows}
        if rows and all(each == rows[0][1] and scales[name] == s for name, each, s in rows):
            return rows[0][1], scales
    if found:
        advice = "give the percentiles of those that are meant, or a file with one for each channel"
    raise ConfigError(
        f"nyul: landmarks {path} holds {len(found)} scales, not one for each channel", advice=advice
    )


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
