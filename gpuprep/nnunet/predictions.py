"""Logits of stored cases to files on the grids of their scans, as ``nnUNetv2_predict`` writes them."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from gpuprep.export.case import Exported, find_cohort, write_exported
from gpuprep.export.files import check_target
from gpuprep.export.logits import Heads, WayBack, segment, write_probabilities
from gpuprep.export.native import NativeGrid
from gpuprep.export.prediction import load_prediction
from gpuprep.host.atomic import whole_file
from gpuprep.nnunet.dataset import Dataset, parse_dataset, read_json
from gpuprep.nnunet.folders import DATASET
from gpuprep.nnunet.inputs import case_properties
from gpuprep.nnunet.plans_file import PlansFile, StoredConfiguration
from gpuprep.nnunet.way_back import heads_of
from gpuprep.store.stored_case import StoredCase
from gpuprep.values.errors import GpuprepError, UsageError

_SUFFIXES = (".npy", ".zarr")


@dataclass(frozen=True)
class Predicted:
    """What became of the logits of a folder: files, and cases that have none with the reason."""

    written: tuple[Exported, ...]
    failed: dict[str, str]


@dataclass(frozen=True)
class Network:
    """What is known of a network: its configuration and what its outputs mean."""

    configuration: StoredConfiguration
    dataset: Dataset

    @classmethod
    def read(cls, plans: Path, configuration: str) -> Network:
        """From a plans file, beside which lies ``dataset.json``; raises ConfigError and UsageError."""
        description = plans.parent / DATASET
        dataset = parse_dataset(read_json(description), plans.absolute().parent.name)
        return cls(PlansFile.read(plans).configuration(configuration), dataset)

    @property
    def heads(self) -> Heads:
        return heads_of(self.dataset)

    def way_of(self, case: StoredCase) -> tuple[WayBack, NativeGrid]:
        """From the network's grid to that of the case's file.

        Raises:
            CorruptStoreError: the record does not lead back.
        """
        grid = NativeGrid.of(case.record, case.geometry)
        forward, configuration = self.configuration.forward, self.configuration
        own = grid.oriented.spacing_zyx
        axis = configuration.separate_axis(configuration.spacing(own), configuration.turned(own))
        z, y, x = (grid.box[axis] for axis in forward)
        m, n, o = (grid.oriented.shape[axis] for axis in forward)
        a, b, c = (part.stop - part.start for part in (z, y, x))
        return WayBack((a, b, c), (z, y, x), (m, n, o), forward, axis), grid


def export_predictions(
    output: Path,
    logits: Path,
    folder: Path,
    network: Network,
    *,
    cases: Collection[str] = (),
    probabilities: bool = False,
    overwrite: bool = False,
    threads: int = 1,
    on_case: Callable[[int], None] = lambda number: None,
) -> Predicted:
    """Write the segmentation of every case that has logits; one that cannot be written stops no other.

    Args:
        output: The cohort that the network was fed with.
        logits: A folder of ``CASE.npy`` or ``CASE.zarr``: class, then the stored axes, float16 or float32.
        folder: Where ``CASE`` and the data set's file ending are written.
        network: What is known of it.
        cases: Some of them; by default all.
        probabilities: Write ``CASE.npz`` and its properties too, as ``--save_probabilities`` of nnU-Net's.
        overwrite: Replace files that are there.
        threads: Does not change the result.
        on_case: Called after each case with the number of all.

    Raises:
        UsageError: there are no logits of any case, or not of one that is asked for.
    """
    found = _find_logits(logits, cases)
    cohort = find_cohort(output)
    written: list[Exported] = []
    failed: dict[str, str] = {}
    folder.mkdir(parents=True, exist_ok=True)
    for case_id, file in found.items():
        try:
            target = folder / f"{case_id}{network.dataset.ending}"
            check_target(target, overwrite=overwrite)
            if case_id not in cohort:
                raise UsageError(f"{output} has no case {case_id}")
            array = load_prediction(file).array
            with cohort[case_id] as case:
                done = _export(case, array, target, network, threads, probabilities=probabilities)
            written.append(done)
        except GpuprepError as error:
            failed[case_id] = str(error)
        on_case(len(found))
    return Predicted(tuple(written), failed)


def _export(
    case: StoredCase,
    logits: NDArray[Any],
    target: Path,
    network: Network,
    threads: int,
    *,
    probabilities: bool,
) -> Exported:
    way, grid = network.way_of(case)
    stored = tuple(case.geometry.shape[axis] for axis in way.forward)
    if logits.shape[1:] != stored:
        raise UsageError(
            f"the logits have shape {logits.shape}, the stored case {stored} in the order of its axes "
            f"{''.join('zyx'[axis] for axis in way.forward)}",
            advice="give those of the network that was fed with this case",
        )
    labels = segment(logits, way, network.heads, threads=threads)
    turn = grid.reorientation.inverse
    if probabilities:
        stem = target.name.removesuffix(network.dataset.ending)
        write_probabilities(logits, way, network.heads, turn, target.with_name(f"{stem}.npz"))
        with whole_file(target.with_name(f"{stem}.pkl")) as partial:
            partial.write_bytes(pickle.dumps(case_properties(case, way.forward)))
    return write_exported(turn.view(labels), grid.source, target)


def _find_logits(folder: Path, cases: Collection[str]) -> dict[str, Path]:
    found = {
        path.stem: path
        for path in sorted(folder.iterdir() if folder.is_dir() else ())
        if path.suffix in _SUFFIXES and (not cases or path.stem in cases)
    }
    lacking = sorted(set(cases) - set(found))
    if lacking or not found:
        raise UsageError(
            f"{folder} has no logits of {lacking[0] if lacking else 'any case'}",
            advice="name them CASE.npy, or CASE.zarr as stitch_into writes it",
        )
    return found
