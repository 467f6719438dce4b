"""Pictures of volumes: left is left, millimetres are millimetres, colours mark the label."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage
from scipy.spatial.transform import Rotation

from gpuprep.drawing import cut_planes, draw_planes, save_picture
from gpuprep.values.errors import UsageError
from gpuprep.values.geometry import Geometry

CODES = ["LPS", "RAS", "PIR", "SLA", "ARI", "LAI"]
FRAME = (52, 57, 66)
WHITE = (255, 255, 255)
BACKGROUND = (16, 18, 22)
TEXT, QUIET, YELLOW = (232, 235, 240), (142, 150, 163), (255, 209, 102)
GRIDS = [
    Geometry((30, 40, 50), (1.0, 1.5, 2.5), (-20.0, 33.0, 7.0)).reorient(code)[0] for code in CODES
]


def tilted(geometry: Geometry) -> Geometry:
    turn = Rotation.from_euler("xyz", [14, -11, 17], degrees=True).as_matrix()
    matrix = turn @ geometry.matrix
    return Geometry(
        geometry.shape, geometry.spacing, geometry.origin, tuple(matrix.ravel().tolist())
    )


def world(geometry: Geometry) -> np.ndarray:
    """LPS mm of every voxel, ``z, y, x, 3``."""
    return geometry.index_to_physical(np.stack(np.indices(geometry.shape), -1))


def relative(geometry: Geometry) -> np.ndarray:
    """LPS mm about the middle of the volume."""
    return world(geometry) - geometry.corners().mean(0)


@pytest.mark.parametrize("oblique", [False, True], ids=["straight", "oblique"])
@pytest.mark.parametrize("grid", GRIDS, ids=CODES)
def test_each_edge_points_where_its_letter_says(grid: Geometry, oblique: bool) -> None:
    grid = tilted(grid) if oblique else grid
    towards = dict(zip("LPS", np.moveaxis(world(grid), -1, 0), strict=True))
    towards |= {"R": -towards["L"], "A": -towards["P"], "I": -towards["S"]}
    seen = {}
    for letter, coordinate in towards.items():
        for plane in cut_planes(coordinate, grid):
            left, right, top, bottom = plane.letters
            steps = plane.voxels[:, 1:] - plane.voxels[:, :-1], plane.voxels[1:] - plane.voxels[:-1]
            grows = {right: steps[0], left: -steps[0], bottom: steps[1], top: -steps[1]}
            if letter in grows:
                assert (grows[letter] > 0).all(), (plane.name, letter)
                seen[plane.name] = seen.get(plane.name, "") + letter
    assert {name: set(letters) for name, letters in seen.items()} == {
        "axial": set("RLAP"),
        "coronal": set("RLSI"),
        "sagittal": set("APSI"),
    }
    letters = [plane.letters for plane in cut_planes(world(grid)[..., 0], grid)]
    assert letters == [tuple("RLAP"), tuple("RLSI"), tuple("APSI")]


def frames(picture: np.ndarray) -> list[tuple[int, int, int, int]]:
    """(left, right, top, bottom) of the three planes: inside their frames."""
    mask = (picture == FRAME).all(-1)
    edges = np.flatnonzero(mask.sum(0) >= 15)
    found = []
    for left, right in edges.reshape(3, 2):
        rows = np.flatnonzero(mask[:, left])
        found.append((left + 1, right - 1, int(rows[0]) + 1, int(rows[-1]) - 1))
    return found


@pytest.mark.parametrize("oblique", [False, True], ids=["straight", "oblique"])
@pytest.mark.parametrize("grid", GRIDS, ids=CODES)
def test_patients_right_is_at_the_left_of_the_picture(grid: Geometry, oblique: bool) -> None:
    """A bar at the patient's right, a bar at the front, and one on top."""
    grid = tilted(grid) if oblique else grid
    place = relative(grid)
    reach = np.abs(place).reshape(-1, 3).max(0)
    for axis, sign in ((0, -1), (1, -1), (2, 1)):
        volume = (sign * place[..., axis] > 0.45 * reach[axis]).astype(np.float32)
        drawn = np.asarray(draw_planes(volume, grid, title="bar", window=(0, 1)))
        white = (drawn == WHITE).all(-1)
        centres = []
        for left, right, top, bottom in frames(drawn):
            ys, xs = np.nonzero(white[top : bottom + 1, left : right + 1])
            wide, tall = right - left, bottom - top
            centres.append((xs.mean() / wide, ys.mean() / tall) if len(xs) else None)
        axial, coronal, sagittal = centres
        near = {
            0: (axial, 0, coronal, 0),  # the right side: at the left of both
            1: (axial, 1, sagittal, 0),  # the front: at the top, and at the left
            2: (coronal, 1, sagittal, 1),  # the head: at the top of both
        }[axis]
        assert near[0][near[1]] < 0.4
        assert near[2][near[3]] < 0.4


