"""Where MONAI is installed: its ``DataAnalyzer`` on the same files, and Auto3DSeg starting from ours."""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.auto3dseg_cases import SETS, check, write_set
from support.commands import call

# what MONAI and torch say while they are imported and used
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]

# what templates of Auto3DSeg read of the file
ASKED = (
    "stats_summary#n_cases",
    "stats_summary#image_stats#channels#max",
    "stats_summary#image_stats#shape#percentile_99_5",
    "stats_summary#image_stats#cropped_shape#median",
    "stats_summary#image_stats#spacing#median",
    "stats_summary#image_stats#spacing#percentile_10_0",
    "stats_summary#image_stats#sizemm#median",
    "stats_summary#image_stats#intensity#percentile_00_5",
    "stats_summary#image_foreground_stats#intensity#percentile_00_5",
    "stats_summary#image_foreground_stats#intensity#percentile_99_5",
    "stats_summary#label_stats#labels",
    "stats_summary#label_stats#label#1#foreground_percentage#mean",
)
TEMPLATE = f"""
import json
from pathlib import Path
from monai.apps.auto3dseg import BundleAlgo
from monai.bundle import ConfigParser


class TinyAlgo(BundleAlgo):
    def fill_template_config(self, data_stats_filename, algo_path, **kwargs):
        parser = ConfigParser(globals=False)
        parser.read_config(str(data_stats_filename))
        told = {{key: parser[key] for key in {ASKED!r}}}
        Path(algo_path, "told.json").write_text(json.dumps(told))
        return {{}}
"""


@pytest.fixture(scope="module")
def auto3dseg() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip("monai.apps.auto3dseg", exc_type=ImportError)
        return sys.modules["monai.apps.auto3dseg"]


def written(folder: Path, *flags: object) -> Path:
    call("suggest", folder / "raw", "--datastats", folder / "ours", *flags, check=0)
    return folder / "ours"


@pytest.mark.parametrize("components", [False, True])
@pytest.mark.parametrize("name", SETS)
def test_both_files_are_those_of_its_analyzer(
    name: str, components: bool, tmp_path: Path, auto3dseg: Any
) -> None:
    if components:
        pytest.importorskip("skimage.measure", reason="MONAI counts components by scikit-image")
    listed = write_set(tmp_path / "raw", name)
    auto3dseg.DataAnalyzer(
        {"training": listed},
        output_path=str(tmp_path / "datastats.yaml"),
        device="cpu",
        worker=0,
        do_ccp=components,
    ).get_all_case_stats()
    ours = written(tmp_path, *(["--components"] if components else []))
    for file in ("datastats.yaml", "datastats_by_case.yaml"):
        check(*(yaml.safe_load((each / file).read_text()) for each in (ours, tmp_path)))


def test_auto3dseg_makes_its_bundles_from_ours(tmp_path: Path, auto3dseg: Any) -> None:
    listed = write_set(tmp_path / "raw", "ct")
    work = tmp_path / "work"
    call("suggest", tmp_path / "raw", "--datastats", work, check=0)
    scripts = tmp_path / "templates/tiny/scripts"
    scripts.mkdir(parents=True)
    (scripts / "algo.py").write_text(TEMPLATE)
    for place in (scripts, scripts.parent):
        (place / "__init__.py").touch()
    (tmp_path / "list.json").write_text(json.dumps({"training": listed}))
    source = {
        "modality": "CT",
        "datalist": str(tmp_path / "list.json"),
        "dataroot": "",
        "num_fold": 3,
    }
    runner = auto3dseg.AutoRunner(
        str(work),
        source,
        algos=["tiny"],
        templates_path_or_url=str(tmp_path / "templates"),
        analyze=False,
        train=False,
        ensemble=False,
    )
    runner.set_num_fold(1)
    runner.run()
    told = json.loads((work / "tiny_0/told.json").read_text())
    assert told["stats_summary#n_cases"] == 3
    assert told["stats_summary#label_stats#labels"] == [0, 1, 3]
    assert all(value is not None for value in told.values())
