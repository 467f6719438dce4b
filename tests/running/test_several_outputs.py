"""Several outputs of one read: each is what a run of it alone stores, and a case has all of them or none."""

import pytest
from support.cohorts import CONFIG, run, write_pair

import gpuprep
from gpuprep.store.layout import case_folder
from gpuprep.store.stored_case import open_case
from gpuprep.values.errors import UsageError

OUTPUTS = {
    "fine": {},
    "coarse": {
        "resample": {"spacing": [1.4, 1.4, 3.0], "interpolation": "linear"},
        "intensity": [{"zscore": {"over": "foreground"}}],
        "store": {"dtype": "float32", "chunk": 16, "pyramid": 1},
    },
    "bone": {"intensity": [{"window": {"level": 300, "width": 900}}]},
}
SEVERAL = {**CONFIG, "outputs": OUTPUTS}


def alone(name: str) -> dict:
    """The config of one output, as a user would write it."""
    changed = OUTPUTS[name]
    image = {**CONFIG["image"], **{key: value for key, value in changed.items() if key != "store"}}
    return {**CONFIG, "image": image, "store": changed.get("store", {})}


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pairs")
    for number in range(2):
        write_pair(folder, number)
    return folder


@pytest.fixture(scope="module")
def several(source, tmp_path_factory):
    output = tmp_path_factory.mktemp("several") / "out"
    report = run(source, output, SEVERAL)
    assert report.exit_code == 0, report
    return output


def files_of(folder) -> dict[str, bytes]:
    """Every file but the record, by its path."""
    paths = [path for path in folder.rglob("*") if path.is_file() and path.name != "record.json"]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


@pytest.mark.parametrize("name", OUTPUTS)
def test_an_output_has_the_bytes_of_a_run_of_it_alone(source, several, tmp_path, name):
    run(source, tmp_path / "out", alone(name))
    for case in gpuprep.open(several):
        expected = case_folder(tmp_path / "out", case)
        assert files_of(case_folder(several, case) / name) == files_of(expected)
        told, by_itself = open_case(case_folder(several, case), output=name), open_case(expected)
        same = ("geometry", "mapping", "intensity", "labels", "findings", "statistics", "channels")
        assert {key: told.record[key] for key in same} == {
            key: by_itself.record[key] for key in same
        }


def test_readers_get_the_output_they_name_and_else_the_first(several):
    assert gpuprep.open(several).outputs == ("fine", "coarse", "bone")
    first, coarse = gpuprep.open(several), gpuprep.open(several, output="coarse")
    assert first["volume-0"].output == "fine"
    assert coarse["volume-0"].geometry.spacing == (1.4, 1.4, 3.0)
    assert coarse["volume-0"].image.shape != first["volume-0"].image.shape
    with pytest.raises(UsageError, match=r"no output 'coars'; its outputs are fine, coarse, bone"):
        gpuprep.open(several, output="coars")