def test_planes_are_to_scale() -> None:
    grid = Geometry((20, 60, 90), (0.8, 1.7, 5.0))
    drawn = np.asarray(draw_planes(np.ones(grid.shape), grid, title="", window=(0, 2)))
    width, height, depth = 90 * 0.8, 60 * 1.7, 20 * 5.0
    sizes = [(right - left + 1, bottom - top + 1) for left, right, top, bottom in frames(drawn)]
    scale = sizes[0][0] / width
    for size, extent in zip(sizes, ((width, height), (width, depth), (height, depth)), strict=True):
        assert np.allclose(size, np.array(extent) * scale, atol=1.5)


def test_planes_go_through_the_labels_centre_of_mass() -> None:
    grid = Geometry((30, 40, 50))
    label = np.zeros(grid.shape, np.uint8)
    label[4:9, 10:13, 40:47] = 3
    axial, coronal, sagittal = cut_planes(label, grid, label)
    assert (axial.index, coronal.index, sagittal.index) == (6, 11, 43)
    assert all((plane.voxels == 3).any() for plane in (axial, coronal, sagittal))


def test_planes_meet_a_label_of_two_parts() -> None:
    grid = Geometry((10, 10, 41))
    label = np.zeros(grid.shape, np.uint8)
    label[5, 5, 3] = label[5, 5, 38] = 1
    assert all((plane.label != 0).any() for plane in cut_planes(label, grid, label))


@pytest.mark.parametrize("label", [None, np.zeros((10, 20, 31), np.uint8)], ids=["none", "empty"])
def test_planes_lie_in_the_middle_otherwise(label: np.ndarray | None) -> None:
    grid = Geometry((10, 20, 31))
    planes = cut_planes(np.zeros(grid.shape), grid, label)
    assert [(plane.index, plane.count) for plane in planes] == [(5, 10), (10, 20), (15, 31)]


def test_label_is_coloured_and_the_rest_is_grey() -> None:
    grid = Geometry((40, 40, 40))
    image = np.full(grid.shape, 100, np.int16)
    label = np.zeros(grid.shape, np.uint16)
    label[10:30, 10:30, 10:20] = 1
    label[10:30, 10:30, 20:30] = 300
    names = {1: "liver", 300: "tumour"}
    kept = {"title": "t", "window": (0, 200)}
    drawn = np.asarray(draw_planes(image, grid, label=label, names=names, **kept)).astype(int)
    left, right, top, bottom = frames(drawn)[0]
    tile = drawn[top : bottom + 1, left : right + 1]
    coloured = np.ptp(tile, axis=-1) > 0
    height, width = coloured.shape
    ys, xs = np.nonzero(coloured)
    assert np.allclose([ys.min(), ys.max() + 1], [height / 4, height * 3 / 4], atol=1.5)
    assert np.allclose([xs.min(), xs.max() + 1], [width / 4, width * 3 / 4], atol=1.5)
    y = height // 2
    assert (tile[~coloured] == 128).all()
    assert not np.array_equal(tile[y, int(width * 0.35)], tile[y, int(width * 0.65)])
    plain = np.asarray(draw_planes(image, grid, **kept)).astype(int)
    assert (np.ptp(plain[top : bottom + 1, left : right + 1], axis=-1) == 0).all()


def test_window_clips_and_nan_is_black() -> None:
    grid = Geometry((4, 4, 4))
    image = np.full(grid.shape, np.nan, np.float32)
    image[:, :, 2:] = 1e6
    drawn = np.asarray(draw_planes(image, grid, title="", window=(-10, 10)))
    left, right, top, bottom = frames(drawn)[0]
    tile = drawn[top : bottom + 1, left : right + 1, 0]
    assert (tile[:, 0] == 0).all()
    assert (tile[:, -1] == 255).all()


@pytest.mark.parametrize("shape", [(1, 64, 64), (64, 1, 1), (5, 5, 5)])
def test_constant_volume_and_single_slice_are_drawn(shape: tuple[int, int, int]) -> None:
    """Three black planes to one scale, however thin, and a title of letters that not every font has."""
    drawn = draw_planes(np.zeros(shape), Geometry(shape), title="é 한", window=(0.0, 0.0))
    parts, count = ndimage.label((np.asarray(drawn) == 0).all(-1))
    assert count == 3
    places = sorted(ndimage.find_objects(parts), key=lambda place: place[1].start)
    sizes = np.array([[part.stop - part.start for part in place] for place in places])
    depth, height, width = shape
    extents = np.array([(height, width), (depth, width), (depth, height)])
    scale = sizes.max() / max(shape)
    assert np.allclose(sizes, extents * scale, atol=1.5)
    (title,) = ink(drawn, (0, 0, drawn.width, 40))
    assert title > 20


def ink(picture: Image.Image, *boxes: tuple[int, int, int, int]) -> list[int]:
    """How many pixels of each box are not background."""
    return [int((np.asarray(picture.crop(box)) != BACKGROUND).any(-1).sum()) for box in boxes]


def same(picture: Image.Image, expected: Image.Image, box: tuple[float, ...]) -> bool:
    """Whether both show the same in a box of left, top, right and bottom, and it is not empty."""
    edges = tuple(round(edge) for edge in box)
    return picture.crop(edges) == expected.crop(edges) and ink(picture, edges) > [0]


