"""A hospital's tree from images and drawn structures to stored label maps with names."""

from pathlib import Path

import numpy as np
from support.structures import ORIGIN, SHAPE, SPACING, circle, write_contours, write_image
from support.structures import write_segmentation as write

from gpuprep.config.model import Config
from gpuprep.planning.preview import preview_cohort
from gpuprep.running.coordinator import run
from gpuprep.store.reader import open_cohort

PLAIN = {"image": {"orientation": "keep", "intensity": []}, "store": {"dtype": "float32"}}
CENTRE = (-4.0, 13.0)


def tree(root: Path) -> np.ndarray:
    masks = np.zeros((*SHAPE, 2), np.uint8)
    masks[1:3, 3:9, 4:12, 0] = 1
    masks[2:5, 8:15, 10:20, 1] = 1  # two voxels are of both
    write(root / "a" / "seg.dcm", write_image(root / "a" / "ct"), masks, ["Liver", "Spleen"])
    write_image(root / "b" / "ct", series="1.2.8", study="1.2.7")
    height = ORIGIN[2] + 2 * SPACING[0]
    rois = {"SPLEEN": [circle(2.05, CENTRE, height)], "Body": [circle(5.05, CENTRE, height)]}
    write_contours(root / "b" / "rt.dcm", rois, series="1.2.8")
    return masks


def test_a_file_of_several_layers_is_one_file_wherever_it_lies(tmp_path: Path) -> None:
    tree(tmp_path / "in")
    wanted = of({"liver": "liver", "spleen": "spleen", "body": "body"}, label_layers=True)
    run(tmp_path / "in", tmp_path / "out", config=wanted, scheduler="serial")
    for name in ("a_ct", "b_ct"):
        paths = [row["path"] for row in open_cohort(tmp_path / "out")[name].record["source"]]
        assert len(paths) == len(set(paths)) == SHAPE[0] + 1
    (tmp_path / "in/b/rt.dcm").rename(tmp_path / "in/b/other.dcm")
    report = run(tmp_path / "in", tmp_path / "out", config=wanted, scheduler="serial")
    assert report.finished.done == 0


def of(structures: dict[str, str], **more: object) -> Config:
    return Config.model_validate({**PLAIN, "input": {"structures": structures, **more}})


def test_overlap_fails_its_case_alone_by_names_and_voxels(tmp_path: Path) -> None:
    tree(tmp_path / "in")
    wanted = of({"*e*n": "spleen", "*": "rest"})
    report = run(tmp_path / "in", tmp_path / "out", config=wanted, scheduler="serial")
    (failure,) = (each for each in report.failures if each.case_id == "a_ct")
    assert failure.code == "E_LABEL_OVERLAP"
    assert "share 2 voxels" in failure.message
    assert "input.label_layers" in failure.advice
    one = run(tmp_path / "in", tmp_path / "one", config=of({"*": "any"}), scheduler="serial")
    assert not one.failures


def test_layers_are_stored_side_by_side_under_their_names(tmp_path: Path) -> None:
    masks = tree(tmp_path / "in")
    wanted = of({"liver": "liver", "spleen": "spleen"}, label_layers=True)
    run(tmp_path / "in", tmp_path / "out", config=wanted, scheduler="serial")
    cohort = open_cohort(tmp_path / "out")
    case = cohort["a_ct"]
    for number, name in enumerate(("liver", "spleen")):
        assert np.array_equal(np.asarray(case.labels[name][:]), masks[..., number])
        assert case.label_names[name] == {1: name}
    other = cohort["b_ct"]
    assert set(other.labels) == {"spleen"}
    assert int(np.asarray(other.labels["spleen"][:]).sum()) > 20


def test_layers_that_files_of_nnunet_cannot_hold_are_refused_by_a_plan_too(tmp_path: Path) -> None:
    tree(tmp_path / "in")
    files = {"dtype": "float32", "nnunet": {"patch": [4, 8, 8], "locations": [[1]]}}
    told = {"liver": "liver", "spleen": "spleen", "body": "body"}
    wanted = of(told, label_layers=True)
    wanted = Config.model_validate({**wanted.resolved(), "store": files})
    cohort = preview_cohort(tmp_path / "in", wanted)
    report = run(tmp_path / "in", tmp_path / "out", config=wanted, scheduler="serial")
    for failure in (*cohort.refused, *report.failures):
        assert failure.code == "CASE"
        assert "2: " in failure.message
        assert "input.label_layers" in failure.advice
    assert len(cohort.refused) == len(report.failures) == 2
