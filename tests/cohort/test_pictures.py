"""Pictures in a manifest: their spacing, stacks in folders, and what a run stores of them."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.cohorts import run
from support.trees import plant

import gpuprep
from gpuprep.cohort.discover import discover
from gpuprep.config.file import parse_config
from gpuprep.values.errors import UsageError

PAGES = np.arange(4 * 6 * 5, dtype=np.uint16).reshape(4, 6, 5)

pytestmark = pytest.mark.usefixtures("reads_here")


def test_spacing_is_that_of_pictures_and_an_attribute(tmp_path: Path) -> None:
    plant(tmp_path, "a.png", "a_mask.tif", "b.nii", "s/2.png", "s/10.png")
    rows = "a,a.png,a_mask.tif,0.2 0.3\nb,b.nii,,0.5\ns,s,,0.5;0.5;2\n"
    (tmp_path / "m.csv").write_text(f"case_id,image,label,spacing\n{rows}")
    a, b, s = discover(tmp_path / "m.csv").cases
    assert a.images[0].spacing == a.labels[0].sources[0].spacing == (0.2, 0.3)
    assert a.attributes == {"spacing": "0.2 0.3"}
    assert b.images[0].spacing == ()
    assert s.images[0].spacing == (0.5, 0.5, 2.0)
    assert [Path(file).name for file in s.images[0].files] == ["2.png", "10.png"]
    assert type(a).from_json(json.loads(json.dumps(a.to_json()))) == a


@pytest.mark.parametrize("told", ["0.2", "a b", "0.2 -1", "1 2 3 4", "nan 1"])
def test_what_is_no_spacing_is_refused_with_its_line(tmp_path: Path, told: str) -> None:
    plant(tmp_path, "a.png")
    (tmp_path / "m.csv").write_text(f"case_id,image,spacing\na,a.png,{told}\n")
    with pytest.raises(UsageError, match=r"line 2: spacing '.*' is not two or three lengths"):
        discover(tmp_path / "m.csv")


def test_a_run_stores_a_picture_and_a_stack_with_their_labels(tmp_path: Path) -> None:
    first, *others = [Image.fromarray(page) for page in PAGES]
    first.save(tmp_path / "stack.tif", save_all=True, append_images=others)
    first.save(tmp_path / "one.png")
    Image.fromarray((PAGES[0] > 7).astype(np.uint8)).save(tmp_path / "one_mask.png")
    (tmp_path / "masks").mkdir()
    for number, page in enumerate(PAGES):
        Image.fromarray((page % 3).astype(np.uint8)).save(tmp_path / f"masks/{number}.png")
    rows = "one,one.png,one_mask.png,0.2 0.3\nstack,stack.tif,masks,0.5 0.6 2\n"
    (tmp_path / "m.csv").write_text(f"case_id,image,label,spacing\n{rows}")
    config = parse_config({"store": {"dtype": "float32", "fsync": "never"}})
    report = run(tmp_path / "m.csv", tmp_path / "out", config=config, scheduler="serial")
    assert report.exit_code == 0, report.failures
    cohort = gpuprep.open(tmp_path / "out")
    one, stack = cohort["one"], cohort["stack"]
    np.testing.assert_array_equal(one.image, PAGES[:1])
    np.testing.assert_array_equal(one.labels["segmentation"][...], PAGES[:1] > 7)
    np.testing.assert_array_equal(stack.image, PAGES)
    np.testing.assert_array_equal(stack.labels["segmentation"][...], PAGES % 3)
    assert stack.geometry.spacing == (0.5, 0.6, 2.0)