def write(
    like: Image.Image, place: tuple[float, float], text: str, size: int, colour: tuple, anchor: str
) -> Image.Image:
    """A picture of the same size with this text on it and nothing else."""
    blank = Image.new("RGB", like.size, BACKGROUND)
    font = ImageFont.load_default(size)
    ImageDraw.Draw(blank).text(place, text, fill=colour, font=font, anchor=anchor)
    return blank


def test_letters_stand_at_the_edges_they_name() -> None:
    grid = tilted(GRIDS[2])
    drawn = draw_planes(np.ones(grid.shape), grid, title="", window=(0, 2))
    for letters, (left, right, top, bottom) in zip(
        ("RLAP", "RLSI", "APSI"), frames(np.asarray(drawn)), strict=True
    ):
        right, bottom = right + 1, bottom + 1  # where the frame is, as at the other two edges - 1
        middle = (left + right) / 2, (top + bottom) / 2
        places = (
            (left - 12, middle[1]),
            (right + 12, middle[1]),
            (middle[0], top - 12),
            (middle[0], bottom + 12),
        )
        for letter, (x, y) in zip(letters, places, strict=True):
            box = (x - 9, y - 9, x + 9, y + 9)
            assert same(drawn, write(drawn, (x, y), letter, 15, YELLOW, "mm"), box), letter


def legend_of(picture: Image.Image) -> list[tuple[int, int, int]]:
    """The colours of the squares in the legend, from the left."""
    row = np.asarray(picture)[picture.height - 30]
    parts, count = ndimage.label(np.ptp(row.astype(int), axis=-1) > 40)
    return [tuple(row[parts == n + 1][6].tolist()) for n in range(count)]


def test_the_legend_names_the_colours_of_the_labels() -> None:
    grid = Geometry((40, 40, 40))
    label = np.zeros(grid.shape, np.uint16)
    label[10:30, 10:30, 10:20] = 1
    label[10:30, 10:30, 20:30] = 300
    names = {1: "liver", 300: "tumour"}
    image = np.full(grid.shape, 100)
    drawn = draw_planes(image, grid, label=label, names=names, title="", window=(0, 200))
    left, right, top, bottom = frames(np.asarray(drawn))[0]
    row = np.asarray(drawn)[(top + bottom) // 2]
    x, y = 40.0, drawn.height - 30
    for name, square, place in zip(names.values(), legend_of(drawn), (0.35, 0.65), strict=True):
        inside = row[round(left + place * (right - left))]
        assert np.allclose(inside, 128 + (np.array(square) - 128) * 0.42, atol=1), name
        width = ImageFont.load_default(13).getlength(name)
        box = (x + 16, y - 9, x + 20 + width + 6, y + 9)
        assert same(drawn, write(drawn, (x + 20, y), name, 13, TEXT, "lm"), box), name
        x += 20 + width + 22
    assert legend_of(draw_planes(image, grid, label=label, title="", window=(0, 200))) == []


@pytest.mark.parametrize("shape", [(8, 8, 8), (128, 2, 2)], ids=["wide", "narrow"])
def test_of_many_labels_as_many_as_fit_are_in_the_legend_and_the_rest_is_counted(
    shape: tuple[int, int, int],
) -> None:
    grid = Geometry(shape)
    label = np.arange(512, dtype=np.uint16).reshape(grid.shape)
    names = {value: f"structure number {value}" for value in range(1, 512)}
    kept = {"title": "t", "window": (0, 1), "label": label}
    none = draw_planes(np.zeros(grid.shape), grid, **kept)
    many = draw_planes(np.zeros(grid.shape), grid, names=names, **kept)
    shown = len(legend_of(many))
    assert shown == (many.width - 400) // 160 or shown == 8
    length = ImageFont.load_default(13).getlength
    x = 40 + sum(42 + length(names[value]) for value in range(1, shown + 1))
    y, told = many.height - 30, f"and {511 - shown} more"
    end = x + length(told)
    assert same(many, write(many, (x, y), told, 13, QUIET, "lm"), (x - 6, y - 9, end + 6, y + 9))
    beside = (round(end) + 6, 0, many.width, many.height)
    assert many.crop(beside) == none.crop(beside), "the scale bar is written over"


def test_picture_is_saved_whole(tmp_path: Path) -> None:
    drawn = draw_planes(np.zeros((5, 5, 5)), Geometry((5, 5, 5)), title="x", window=(0, 1))
    (tmp_path / "p.png").write_bytes(b"old")
    save_picture(drawn, tmp_path / "p.png")
    with Image.open(tmp_path / "p.png") as again:
        assert again.size == drawn.size
    assert [entry.name for entry in tmp_path.iterdir()] == ["p.png"]
    with pytest.raises(UsageError, match=r"\.png"):
        save_picture(drawn, tmp_path / "p.jpg")
    with pytest.raises(UsageError, match="cannot write"):
        save_picture(drawn, tmp_path / "none" / "p.png")
