"""Cases whose files are arrays in memory, for tests of what happens to them after reading."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from gpuprep.config.file import parse_config
from gpuprep.config.model import Config
from gpuprep.io.scan import FileIdentity, Scan
from gpuprep.ops.operations import HostOperations
from gpuprep.preprocess.assemble import Assembled, assemble
from gpuprep.preprocess.compute import Computed, compute
from gpuprep.preprocess.task import CaseTask, Stopwatch
from gpuprep.values.agreement import Agreement
from gpuprep.values.case import Case, Source
from gpuprep.values.findings import Finding, Findings
from gpuprep.values.geometry import Geometry
from gpuprep.values.volume import Volume


class Files(dict[str, Scan]):
    """Files by path, each of one or more volumes on a grid; a reader for ``assemble``."""

    def add(self, path: str, *arrays: np.ndarray, grid: Geometry | None = None) -> Source:
        """Put a file there; returns it as a source."""
        grid = grid or Geometry(arrays[0].shape)
        volumes = tuple(Volume(array, grid) for array in arrays)
        header = {"stored_dtype": str(arrays[0].dtype)}
        self[path] = Scan(volumes, (), (FileIdentity(path, 1, 1, ""),), "memory", header)
        return Source(path)

    def read(self, source: Source) -> Scan:
        return self[source.path]


def config_of(tree: Mapping[str, Any] | None = None) -> Config:
    """A config of float32 voxels and labels by nearest voxel, with some keys set."""
    base: dict[str, Any] = {"label": {"interpolation": "nearest"}, "store": {"dtype": "float32"}}
    for name, block in (tree or {}).items():
        base[name] = {**base.get(name, {}), **block}
    return parse_config(base)


def put_together(
    files: Files, case: Case, config: Config, agreement: Agreement | None = None
) -> tuple[Assembled, list[Finding]]:
    """A case as it is assembled, and its findings."""
    findings = Findings(config.input.policy)
    assembled = assemble(case, config, files.read, findings, agreement=agreement)
    return assembled, findings.items


def computed(
    files: Files, case: Case, config: Config, agreement: Agreement | None = None
) -> tuple[Computed, list[Finding]]:
    """A case as it would be stored, and its findings."""
    findings = Findings(config.input.policy)
    assembled = assemble(case, config, files.read, findings, agreement=agreement)
    task = CaseTask(case, "", "")
    (result,) = compute(task, assembled, config, HostOperations(1), findings, (), Stopwatch())
    return result, [Finding.from_json(row) for row in result.record["findings"]]
