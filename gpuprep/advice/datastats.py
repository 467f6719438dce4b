"""``datastats.yaml`` and ``datastats_by_case.yaml``, from which MONAI's Auto3DSeg starts.

The summary is MONAI's, with what surprises in it: means of means, the first channel alone, and classes looked
up by their place in the list of each case, so that values with gaps have zeros.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from gpuprep.advice.torch_numbers import NAMES, summary
from gpuprep.host.atomic import replaced
from gpuprep.values.errors import UsageError

Stats = dict[str, Any]

_MEANS = ("mean", "median", "stdev", *NAMES)
_ABSENT = 0  # what MONAI summarises where no case has a value


def summarise(cases: Sequence[Stats]) -> Stats:
    """``stats_summary`` of the statistics of all cases."""
    images = [case["image_stats"] for case in cases]
    found: Stats = {"image_stats": _of_images(images)}
    if "label_stats" in cases[0]:
        foregrounds = [case["image_foreground_stats"]["intensity"][0] for case in cases]
        found["image_foreground_stats"] = {"intensity": _means(foregrounds)}
        found["label_stats"] = _of_labels([case["label_stats"] for case in cases])
    return {**found, "n_cases": len(cases)}


def _of_images(images: Sequence[Stats]) -> Stats:
    lengths = {
        key: summary([each[key] for each in images], axes=(0, 1))
        for key in ("shape", "cropped_shape")
    }
    single = {key: summary([each[key] for each in images]) for key in ("spacing", "sizemm")}
    return {
        "shape": lengths["shape"],
        "channels": summary([each["channels"] for each in images]),
        "cropped_shape": lengths["cropped_shape"],
        **single,
        "intensity": _means([each["intensity"][0] for each in images]),
    }


def _of_labels(labels: Sequence[Stats]) -> Stats:
    # in the order of a set, as there
    values = list(set(np.concatenate([each["labels"] for each in labels]).tolist()))
    return {
        "labels": values,
        "image_intensity": _means([each["image_intensity"][0] for each in labels]),
        "label": [_of_value(value, labels) for value in values],
    }


def _of_value(place: int, labels: Sequence[Stats]) -> Stats:
    rows = [each["label"][place] for each in labels if place < len(each["label"])]
    found = {
        "foreground_percentage": summary([row["foreground_percentage"] for row in rows] or [0])
    }
    if "ncomponents" in labels[0]["label"][0]:
        found["ncomponents"] = summary([row["ncomponents"] for row in rows] or [_ABSENT])
        shapes = [shape for row in rows for shape in row["shape"]]
        found["shape"] = summary(shapes or [_ABSENT])
    found["image_intensity"] = _means([row["image_intensity"][0] for row in rows])
    return found


def _means(rows: Sequence[Mapping[str, Any]]) -> Stats:
    """The largest of all maxima, the smallest of all minima, the means of everything else."""
    columns = {
        key: np.array([row[key] for row in rows] or [_ABSENT]) for key in ("max", "min", *_MEANS)
    }
    told = {key: columns[key].mean().tolist() for key in _MEANS}
    ends = {"max": columns["max"].max().tolist(), "min": columns["min"].min().tolist()}
    order = ("max", "mean", "median", "min", "stdev", *NAMES)
    return {key: (ends | told)[key] for key in order}


class DataStats:
    """Takes the statistics of the cases of a survey, and writes the two files."""

    def __init__(self) -> None:
        self._cases: list[Stats] = []
        self._left_out: dict[str, str] = {}

    def take(self, stats: Stats) -> None:
        """The statistics of a case, or why there are none."""
        if "left_out" in stats:
            self._left_out[stats["case"]] = stats["left_out"]
        else:
            self._cases.append(stats)

    @property
    def left_out(self) -> Mapping[str, str]:
        """Why cases are in no file, by id: MONAI fails on them, or they differ from the others."""
        labelled = any("label_stats" in case for case in self._cases)
        bare = {
            case["case"]: "it has no label map, and others have"
            for case in self._cases
            if labelled and "label_stats" not in case
        }
        return {**self._left_out, **bare}

    def save(self, folder: Path) -> tuple[Path, Path]:
        """Write both files; returns their paths.

        Raises:
            UsageError: no case is left, or cases differ in their number of channels.
        """
        gone = self.left_out
        kept = [
            {key: value for key, value in case.items() if key != "case"}
            for case in self._cases
            if case["case"] not in gone
        ]
        if not kept:
            name, why = next(iter(gone.items()), ("", "there is none"))
            raise UsageError(f"no case for datastats.yaml; {name}: {why}")
        numbers = {case["image_stats"]["channels"] for case in kept}
        if len(numbers) > 1:
            raise UsageError(f"cases have {sorted(numbers)} channels; Auto3DSeg needs one number")
        whole = {"stats_summary": summarise(kept), "stats_by_cases": kept}
        folder.mkdir(parents=True, exist_ok=True)
        paths = folder / "datastats.yaml", folder / "datastats_by_case.yaml"
        for path, tree in zip(paths, ({**whole, "stats_by_cases": []}, whole), strict=True):
            with replaced(path, fsync=False) as partial:
                partial.write_text(_text(tree), "utf-8")
        return paths


class _Plain(yaml.SafeDumper):
    """Writes what stands twice twice, as files of MONAI have it."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(tree: Any) -> str:
    return yaml.dump(tree, Dumper=_Plain, default_flow_style=None, sort_keys=False)
