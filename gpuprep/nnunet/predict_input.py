"""New images to what ``nnUNetv2_predict`` would feed its network, by an ordinary run."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpuprep.config.model import Config
from gpuprep.host.atomic import replaced
from gpuprep.ledger.report import RunReport
from gpuprep.nnunet.folders import DATASET
from gpuprep.nnunet.new_cases import CASES, COHORT, PLANS, find_new_cases
from gpuprep.nnunet.prepare import channel_names, config_of
from gpuprep.nnunet.preprocess import Means
from gpuprep.nnunet.trained import TrainedNetwork
from gpuprep.running.coordinator import run
from gpuprep.values.errors import UsageError
from gpuprep.values.events import Event, Listener, Notice, RunStarted

_SHOWN = 5


@dataclass(frozen=True)
class Fed:
    """What became of new images: the run's report, and the cohort of what the network takes."""

    report: RunReport
    cohort: Path


def predict_input(
    plans_file: Path,
    configuration: str,
    inputs: Sequence[Path],
    output: Path,
    *,
    previous: Path | None = None,
    means: Means | None = None,
    listeners: Sequence[Listener] = (),
) -> Fed:
    """Preprocess new images as the training's were; cases that are there and current stay.

    Args:
        plans_file: The plans of the network; ``dataset.json`` lies beside it.
        configuration: The network's.
        inputs: Folders or files, see ``find_new_cases``.
        output: Gets ``cohort/``, and with it ``plans.json``, ``dataset.json`` and the list of cases.
        previous: The folder of the earlier stage's segmentations, for the second of a cascade.
        means: How it is done.
        listeners: Are told what happens.

    Raises:
        UsageError: no image is there, or the cascade's earlier stage is missing, or needless.
        ConfigError: the plans or ``dataset.json`` ask for what gpuprep does not have.
    """
    means = means or Means()
    network = TrainedNetwork.read(plans_file, configuration)
    _check_stage(network, previous)
    config = input_config(network, means.settings)
    _check_output(output, inputs)
    found = find_new_cases(inputs, network.dataset, previous)
    if found.left:
        told = ", ".join(path.name for path in found.left[:_SHOWN])
        more = ", …" if len(found.left) > _SHOWN else ""
        for listener in listeners:
            listener(Notice(f"{len(found.left)} files are no image of a case: {told}{more}"))
    output.mkdir(parents=True, exist_ok=True)
    found.save(output / CASES)

    def keep(event: Event) -> None:
        """With the cohort lie the plans that it was made by: a run that is refused changes nothing."""
        if isinstance(event, RunStarted):
            for source, name in ((plans_file, PLANS), (plans_file.parent / DATASET, DATASET)):
                if source.absolute() != (output / name).absolute():
                    with replaced(output / name) as partial:
                        shutil.copyfile(source, partial)

    report = run(
        output / CASES,
        output / COHORT,
        config=config,
        backend=means.backend,
        workers=means.workers,
        scheduler=means.place,
        overwrite=means.overwrite,
        listeners=[*listeners, keep],
        command=means.command,
    )
    return Fed(report, output / COHORT)


def input_config(network: TrainedNetwork, settings: Mapping[str, Any] | None = None) -> Config:
    """The config of a network's arrays, as Zarr, for images without labels, or with an earlier stage's."""
    arrays = network.plans.arrays(network.name)
    cascaded = network.previous is not None
    asked: dict[str, Any] = {
        "input": {"layout": "manifest", "channels": channel_names(network.dataset)},
        "label": {"required": cascaded, "outside": -1 if cascaded else None, "loss": 1.0},
        "outputs": {arrays.name: {"store": {"nnunet": None}}},
    }
    for section, keys in (settings or {}).items():
        asked[section] = {**asked.get(section, {}), **keys}
    return config_of(network.plans, network.dataset, (arrays,), asked)


def _check_stage(network: TrainedNetwork, previous: Path | None) -> None:
    stage = network.previous
    if stage is not None and previous is None:
        raise UsageError(
            f"{network.name} takes in what {stage} made of each case",
            advice="give the folder of those segmentations with -prev_stage_predictions",
        )
    if stage is None and previous is not None:
        raise UsageError(f"{network.name} is no second stage of a cascade; it takes images alone")


def _check_output(output: Path, inputs: Sequence[Path]) -> None:
    """Refuse a folder in which files of others would be replaced, or which is an input itself."""
    foreign = (output / DATASET).exists() and not (output / CASES).exists()
    if foreign or output.resolve() in [path.resolve() for path in inputs]:
        raise UsageError(
            f"{output} is a folder of {'a data set' if foreign else 'images'}",
            advice="give a new folder, or one that predict-input made",
        )
