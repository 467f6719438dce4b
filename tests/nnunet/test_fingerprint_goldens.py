"""Fingerprints of the golden data sets: nnU-Net's own numbers, and exact ones."""

import json
from pathlib import Path

import pytest
from support.nnunet_goldens import GOLDENS, few, raw_data

from gpuprep.nnunet.counting import Sampling
from gpuprep.nnunet.fingerprint import fingerprint_dataset
from gpuprep.nnunet.folders import Preprocessed

EXACT = json.loads(
    (Path(__file__).parents[1] / "goldens" / "nnunet_exact_statistics.json").read_text()
)
EXACT["Dataset707_Flat"]["0"]["median"] = 129.91281127929688
"""The 15,039th of 30,078 values, which has exactly half of the weight; in the golden's float64 less."""
MOMENTS = ("mean", "std")

pytestmark = pytest.mark.usefixtures("reads_here")


@pytest.mark.parametrize("sampling", ["exact", "nnunet"])
@pytest.mark.parametrize("dataset", few(GOLDENS["datasets"]))
def test_a_golden_data_set_has_its_fingerprint(
    dataset: str, sampling: Sampling, tmp_path: Path
) -> None:
    folder = Preprocessed(tmp_path / dataset, raw_data(dataset).parent)
    made = fingerprint_dataset(folder, statistics=sampling, verify=True, workers=1)
    assert made.problems == ()
    ours = json.loads(made.file.read_text())
    theirs = json.loads(GOLDENS["datasets"][dataset]["dataset_fingerprint"])
    assert list(ours) == list(theirs)
    found = ours.pop("foreground_intensity_properties_per_channel")
    wanted = theirs.pop("foreground_intensity_properties_per_channel")
    assert ours == theirs
    if sampling == "exact":
        wanted = EXACT[dataset]
    assert list(found) == list(wanted)
    for channel, numbers in wanted.items():
        for name, number in numbers.items():
            if name not in MOMENTS:
                assert found[channel][name] == number, (channel, name)
            else:
                close = 1e-6 if sampling == "nnunet" else 1e-12
                assert found[channel][name] == pytest.approx(number, rel=close), (channel, name)
