"""Commands on cohorts with several outputs: the first of them, or the one that is named."""

import json

import numpy as np
import pytest
import SimpleITK as sitk
import yaml
from support.cohorts import run, write_pairs
from support.commands import call
from support.outputs import OUTPUTS, SEVERAL

import gpuprep

pytestmark = pytest.mark.usefixtures("reads_here")


@pytest.fixture(scope="module")
def several(tmp_path_factory):
    folder = tmp_path_factory.mktemp("several")
    run(write_pairs(folder / "in", 2), folder / "out", SEVERAL)
    (folder / "config.yaml").write_text(yaml.safe_dump(SEVERAL, sort_keys=False))
    return folder / "out"


def test_plan_shows_the_grid_of_every_output(several):
    config = ("--config", several.parent / "config.yaml")
    shown = call("plan", several.parent / "in", *config, check=0).stdout
    rows = [line for name in OUTPUTS for line in shown.splitlines() if f"{name}: " in line]
    assert len(rows) == 6
    told = json.loads(call("plan", several.parent / "in", *config, "--json", check=0).stdout)
    (case, _) = told["cases"]
    grids = {name: gpuprep.open(several, output=name)["volume-0"].geometry for name in OUTPUTS}
    assert {name: tuple(grid["shape"]) for name, grid in case["outputs"].items()} == {
        name: grid.shape for name, grid in grids.items()
    }
    assert list(case["outputs"]) == list(OUTPUTS)


def test_inspect_names_the_outputs_and_shows_one(several):
    assert "outputs   fine, coarse, bone" in call("inspect", several, check=0).stdout
    assert json.loads(call("inspect", several, "--json", check=0).stdout)["outputs"] == [*OUTPUTS]
    first = json.loads(call("inspect", several / "volume-0", "--json", check=0).stdout)
    named = ("inspect", several / "volume-0", "--output-name", "coarse", "--json")
    coarse = json.loads(call(*named, check=0).stdout)
    assert (first["record"]["output"], coarse["record"]["output"]) == ("fine", "coarse")
    assert coarse["geometry"]["spacing"] == [1.4, 1.4, 3.0]
    files = (several / "cases" / "volume-0.zarr" / "coarse").rglob("*")
    assert coarse["stored_bytes"] == sum(path.stat().st_size for path in files if path.is_file())
    wrong = call("inspect", several / "volume-0", "--output-name", "skin", check=2)
    assert "no output 'skin'; its outputs are fine, coarse, bone" in wrong.stderr
    source = several.parent / "in" / "volume-0.nii.gz"
    told = call("inspect", source, "--output-name", "fine", check=2).stderr
    assert "only stored cases have outputs" in " ".join(told.split())


@pytest.mark.parametrize("name", ["fine", "coarse"])
def test_export_writes_the_output_and_finds_the_way_back(several, tmp_path, name):
    case = gpuprep.open(several, output=name)["volume-1"]
    named = ("--output-name", name) if name != "fine" else ()
    call("export", several, "volume-1", tmp_path / "image.mha", *named, check=0)
    image = sitk.ReadImage(tmp_path / "image.mha")
    assert image.GetSpacing() == pytest.approx(case.geometry.spacing)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), np.asarray(case.image, "f4"))
    native = ("--native", "--label", "segmentation", "--interpolation", "nearest")
    call("export", several, "volume-1", tmp_path / "label.mha", *native, *named, check=0)
    back = sitk.GetArrayFromImage(sitk.ReadImage(tmp_path / "label.mha")) > 0
    own = sitk.GetArrayFromImage(sitk.ReadImage(several.parent / "in" / "segmentation-1.nii.gz"))
    assert 2 * (back & (own > 0)).sum() / (back.sum() + (own > 0).sum()) > 0.85


def test_a_prediction_lies_on_the_grid_of_its_output(several, tmp_path):
    case = gpuprep.open(several, output="coarse")["volume-0"]
    np.save(tmp_path / "predicted.npy", np.asarray(case.labels["segmentation"]))
    where = (several, "volume-0", tmp_path / "back.nii.gz", "--array", tmp_path / "predicted.npy")
    call("export", *where, "--native", "--output-name", "coarse", check=0)
    assert sitk.ReadImage(tmp_path / "back.nii.gz").GetSize() == (40, 36, 20)
    assert "shape" in call("export", *where, "--native", "--overwrite", check=2).stderr


def test_convert_takes_one_output(several, tmp_path):
    call("convert", several, tmp_path / "msd", "--to", "msd", "--output-name", "coarse", check=0)
    image = sitk.ReadImage(tmp_path / "msd" / "imagesTr" / "volume-0.nii.gz")
    assert image.GetSpacing() == pytest.approx((1.4, 1.4, 3.0))
    again = ("convert", several, tmp_path / "msd", "--to", "msd")
    told = call(*again, check=2).stderr
    assert "(output coarse), and the cohort is of" in " ".join(told.split())


@pytest.mark.parametrize(
    "command", ["verify --full", "index", "report", "status", "failures", "prune"]
)
def test_what_is_about_whole_cohorts_takes_several_outputs_as_they_are(several, command):
    word, *options = command.split()
    done = call(word, several, *options, "--json", check=0)
    assert "problem" not in done.stderr
    if word == "verify":
        assert json.loads(done.stdout)["problems"] == []
