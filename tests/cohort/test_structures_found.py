"""Which labels a tree of DICOM, or of ``.seg.nrrd``, has: paired by UID, named as their files say."""

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from support.structures import (
    ORIGIN,
    SHAPE,
    SPACING,
    circle,
    write_contours,
    write_image,
    write_segmentation,
)  # fmt: skip

from gpuprep.cohort.discover import discover
from gpuprep.io.dicom.known import KnownHeaders
from gpuprep.io.reader import peek, read
from gpuprep.io.rules import ReadRules
from gpuprep.io.text.segments import segments_in
from gpuprep.values.case import Case, Source
from gpuprep.values.errors import InputError
from gpuprep.values.structures import StructureRules

CENTRE = (-4.0, 13.0)


def masks() -> np.ndarray:
    found = np.zeros((*SHAPE, 2), np.uint8)
    found[1:3, 3:9, 4:12, 0] = 1
    found[3:5, 8:15, 10:20, 1] = 1
    return found


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Two studies; the objects lie in one folder, and UIDs alone say whose they are."""
    root = tmp_path / "tree"
    first = write_image(root / "a")
    write_image(root / "b", series="1.2.8", study="1.2.7")
    write_segmentation(root / "objects" / "x.dcm", first, masks(), ["Liver", "Spleen"])
    height = ORIGIN[2] + SPACING[0]
    rois = {"GTV-1": [circle(2, CENTRE, height)], "GTV 2": [circle(1, (-8, 8), height)], "Body": []}
    write_contours(root / "objects" / "y.dcm", rois, series="1.2.8")
    return root


def test_references_pair_images_and_labels(tree: Path) -> None:
    found = discover(tree)
    first, second = found.cases
    assert not found.unmatched
    assert [Path(case.labels[0].sources[0].path).name for case in found.cases] == ["x.dcm", "y.dcm"]
    assert first.labels[0].classes.names == {1: "Liver", 2: "Spleen"}
    assert second.labels[0].classes.names == {1: "GTV-1", 2: "GTV 2", 3: "Body"}
    assert first.labels[0].sources[0].drawn_on == first.images[0]
    assert Case.from_json(first.to_json()) == first


def test_headers_that_were_kept_say_the_same(tree: Path, tmp_path: Path) -> None:
    kept = tmp_path / "headers"
    once = discover(tree, headers=kept)
    assert discover(tree, headers=kept) == once == discover(tree)
    with KnownHeaders(kept, keep=False) as known:
        ((_, told),) = known.read([str(tree / "objects" / "x.dcm")])
    assert told.names == ((1, "Liver"), (2, "Spleen"))


def test_structures_are_chosen_and_called_by_patterns(tree: Path) -> None:
    rules = StructureRules({"gtv*": "tumour", "LIVER": "liver"})
    first, second = discover(tree, structures=rules).cases
    assert first.labels[0].classes.names == {1: "liver"}
    assert second.labels[0].classes.names == {1: "tumour"}
    assert second.labels[0].sources[0].volume == "1+2"
    array = read(first.labels[0].sources[0], ReadRules()).volumes[0].array
    assert np.array_equal(array, masks()[..., 0])


def test_layers_are_label_maps_of_their_own(tree: Path) -> None:
    first, _ = discover(tree, structures=StructureRules(layers=True)).cases
    assert [label.name for label in first.labels] == ["Liver", "Spleen"]
    for number, label in enumerate(first.labels):
        array = read(label.sources[0], ReadRules()).volumes[0].array
        assert np.array_equal(array, masks()[..., number])


def test_what_refers_to_no_series_of_the_tree_is_told(tree: Path) -> None:
    for file in (tree / "a").iterdir():
        file.unlink()
    (case,) = discover(tree).cases
    assert case.labels[0].classes.names[1] == "GTV-1"
    (left,) = discover(tree).unmatched
    assert "segmentation of series 1.2.3.4, which is not among the input" in left.reason


def test_two_files_of_one_image_are_two_label_maps(tree: Path) -> None:
    height = ORIGIN[2] + SPACING[0]
    write_contours(tree / "objects" / "z.dcm", {"Cord": [circle(1, (-8, 8), height)]})
    first, _ = discover(tree).cases
    assert len({label.name for label in first.labels}) == len(first.labels) == 2


def test_series_of_masks_belong_to_the_image_of_their_study(tree: Path) -> None:
    write_image(tree / "b" / "Liver mask", series="1.2.8.1", study="1.2.7")
    assert len(discover(tree).cases) == 3
    first, second = discover(tree, structures=StructureRules(series="*mask")).cases
    assert len(first.labels) == 1
    assert [len(label.sources[0].files) for label in second.labels] == [SHAPE[0], 0]


def test_manifests_name_segmentations_and_folders_of_masks(tree: Path) -> None:
    write_image(tree / "mask", series="1.2.8.1", study="1.2.7")
    rows = "case_id,image,label\nx,a,objects/x.dcm\ny,b,mask\nz,b,objects/y.dcm\n"
    (tree / "cases.csv").write_text(rows)
    x, y, z = discover(tree / "cases.csv").cases
    assert x.labels[0].classes.names == {1: "Liver", 2: "Spleen"}
    assert len(y.labels[0].sources[0].files) == SHAPE[0]
    assert z.labels[0].sources[0].drawn_on == z.images[0]


def write_seg_nrrd(
    path: Path,
    layers: np.ndarray,
    segments: list[dict[str, str]],
    first: tuple[int, int, int] = (0, 0, 0),
) -> Path:
    """Layers ``(c, z, y, x)`` as Slicer writes them: space directions as x, y, z, layers fastest."""
    count, z, y, x = layers.shape
    dx, dy, dz = SPACING[::-1]
    start = [ORIGIN[0] + first[2] * dx, ORIGIN[1] + first[1] * dy, ORIGIN[2] + first[0] * dz]
    stacked = count > 1
    lines = [
        "NRRD0004",
        "type: unsigned char",
        f"dimension: {4 if stacked else 3}",
        "space: left-posterior-superior",
        f"sizes: {f'{count} ' if stacked else ''}{x} {y} {z}",
        f"space directions: {'none ' if stacked else ''}({dx},0,0) (0,{dy},0) (0,0,{dz})",
        f"kinds: {'list ' if stacked else ''}domain domain domain",
        "encoding: raw",
        f"space origin: ({','.join(map(str, start))})",
    ]
    for number, fields in enumerate(segments):
        lines += [f"Segment{number}_{key}:={value}" for key, value in fields.items()]
    stored = np.moveaxis(layers, 0, -1) if stacked else layers[0]
    path.write_bytes("\n".join(lines).encode() + b"\n\n" + np.ascontiguousarray(stored).tobytes())
    return path


@pytest.fixture
def volumes(tmp_path: Path) -> Path:
    root = tmp_path / "volumes"
    root.mkdir()
    image = sitk.GetImageFromArray(np.zeros(SHAPE, np.int16))
    image.SetSpacing(SPACING[::-1])
    image.SetOrigin(ORIGIN)
    sitk.WriteImage(image, str(root / "a.nrrd"))
    return root


def named(name: str, layer: int, value: int) -> dict[str, str]:
    return {"ID": name, "Name": name, "Layer": str(layer), "LabelValue": str(value)}


def test_segments_of_one_layer_are_classes(volumes: Path) -> None:
    array = (masks() * np.array([7, 9], np.uint8)).max(-1)[None]
    write_seg_nrrd(volumes / "a.seg.nrrd", array, [named("Spleen", 0, 9), named("Liver", 0, 7)])
    (case,) = discover(volumes).cases
    assert dict(case.labels[0].classes.names) == {9: "Spleen", 7: "Liver"}
    assert np.array_equal(read(case.labels[0].sources[0], ReadRules()).volumes[0].array, array[0])


def test_segments_of_several_layers_are_one_map_or_a_refusal(volumes: Path) -> None:
    layers = np.moveaxis(masks(), -1, 0).copy()
    file = write_seg_nrrd(
        volumes / "a.seg.nrrd", layers, [named("Liver", 0, 1), named("Spleen", 1, 1)]
    )
    (case,) = discover(volumes).cases
    source = case.labels[0].sources[0]
    array = read(source, ReadRules()).volumes[0].array
    assert np.array_equal(array, np.maximum(layers[0], 2 * layers[1]))
    assert peek(source, ReadRules()).channels == 1
    layers[1, 1, 3, 4:9] = 1
    write_seg_nrrd(file, layers, [named("Liver", 0, 1), named("Spleen", 1, 1)])
    with pytest.raises(InputError, match="Liver and Spleen share 5 voxels"):
        read(source, ReadRules())
    (case,) = discover(volumes, structures=StructureRules(layers=True)).cases
    for number, label in enumerate(case.labels):
        array = read(label.sources[0], ReadRules()).volumes[0].array
        assert np.array_equal(array, layers[number])


def test_a_segmentation_that_was_cropped_lies_on_its_image(volumes: Path) -> None:
    whole = (masks() * np.array([1, 2], np.uint8)).max(-1)
    part = whole[None, 1:5, 2:, 3:].copy()
    file = write_seg_nrrd(volumes / "a.seg.nrrd", part, [named("Liver", 0, 1)], (1, 2, 3))
    (case,) = discover(volumes).cases
    scan = read(case.labels[0].sources[0], ReadRules())
    assert np.array_equal(scan.volumes[0].array, whole)
    told = peek(case.labels[0].sources[0], ReadRules())
    assert (
        told.geometry
        == scan.geometry
        == read(Source(str(volumes / "a.nrrd")), ReadRules()).geometry
    )
    assert read(Source(str(file)), ReadRules()).geometry.shape == part.shape[1:]


def test_segments_of_one_value_are_no_classes_of_which_one_is_lost(volumes: Path) -> None:
    array = masks().max(-1)[None]
    write_seg_nrrd(volumes / "a.seg.nrrd", array, [named("Liver", 0, 1), named("Spleen", 0, 1)])
    (case,) = discover(volumes).cases
    with pytest.raises(InputError, match=f"Liver and Spleen share {array.sum()} voxels"):
        read(case.labels[0].sources[0], ReadRules())


@pytest.mark.parametrize("value", ["9" * 5000, "0", "\N{SUPERSCRIPT TWO}", "-1", "1.5", ""])
def test_a_value_that_is_none_takes_the_names_and_nothing_else(volumes: Path, value: str) -> None:
    array = masks().max(-1)[None]
    odd = {"Name": "Liver", "Layer": "0", "LabelValue": value}
    file = write_seg_nrrd(volumes / "a.seg.nrrd", array, [odd])
    (case,) = discover(volumes).cases
    assert not case.labels[0].classes.names
    assert np.array_equal(read(case.labels[0].sources[0], ReadRules()).volumes[0].array, array[0])
    with pytest.raises(
        InputError, match=r"E_UNREADABLE.*segment 0 has the layer '0' and the value"
    ) as told:
        segments_in(file)
    assert len(str(told.value)) < 400
