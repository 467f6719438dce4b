"""``fingerprint:`` in any config: what is counted of a case, and what does not go with it."""

from pathlib import Path

import nibabel
import numpy as np
import pytest
from support.cohorts import run, write_pair

from gpuprep.config.file import parse_config
from gpuprep.store.record import read_record
from gpuprep.values.errors import ConfigError

pytestmark = pytest.mark.usefixtures("reads_here")


def counted(folder: Path, output: Path, rule: dict) -> dict:
    assert run(folder, output, config={"fingerprint": rule}).exit_code == 0
    record = read_record(output / "cases" / "volume-1.zarr")
    return record["fingerprint"]["channels"][0]


def pair(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    folder.mkdir()
    write_pair(folder, 1)
    names = ("volume", "segmentation")
    image, label = (nibabel.load(folder / f"{name}-1.nii.gz").get_fdata() for name in names)
    return image, label


def test_labelled_voxels_count_and_one_value_may_be_left_out(tmp_path: Path) -> None:
    image, label = pair(tmp_path / "in")
    for rule, voxels in (
        ({"sampling": "exact"}, image[label > 0]),
        ({"sampling": "exact", "ignore": 2}, image[label == 1]),
    ):
        row = counted(tmp_path / "in", tmp_path / f"out{len(rule)}", rule)
        values, counts = np.unique(voxels, return_counts=True)
        assert row["values"] == values.tolist()
        assert row["totals"] == np.cumsum(counts).tolist()
        assert row["mean"] == pytest.approx(voxels.mean(), rel=1e-12)
        assert row["variance"] == pytest.approx(voxels.var(), rel=1e-12)


def test_without_a_label_map_what_differs_from_zero_counts(tmp_path: Path) -> None:
    image, _ = pair(tmp_path / "in")
    (tmp_path / "in" / "segmentation-1.nii.gz").unlink()
    row = counted(tmp_path / "in", tmp_path / "out", {"sampling": "exact"})
    assert row["count"] == np.count_nonzero(image)


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"image": {"intensity": [{"offset": {"by": 1}}]}}, "image.intensity"),
        ({"image": {"resample": {"spacing": [1, 1, 1]}}}, "image.resample"),
        ({"label": {"outside": -1}}, "label.outside"),
        ({"label": {"only": True}}, "label.only"),
        ({"outputs": {"one": {}}}, "no outputs"),
        ({"fingerprint": {"sampling": "nnunet"}}, "draws"),
        ({"fingerprint": {"sampling": "exact", "draws": 5}}, "draws"),
        ({"fingerprint": {"sampling": "nnunet", "draws": 5, "ignore": 3}}, "ignore"),
    ],
)
def test_what_a_count_cannot_do_is_refused(more: dict, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        parse_config({"fingerprint": {"sampling": "exact"}, **more})
