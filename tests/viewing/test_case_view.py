"""What the view of a case says of both sides is what nibabel, NumPy and the record say."""

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
from support.cohorts import run
from support.oriented import ORIENTATIONS, affine_of, save_phantom

from gpuprep.config.model import Config
from gpuprep.drawing.colours import label_colour
from gpuprep.store.reader import open_cohort
from gpuprep.store.stored_case import StoredCase
from gpuprep.values.geometry import Geometry
from gpuprep.viewing.case_view import windows_of
from gpuprep.viewing.links import Links
from gpuprep.viewing.side import ChannelView, Line, Side
from gpuprep.viewing.sight import StoredSight
from gpuprep.viewing.source_volume import read_source, source_problem
from gpuprep.viewing.units import may_be_hu, unit_of

pytestmark = pytest.mark.usefixtures("reads_here")

NAMES = {**{code: (code, 0.0) for code in ORIENTATIONS}, "oblique": ("LPS", 20.0)}
LOW, HIGH = -700.0, 900.0
GRID = Geometry.from_affine(np.eye(4), (2, 2, 2))
CONFIG = {
    "image": {
        "orientation": "LPS",
        "crop": {"to": "label", "margin": 2.0},
        "intensity": [{"clip": {"low": LOW, "high": HIGH}}, {"rescale": {"to": [-1, 3]}}],
    },
    "label": {"names": {"liver": 1, "spleen": 2, "tumor": 3}},
    "store": {"dtype": "float32", "fsync": "never"},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A case of each orientation; nothing is resampled, so that voxels can be compared one by one."""
    folder = tmp_path_factory.mktemp("phantoms")
    (folder / "in").mkdir()
    for name, (code, degrees) in NAMES.items():
        save_phantom(folder / "in", name, affine_of(code, degrees))
    run(folder / "in", folder / "out", CONFIG)
    return folder


def look(case: StoredCase) -> StoredSight:
    problem = source_problem(case.record)
    return StoredSight(
        case, lambda: read_source(case.record, Config()), cohort="demo", problem=lambda: problem
    )


def nifti(sight: StoredSight, side: str, **what) -> nibabel.Nifti1Image:
    """A volume as a browser gets it, read by nibabel."""
    return nibabel.Nifti1Image.from_bytes(b"".join(sight.volume(side, **what).pieces()))


@pytest.mark.parametrize("name", NAMES)
def test_geometry_and_voxels_are_those_of_the_file_and_of_the_store(folder: Path, name: str):
    case = open_cohort(folder / "out")[name]
    sight = look(case)
    view = sight.view(Links.of_case("demo", name))
    assert json.loads(json.dumps(view, allow_nan=False))["before_problem"] is None
    source = nibabel.load(folder / f"in/{name}_image.nii.gz")
    before, after = view["before"], view["after"]
    assert tuple(before["shape"]) == source.shape
    np.testing.assert_allclose(before["affine"], source.affine, atol=1e-5)
    sent = nifti(sight, "before")
    np.testing.assert_allclose(sent.affine, source.affine, atol=1e-5)
    np.testing.assert_array_equal(np.asarray(sent.dataobj), np.asarray(source.dataobj))
    label = nifti(sight, "before", label="segmentation")
    np.testing.assert_array_equal(
        np.asarray(label.dataobj),
        np.asarray(nibabel.load(folder / f"in/{name}_label.nii.gz").dataobj),
    )
    for side, image in ((before, sent), (after, nifti(sight, "after"))):
        assert tuple(side["axes"]) == nibabel.aff2axcodes(image.affine)
        np.testing.assert_allclose(side["affine"], image.affine, atol=1e-5)
        np.testing.assert_allclose(side["spacing"], nibabel.affines.voxel_sizes(image.affine))
        assert side["oblique_degrees"] == pytest.approx(NAMES[name][1], abs=1e-4)
    stored = nifti(sight, "after")
    np.testing.assert_array_equal(np.asarray(stored.dataobj).T, np.asarray(case.image))
    assert (after["axes"], stored.shape) == (["L", "P", "S"], case.image.shape[::-1])


@pytest.mark.parametrize("name", NAMES)
def test_a_stored_value_leads_back_to_that_of_the_source_at_the_same_place(folder: Path, name: str):
    """By world coordinates and nibabel alone: every stored voxel has its source voxel."""
    sight = look(open_cohort(folder / "out")[name])
    view = sight.view(Links.of_case("demo", name))
    channel = view["after"]["channels"][0]
    source, stored = (nifti(sight, side) for side in ("before", "after"))
    index = np.stack(np.indices(stored.shape), -1).reshape(-1, 3)
    world = nibabel.affines.apply_affine(np.array(view["after"]["affine"]), index)
    there = nibabel.affines.apply_affine(np.linalg.inv(view["before"]["affine"]), world)
    np.testing.assert_allclose(there, np.rint(there), atol=1e-4)
    raw = np.asarray(source.dataobj)[tuple(np.rint(there).astype(int).T)]
    told = np.asarray(stored.dataobj)[tuple(index.T)] * channel["line"]["scale"]
    told += channel["line"]["offset"]
    np.testing.assert_allclose(told, np.clip(raw, LOW, HIGH), atol=1e-3)
    assert (raw < LOW).any() or (raw > HIGH).any()  # some are clipped, as the note says
    assert channel["notes"] == ["values below -700 and above 900 are clipped to the end"]
    assert channel["window"] == [LOW, HIGH]
    start, stop = np.array(view["crop"]["start"]), np.array(view["crop"]["stop"])
    found = np.rint(there).astype(int)
    np.testing.assert_array_equal([found.min(0), found.max(0) + 1], [start, stop])


@pytest.mark.parametrize("name", NAMES)
def test_the_corners_of_the_crop_are_those_of_the_record(folder: Path, name: str):
    case = open_cohort(folder / "out")[name]
    crop = look(case).view(Links.of_case("demo", name))["crop"]
    grids = case.record["geometry"]
    box = np.array(grids["crop"])[::-1]  # x, y, z of the oriented grid
    step = np.array(grids["oriented"]["direction"]).reshape(3, 3) * grids["oriented"]["spacing"]
    ends = [(low - 0.5, high - 0.5) for low, high in box]
    corners = {
        tuple(np.round(np.array(grids["oriented"]["origin"]) + step @ (x, y, z), 3) * (-1, -1, 1))
        for x in ends[0]
        for y in ends[1]
        for z in ends[2]
    }
    assert len(corners) == 8
    assert {tuple(np.round(corner, 3)) for corner in crop["corners"]} == corners


def test_labels_are_named_counted_and_coloured_as_in_every_picture(folder: Path):
    case = open_cohort(folder / "out")["LPS"]
    view = look(case).view(Links.of_case("demo", "LPS"))
    rows = {row["value"]: row for row in view["after"]["labels"][0]["values"]}
    counts = np.bincount(np.asarray(case.labels["segmentation"]).ravel(), minlength=4)
    assert {v: row["name"] for v, row in rows.items()} == {1: "liver", 2: "spleen", 3: "tumor"}
    assert [rows[v]["voxels"] for v in (1, 2, 3)] == counts[1:4].tolist()
    assert rows[2]["voxels"] == 0  # named and absent
    assert rows[1]["ml"] == pytest.approx(counts[1] * 1.5 * 1.0 * 2.0 / 1000)
    assert rows[3]["color"] == "#{:02x}{:02x}{:02x}".format(*label_colour(3))
    assert [row["voxels"] for row in view["before"]["labels"][0]["values"]] == [None] * 3


def test_three_hundred_labels_have_colours_of_their_own():
    colours = {label_colour(value) for value in range(1, 301)}
    assert len(colours) == 300
    assert (0, 0, 0) not in colours


def test_every_number_of_the_record_is_told_and_units_are_never_guessed(folder):
    view = look(open_cohort(folder / "out")["LPS"]).view(Links.of_case("demo", "LPS"))
    told = {(step, name): text for step, name, text in view["numbers"]}
    assert told["intensity", "channel_0 clip"] == "-700 to 900"
    assert told["intensity", "channel_0 scale"] == "0.0025"
    assert ("resample", "output") in told
    assert view["after"]["channels"][0]["unit"] == ""


@pytest.mark.parametrize(
    ("header", "lowest", "offered"),
    [
        ({"modality": "CT"}, -1024.0, (True, False)),
        ({"modality": "MR"}, -1024.0, (False, False)),
        ({"format": "nifti1"}, -1024.0, (True, True)),
        ({"format": "nifti1"}, 0.0, (False, False)),
    ],
)
def test_windows_are_offered_where_values_are_hu_or_nothing_speaks_against_it(
    header, lowest, offered
):
    record = {"headers": [header], "channels": ["a"]}
    channel = ChannelView(
        "a",
        unit_of(record, 0),
        Line(),
        (0.0, 1.0),
        may_be_hu=may_be_hu(record, 0, {"min": lowest}),
    )
    found = windows_of([Side("before", GRID, (channel,), ())])
    assert (bool(found["windows"]), found["windows_assumed"]) == offered
