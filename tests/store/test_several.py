"""Cases with several outputs, read: by name, by default the first, by everything that opens cohorts."""

import json
import pickle
import shutil

import numpy as np
import pytest
import zarr
from support.cohorts import run, write_pairs
from support.outputs import SEVERAL

import gpuprep
from gpuprep.ledger.index import rebuild_manifest
from gpuprep.store.layout import CONFIG_FILE, GROUP_FILE, case_folder
from gpuprep.store.locations import case_locations
from gpuprep.store.several import output_record, write_outputs_group
from gpuprep.store.stored_case import open_case
from gpuprep.store.verify import verify_case
from gpuprep.values.errors import CorruptStoreError, StoreError, UsageError


@pytest.fixture(scope="module")
def several(tmp_path_factory):
    folder = tmp_path_factory.mktemp("several")
    run(write_pairs(folder / "in", 2), folder / "out", SEVERAL)
    return folder / "out"


def test_readers_get_the_output_they_name_and_else_the_first(several):
    first, coarse = gpuprep.open(several), gpuprep.open(several, output="coarse")
    assert first.outputs == coarse.outputs == ("fine", "coarse", "bone")
    assert first["volume-0"].outputs == first.outputs
    assert (first["volume-0"].output, coarse["volume-0"].output) == ("fine", "coarse")
    assert coarse["volume-0"].geometry.spacing == (1.4, 1.4, 3.0)
    assert coarse["volume-0"].record["geometry"]["output"]["spacing"] == [1.4, 1.4, 3.0]
    assert coarse["volume-0"].level("1").shape == (6, 11, 12)
    again = pickle.loads(pickle.dumps(coarse))
    np.testing.assert_array_equal(again["volume-1"].image, coarse["volume-1"].image)
    alone = pickle.loads(pickle.dumps(coarse["volume-1"]))
    assert (alone.output, alone.image.shape) == ("coarse", coarse["volume-1"].image.shape)


@pytest.mark.parametrize("crc", ["always", "never"])
def test_an_unknown_output_is_refused_with_those_there_are(several, crc):
    told = "no output 'coars'; its outputs are fine, coarse, bone"
    with pytest.raises(UsageError, match=told):
        gpuprep.open(several, output="coars", crc=crc)
    with pytest.raises(UsageError, match=told):
        open_case(case_folder(several, "volume-0"), output="coars", crc=crc)


def test_a_cohort_of_one_output_has_none_of_a_name(cohort_folder, tmp_path):
    run(cohort_folder, tmp_path / "out", limit=1)
    assert gpuprep.open(tmp_path / "out").outputs == ()
    with pytest.raises(UsageError, match="no output 'fine'; its config names no outputs"):
        next(iter(gpuprep.open(tmp_path / "out", output="fine").values()))


def test_without_its_config_a_cohort_still_opens_every_output(several, tmp_path):
    (tmp_path / "cases").symlink_to(several / "cases")
    assert gpuprep.open(tmp_path, output="bone")["volume-0"].output == "bone"
    with pytest.raises(UsageError, match="its outputs are fine"):
        gpuprep.open(tmp_path, output="skin")["volume-0"]


def test_tables_are_of_the_output_that_is_read(several):
    first, coarse = gpuprep.open(several).table(), gpuprep.open(several, output="coarse").table()
    case = gpuprep.open(several, output="coarse")["volume-1"]
    voxels = np.count_nonzero(np.asarray(case.labels["segmentation"]) == 2)
    assert coarse["voxels.segmentation.2"][1] == voxels < first["voxels.segmentation.2"][1]
    shapes = gpuprep.open(several, output="coarse").known.shapes(["volume-0", "volume-1"])
    assert shapes.tolist()[1] == list(case.image.shape)
    rebuild_manifest(several)
    again = gpuprep.open(several).table()
    assert again["voxels.segmentation.2"].tolist() == first["voxels.segmentation.2"].tolist()


def test_locations_are_those_of_the_output(several):
    case = gpuprep.open(several, output="coarse")["volume-0"]
    label = np.asarray(case.labels["segmentation"])
    for value, places in case.locations("segmentation").items():
        assert (label[tuple(places.T)] == value).all()
    found = case_locations(case.path, "segmentation", output="coarse")
    np.testing.assert_array_equal(found[2], case.locations("segmentation")[2])


def test_zarr_reads_every_output(several):
    group = zarr.open(several, mode="r")
    for name in ("fine", "coarse"):
        case = gpuprep.open(several, output=name)["volume-0"]
        stored = group[f"cases/volume-0.zarr/{name}/0"]
        np.testing.assert_array_equal(stored[...], np.asarray(case.image))
    assert group["cases/volume-0.zarr"].attrs["gpuprep"]["outputs"] == ["fine", "coarse", "bone"]


def test_a_changed_byte_of_any_output_is_found(several, tmp_path):
    case = tmp_path / "volume-0.zarr"
    shutil.copytree(case_folder(several, "volume-0"), case)
    assert not verify_case(case, full=True)
    shard = case / "bone" / "0" / "c.0.0.0"
    voxels = bytearray(shard.read_bytes())
    voxels[40] ^= 1
    shard.write_bytes(voxels)
    assert {problem.file for problem in verify_case(case, full=True)} == {"bone/0/c.0.0.0"}
    assert open_case(case, output="coarse").image.shape == (11, 21, 23)
    document = case / "bone" / GROUP_FILE
    document.write_bytes(document.read_bytes().replace(b'"gpuprep"', b'"gpuprop"'))
    with pytest.raises(CorruptStoreError, match=r"bone/zarr\.json"):
        open_case(case, output="bone")
    assert open_case(case).output == "fine"


def test_files_of_nnunet_are_no_arrays(tmp_path, several):
    case = tmp_path / "volume-0.zarr"
    shutil.copytree(case_folder(several, "volume-0"), case)
    write_outputs_group(case, ["fine", "coarse"], ["fine"], durable=False)
    with pytest.raises(StoreError, match="its output fine is stored as files of nnU-Net") as told:
        open_case(case, crc="never")
    assert "'coarse'" in told.value.advice
    assert open_case(case, output="coarse", crc="never").output == "coarse"


def test_a_record_that_lost_an_output_is_damage(several):
    record = json.loads((case_folder(several, "volume-0") / "record.json").read_text())
    assert output_record(record, "coarse", "a")["mapping"] == record["outputs"]["coarse"]["mapping"]
    del record["outputs"]["coarse"]
    with pytest.raises(CorruptStoreError, match="does not tell of its output coarse"):
        output_record(record, "coarse", "a")
    assert list(json.loads((several / CONFIG_FILE).read_text())["config"]["outputs"]) == [
        "fine",
        "coarse",
        "bone",
    ]
