"""Who filled nnU-Net's folders of arrays, and with what: a list of our own beside them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gpuprep.host.atomic import replaced
from gpuprep.nnunet.dataset import read_json
from gpuprep.nnunet.names import can_be_arrays
from gpuprep.values.errors import ConfigError

OWN_FOLDER, _FILE = "gpuprep", "folders.json"


@dataclass(frozen=True)
class Filled:
    """What a folder was filled from.

    Attributes:
        plans: The name of the plans.
        configuration: Of these.
        digest: Of the config of gpuprep that made the cases.
    """

    plans: str
    configuration: str
    digest: str


class FilledFolders:
    """The list of a data set; a damaged one counts as none, as then every folder is filled anew."""

    def __init__(self, dataset: Path) -> None:
        self._file = dataset / OWN_FOLDER / _FILE

    def read(self) -> dict[str, Filled]:
        """By the names of the folders."""
        try:
            fields: Mapping[str, Any] = read_json(self._file)
            return {name: Filled(**each) for name, each in fields.items() if can_be_arrays(name)}
        except (ConfigError, TypeError, AttributeError):
            return {}

    def note(self, folder: str, filled: Filled | None) -> None:
        """Note what a folder is filled from now; None strikes it out."""
        found = {name: each for name, each in self.read().items() if name != folder}
        if filled is not None:
            found[folder] = filled
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with replaced(self._file, fsync=True) as partial:
            tree = {name: asdict(each) for name, each in sorted(found.items())}
            partial.write_text(json.dumps(tree, indent=1), "utf-8")
