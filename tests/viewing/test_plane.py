"""Slices are the arrays' own, pixel for pixel; thumbnails are small and show the labels."""

import io

import numpy as np
import pytest
from PIL import Image
from support.cohorts import run
from support.oriented import ORIENTATIONS, affine_of, phantom, save_phantom

from gpuprep.config.model import Config
from gpuprep.drawing.colours import label_colour
from gpuprep.store.reader import open_cohort
from gpuprep.store.stored_case import StoredCase
from gpuprep.values.errors import UsageError
from gpuprep.viewing.plane import plane_png
from gpuprep.viewing.sight import StoredSight
from gpuprep.viewing.source_volume import read_source
from gpuprep.viewing.thumbnail import HEIGHT, thumbnail_png

pytestmark = pytest.mark.usefixtures("reads_here")

CONFIG = {
    "image": {
        "orientation": "keep",
        "intensity": [{"clip": {"low": -700, "high": 900}}, {"rescale": {"to": [1, -1]}}],
    },
    "store": {"dtype": "float32", "fsync": "never"},
}
CODES = ("LPS", "RAS", "ASL", "IRP")


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory):
    """The line falls: what is dark in the source is bright in the store."""
    folder = tmp_path_factory.mktemp("planes")
    (folder / "in").mkdir()
    for code in CODES:
        save_phantom(folder / "in", code, affine_of(code))
    run(folder / "in", folder / "out", CONFIG)
    return open_cohort(folder / "out")


def look(case: StoredCase) -> StoredSight:
    return StoredSight(case, lambda: read_source(case.record, Config()))


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)))


@pytest.mark.parametrize("side", ["before", "after"])
@pytest.mark.parametrize(("axis", "number"), [("x", 0), ("y", 1), ("z", 2)])
@pytest.mark.parametrize("code", CODES)
def test_a_slice_is_that_of_the_file_under_its_window(cohort, code, side, axis, number):
    image, _ = phantom()
    sight = look(cohort[code])
    found = pixels(plane_png(sight, side, axis, 5, window=(-300.0, 500.0)))
    voxels = np.take(image, 5, number).astype(float).T  # the later axis goes down
    expected = np.clip((voxels + 300) / 800, 0, 1) * 255
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, atol=0.51)
    assert found.min() == 0
    assert found.max() == 255


def test_labels_lie_over_the_greys_in_their_colours(cohort):
    _, label = phantom()
    sight = look(cohort["RAS"])
    for side in ("before", "after"):
        grey = pixels(plane_png(sight, side, "z", 5, window=(-300.0, 500.0)))
        found = pixels(plane_png(sight, side, "z", 5, window=(-300.0, 500.0), label="segmentation"))
        mask = label[:, :, 5].T
        assert set(np.unique(mask)) == {0, 1, 3}
        np.testing.assert_array_equal(found[mask == 0], np.repeat(grey[mask == 0][:, None], 3, 1))
        for value in (1, 3):
            apart = found[mask == value].astype(float) - grey[mask == value][:, None]
            toward = np.array(label_colour(value)) - grey[mask == value][:, None].astype(float)
            share = (apart * toward).sum() / (toward**2).sum()
            assert 0.4 < share < 0.9
            np.testing.assert_allclose(np.sign(apart) * np.sign(toward) >= 0, True)


def test_the_channels_own_window_counts_where_none_is_asked_for(cohort):
    sight = look(cohort["LPS"])
    own = plane_png(sight, "after", "y", 3)
    assert own == plane_png(sight, "after", "y", 3, window=(-700.0, 900.0))
    assert own != plane_png(sight, "after", "y", 3, window=(-700.0, None), label="segmentation")


@pytest.mark.parametrize(
    ("side", "asked", "told"),
    [
        ("after", {"index": 11}, "slices 0 to 10"),
        ("after", {"channel": 1}, "no channel 1"),
        ("before", {"label": "liver"}, "no label 'liver'"),
        ("beside", {}, "no side 'beside'"),
    ],
)
def test_what_is_not_there_is_refused_by_name(cohort, side, asked, told):
    index = asked.pop("index", 0)
    with pytest.raises(UsageError, match=told):
        plane_png(look(cohort["LPS"]), side, "z", index, **asked)


def test_a_thumbnail_is_small_and_the_same_in_every_orientation(tmp_path):
    (tmp_path / "in").mkdir()
    for code in ORIENTATIONS[::5]:
        image, label = phantom()
        save_turned(tmp_path / "in", code, image, label)
    run(tmp_path / "in", tmp_path / "out", CONFIG)
    seen = {thumbnail_png(case) for case in open_cohort(tmp_path / "out").values()}
    assert len(seen) == 1
    found = np.asarray(Image.open(io.BytesIO(seen.pop())).convert("RGB"))
    assert found.shape[0] <= HEIGHT
    assert found.shape[2] == 3
    for value in (1, 3):
        hue = np.argmax(label_colour(value))
        assert (found.astype(int)[..., hue] - found.astype(int).min(-1) > 60).any()


def save_turned(folder, code: str, image: np.ndarray, label: np.ndarray) -> None:
    """One phantom of the LPS frame, its array turned so that its axes follow a code."""
    import nibabel

    for part, array in (("image", image), ("label", label)):
        straight = nibabel.Nifti1Image(array, affine_of("LPS"))
        own = nibabel.orientations.axcodes2ornt(code)
        turn = nibabel.orientations.ornt_transform(
            nibabel.orientations.io_orientation(straight.affine), own
        )
        nibabel.save(straight.as_reoriented(turn), folder / f"{code}_{part}.nii.gz")
