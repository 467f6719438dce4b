"""Makes ``auto3dseg.json.gz``: what MONAI's ``DataAnalyzer`` writes for ``support/auto3dseg_cases.py``.

Not run by the tests. Made with monai 1.6.1, torch 2.13.0, NumPy 2.4.6, scikit-image 0.26.0, nibabel:

    PYTHONPATH=tests python tests/goldens/from_auto3dseg.py
"""

from __future__ import annotations

import gzip
import json
import tempfile
from pathlib import Path
from typing import Any

import yaml
from monai.apps.auto3dseg import DataAnalyzer
from support.auto3dseg_cases import SETS, write_set

FILE = Path(__file__).parent / "auto3dseg.json.gz"


def analysed(name: str, folder: Path) -> Any:
    """``datastats_by_case.yaml`` of a cohort, without paths."""
    listed = write_set(folder / "raw", name)
    DataAnalyzer(
        {"training": listed},
        output_path=str(folder / "datastats.yaml"),
        device="cpu",
        worker=0,
        do_ccp=True,
    ).get_all_case_stats()
    tree = yaml.safe_load((folder / "datastats_by_case.yaml").read_text())
    for case in tree["stats_by_cases"]:
        for key in ("image_filepath", "label_filepath"):
            case[key] = str(Path(case[key]).relative_to(folder / "raw"))
    return tree


def main() -> None:
    goldens = {}
    for name in SETS:
        with tempfile.TemporaryDirectory() as folder:
            goldens[name] = analysed(name, Path(folder))
    FILE.write_bytes(gzip.compress(json.dumps(goldens).encode(), 9, mtime=0))


if __name__ == "__main__":
    main()
