"""What the second stage of a cascade trains on: the first one's segmentations, on the second's grid."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from gpuprep.export.prediction import load_prediction
from gpuprep.nnunet.logits_files import each_case, find_logits
from gpuprep.nnunet.trained import TrainedNetwork
from gpuprep.nnunet.way_back import logits_to_next_stage
from gpuprep.store.nnunet.b2nd import import_blosc2
from gpuprep.store.nnunet.previous import write_previous_stage
from gpuprep.values.errors import UsageError
from gpuprep.values.geometry import Shape

RESULTS = "nnUNet_results"


@dataclass(frozen=True)
class Written:
    """Files of the next stages, and cases that have none with the reason."""

    files: tuple[Path, ...]
    failed: dict[str, str]


def write_next_stage(
    network: TrainedNetwork,
    preprocessed: Path,
    logits: Path,
    results: Path,
    *,
    cases: Collection[str] = (),
    threads: int = 1,
    on_case: Callable[[int], None] = lambda number: None,
) -> Written:
    """Write ``predicted_next_stage/STAGE/CASE.b2nd`` below ``results``, as nnU-Net's validation does.

    Args:
        network: The first stage's.
        preprocessed: The data set's folder, which has the next stage's arrays.
        logits: A folder of ``CASE.npy`` or ``CASE.zarr``, on the first stage's grid.
        results: Of the first stage: ``TRAINER__PLANS__CONFIGURATION``.
        cases: Some of them; by default all.
        threads: Does not change the result.
        on_case: Called after each case with the number of all.

    Raises:
        UsageError: the configuration has no next stage, blosc2 is missing, or there are no logits.
    """
    import_blosc2()
    stages = network.next_stages()
    if not stages:
        raise UsageError(
            f"{network.name} has no next stage in its plans",
            advice="give the first stage of a cascade, as 3d_lowres",
        )
    files: list[Path] = []

    def write(case: str, file: Path) -> None:
        array = load_prediction(file).array
        for stage in stages:
            shape = _shape_of(preprocessed / str(stage.fields["data_identifier"]), case)
            labels = logits_to_next_stage(array, network, shape, threads=threads)
            target = results / "predicted_next_stage" / stage.name / f"{case}.b2nd"
            target.parent.mkdir(parents=True, exist_ok=True)
            write_previous_stage(
                target,
                labels,
                patch=network.fields["patch_size"],
                foreground=network.heads.classes,
                threads=threads,
            )
            files.append(target)

    failed = each_case(find_logits(logits, cases), write, on_case)
    return Written(tuple(files), failed)


def _shape_of(folder: Path, case: str) -> Shape:
    """Of the stored arrays of a case."""
    file = folder / f"{case}.b2nd"
    if not file.is_file():
        raise UsageError(f"{file} is not there", advice="preprocess the next stage first")
    z, y, x = import_blosc2().open(str(file), mode="r").shape[1:]
    return z, y, x
