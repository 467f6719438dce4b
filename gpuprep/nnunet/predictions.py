"""Logits of stored cases to files on the grids of their scans, as ``nnUNetv2_predict`` writes them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from gpuprep.export.case import Exported, check_case, find_cohort, write_exported
from gpuprep.export.files import check_target, write_flat
from gpuprep.export.logits import WayBack, segment, write_probabilities
from gpuprep.export.native import NativeGrid
from gpuprep.export.prediction import load_prediction
from gpuprep.host.atomic import whole_file
from gpuprep.nnunet.logits_files import each_case, find_logits
from gpuprep.nnunet.trained import TrainedNetwork
from gpuprep.store.layout import case_path
from gpuprep.store.nnunet.properties import case_properties, to_pickle
from gpuprep.store.places import Place
from gpuprep.store.record import read_record
from gpuprep.store.several import output_record
from gpuprep.values.errors import UsageError
from gpuprep.values.geometry import Geometry


@dataclass(frozen=True)
class Predicted:
    """What became of the logits of a folder: files, and cases that have none with the reason."""

    written: tuple[Exported, ...]
    failed: dict[str, str]


def export_predictions(
    output: Path,
    logits: Path,
    folder: Path,
    network: TrainedNetwork,
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
    found = find_logits(logits, cases)
    cohort = find_cohort(output)
    written: list[Exported] = []
    folder.mkdir(parents=True, exist_ok=True)

    def write(case_id: str, file: Path) -> None:
        target = folder / f"{case_id}{network.dataset.ending}"
        check_target(target, overwrite=overwrite)
        check_case(cohort, case_id)
        record = _record_of(cohort.path / case_path(case_id), network)
        array = load_prediction(file).array
        written.append(
            _export(record, array, target, network, threads, probabilities=probabilities)
        )

    failed = each_case(found, write, on_case)
    return Predicted(tuple(written), failed)


def _record_of(case: Place, network: TrainedNetwork) -> dict[str, Any]:
    """The record of the case's output that the network takes in, arrays or files of nnU-Net.

    Raises:
        UsageError: its outputs are those of other networks.
    """
    record = read_record(case)
    outputs = record.get("outputs", {})
    found = next((name for name in network.arrays_of if name in outputs), "")
    if outputs and not found:
        raise UsageError(
            f"the case was made for {', '.join(outputs)}, and the logits are of {network.name}",
            advice="name the configuration that it was made for with -c",
        )
    return output_record(record, found, case)


def _export(
    record: Mapping[str, Any],
    logits: NDArray[Any],
    target: Path,
    network: TrainedNetwork,
    threads: int,
    *,
    probabilities: bool,
) -> Exported:
    stored = Geometry.from_json(record["geometry"]["output"])
    grid = NativeGrid.of(record, stored)
    way, shape = _way_of(grid, network), tuple(stored.shape[axis] for axis in network.forward)
    if logits.shape[1:] != shape:
        raise UsageError(
            f"the logits have shape {logits.shape}, the stored case {shape} in the order of its axes "
            f"{''.join('zyx'[axis] for axis in way.forward)}",
            advice="give those of the network that was fed with this case",
        )
    labels = segment(logits, way, network.heads, threads=threads)
    turn = grid.reorientation.inverse
    properties = case_properties(record["geometry"], way.forward, None)
    if probabilities:
        stem = target.name.removesuffix(network.dataset.ending)
        write_probabilities(logits, way, network.heads, turn, target.with_name(f"{stem}.npz"))
        with whole_file(target.with_name(f"{stem}.pkl")) as partial:
            told = case_properties(record["geometry"], way.forward, None, network.dataset.reader)
            partial.write_bytes(to_pickle(told))
    placed = properties["sitk_stuff"]
    if len(placed["spacing"]) == 3:
        return write_exported(turn.view(labels), grid.source, target)
    with whole_file(target) as partial:  # the source has two axes
        write_flat(turn.view(labels)[0], partial, **placed)
    return Exported(target, grid.source, str(labels.dtype))


def _way_of(grid: NativeGrid, network: TrainedNetwork) -> WayBack:
    """From the network's grid to that of the case's file."""
    own, forward = grid.oriented.spacing_zyx, network.forward
    separate = network.separate_axis(network.spacing(own), network.turned(own))
    z, y, x = (grid.box[axis] for axis in forward)
    m, n, o = (grid.oriented.shape[axis] for axis in forward)
    a, b, c = (part.stop - part.start for part in (z, y, x))
    return WayBack((a, b, c), (z, y, x), (m, n, o), forward, separate)
