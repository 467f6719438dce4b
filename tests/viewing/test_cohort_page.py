"""A whole output: what its cases agree on, and how many of them hold what."""

import json
from pathlib import Path

from support.labelled import Stored, store_labelled
from typer.testing import CliRunner

from gpuprep.cli.app import app
from gpuprep.values.agreement import Agreement, Classes
from gpuprep.viewing.cohort import inspect_cohort

CLASSES = Classes({1: "liver", 2: "tumor", 3: "void"}, {"organ": (1, 2)}, ignore=3)


def stored(root: Path) -> Path:
    cases = {
        "a": Stored({"organs": (1, 3)}, channels=("T1", "T2")),
        "b": Stored({"organs": (1, 9)}, channels=("T1", "T2")),
        "0": Stored(channels=("T1", "T2")),
    }
    return store_labelled(root, cases, Agreement(("T1", "T2"), {"organs": CLASSES}))


def test_the_agreement_and_who_has_what(tmp_path: Path) -> None:
    seen = inspect_cohort(stored(tmp_path))
    assert (seen.cases, seen.labelled) == (3, {"organs": 2})
    assert seen.values == {"organs": {1: 2, 3: 1, 9: 1}}
    assert seen.agreement.labels == {"organs": CLASSES}


def test_the_command_shows_it(tmp_path: Path) -> None:
    stored(tmp_path)
    page = CliRunner().invoke(app, ["inspect", str(tmp_path)]).stdout
    for told in (
        "T1, T2",
        "2 of 3 cases",
        "liver",
        "void (to be ignored)",
        "label 9",
        "organ [1, 2]",
    ):
        assert told in page
    tree = json.loads(CliRunner().invoke(app, ["inspect", str(tmp_path), "--json"]).stdout)
    assert tree["kind"] == "cohort"
    assert Agreement.from_json(tree["agreement"]).labels == {"organs": CLASSES}
