"""Where inputs and cohorts lie: named roots and plain names, never a path of a client's own."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from gpuprep.service.problems import Problem
from gpuprep.service.settings import NAME, Settings
from gpuprep.store.layout import CONFIG_FILE
from gpuprep.store.places import Place, holds_cases, is_url, to_place
from gpuprep.values.errors import StoreError

COHORTS_FOLDER = "cohorts"
_MOST_KNOWN = 10_000  # names, whoever invents them


class Places:
    """The roots and the cohorts of a service."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        self._roots = settings.roots
        self._known: dict[str, Place] = {}
        self._outputs = settings.outputs or str(folder / COHORTS_FOLDER)
        if not is_url(self._outputs):
            Path(self._outputs).mkdir(exist_ok=True)
        shown = {path: f"root {name}" for name, path in self._roots.items()}
        shown |= {os.path.realpath(path): f"root {name}" for name, path in self._roots.items()}
        shown |= {
            self._outputs: "cohorts",
            str(folder): "service",
            str(folder.resolve()): "service",
        }
        longest_first = sorted(shown.items(), key=lambda entry: -len(entry[0]))
        self._shown = [(name, path) for path, name in longest_first if len(path) > 1]

    def source(self, root: str, path: str) -> Path:
        """What a root and a relative path mean.

        Raises:
            Problem: 422, there is no such root, nothing is there, or it leads out of the root.
        """
        if root not in self._roots:
            raise Problem(
                422,
                f"there is no root {root!r}",
                code="E_ROOT",
                advice="ask what roots there are: GET /v1/roots",
            )
        base = Path(self._roots[root])
        if Path(path).is_absolute() or ".." in Path(path).parts or "\0" in path:
            raise Problem(422, "path must lie below its root", code="E_PATH")
        try:
            found = (base / path).resolve(strict=True)
            if found.is_relative_to(base.resolve()):
                return found
        except (OSError, ValueError, RuntimeError):  # nothing is there, or links go in circles
            pass
        raise Problem(422, f"there is nothing at {path[:300]!r} in root {root}", code="E_PATH")

    @property
    def local_outputs(self) -> Path | None:
        """The folder of all cohorts; None where they lie in an object store."""
        return None if is_url(self._outputs) else Path(self._outputs)

    def hidden(self, text: str) -> str:
        """A text without the paths of this machine: roots and cohorts by their names alone."""
        for name, folder in self._shown:
            text = text.replace(folder, name)
        return text

    def confined(self, config: Mapping[str, Any], root: str) -> dict[str, Any]:
        """A config whose manifests and links lead to the job's root at most, unless it says where."""
        given = dict(config.get("input") or {})
        return {**config, "input": {"roots": [self._roots[root]], **given}}

    def output(self, cohort: str) -> Path | str:
        """Where a cohort is made: a folder, or a URL of a store."""
        if not re.fullmatch(NAME, cohort):
            raise Problem(404, "there is no such cohort")
        if is_url(self._outputs):
            return f"{self._outputs.rstrip('/')}/{cohort}"
        return Path(self._outputs) / cohort

    def cohort(self, name: str) -> Place | None:
        """Where a cohort lies; None where there is none."""
        if not re.fullmatch(NAME, name):
            return None
        place = to_place(self.output(name))
        return place if (place / CONFIG_FILE).is_file() else None

    def lies(self, name: str) -> Place | None:
        """Where a cohort of this name would lie; None for what is no name. The disk is not asked."""
        if name not in self._known and re.fullmatch(NAME, name):
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            self._known[name] = to_place(self.output(name))
        return self._known.get(name)

    def cohorts(self, wanted: Callable[[str], bool]) -> dict[str, Place]:
        """Where the cohorts lie whose names are ``wanted``, in the order of these."""
        names = sorted(filter(wanted, to_place(self._outputs).folders()))
        found = {name: self.cohort(name) for name in names}
        return {name: place for name, place in found.items() if place is not None}

    def digest(self, name: str) -> str:
        """The digest of the config a cohort was made with; empty where there is no such cohort."""
        place = self.cohort(name)
        if place is None:
            return ""
        try:
            return str(json.loads(place.document(CONFIG_FILE)).get("digest", ""))
        except (StoreError, OSError, ValueError, AttributeError):
            return ""

    def holds_cases(self, name: str) -> bool:
        """Whether any finished case is in a cohort; where its disk does not tell, there may be one."""
        place = self.cohort(name)
        try:
            return place is not None and holds_cases(place)
        except (StoreError, OSError):
            return True


class OnePlace:
    """Stands for the places of a service that has one cohort, or none."""

    def __init__(self, name: str, place: Place | None) -> None:
        self._name, self._place = name, place

    def cohort(self, name: str) -> Place | None:
        """Where the cohort lies; None for any other name."""
        return self._place if name == self._name else None

    def cohorts(self, wanted: Callable[[str], bool]) -> dict[str, Place]:
        """Where the cohort lies, if there is one and its name is ``wanted``."""
        if self._place is None or not wanted(self._name):
            return {}
        return {self._name: self._place}

    def hidden(self, text: str) -> str:
        """The text: whoever asks started the service and knows the paths of this machine."""
        return text
