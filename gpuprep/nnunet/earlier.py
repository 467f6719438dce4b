"""Whether an earlier run over a data set was another one, so that its cases are made anew."""

from __future__ import annotations

from pathlib import Path

from gpuprep.cohort.layouts.dataset_json import FILE_NAME, Description
from gpuprep.config.model import Config
from gpuprep.nnunet.dataset import Dataset, read_json
from gpuprep.nnunet.prepare import channel_names
from gpuprep.store.agreement import read_agreement
from gpuprep.store.layout import CONFIG_FILE
from gpuprep.store.places import to_place
from gpuprep.values.errors import ConfigError


def is_of_another(cohort: Path, config: Config, dataset: Dataset) -> bool:
    """Whether a cohort was made with another config, or under other names of channels and labels.

    Names decide which value a label gets in a cohort; here the values of the files are to stay.
    """
    try:
        if read_json(cohort / CONFIG_FILE).get("digest") != config.digest:
            return True
    except (ConfigError, AttributeError):
        return False  # there is none, or the run mends it
    agreement = read_agreement(to_place(cohort))
    if agreement is None:
        return False
    declared = Description(FILE_NAME, dict(dataset.document)).classes
    named = [classes.names for classes in agreement.labels.values()]
    return agreement.channels != channel_names(dataset) or any(
        each != declared.names for each in named
    )
