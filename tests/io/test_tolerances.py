"""What counts as rounding of a header: the config's tolerances decide, in mm, and what passes is told."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation
from support.dicom_series import write_series

from gpuprep.config.input import Input
from gpuprep.config.model import Config
from gpuprep.io.reader import peek
from gpuprep.io.rules import ReadRules
from gpuprep.io.scan import Preview
from gpuprep.values.case import Source
from gpuprep.values.errors import InputError
from gpuprep.values.findings import Finding

SPACING = np.array([0.7, 0.8, 2.5])
SHAPE = (40, 60, 50)


def seen(path: Path, rules: ReadRules | None = None) -> Preview:
    return peek(Source(str(path)), rules or ReadRules())


def told(preview: Preview, code: str = "W_GEOMETRY_TOLERANCE") -> list[Finding]:
    return [item for item in preview.findings if item.code == code]


def nifti(path: Path, affine: np.ndarray, **codes: int) -> Path:
    image = nibabel.Nifti2Image(np.zeros(SHAPE[::-1], np.uint8), affine)  # its affine is float64
    image.set_sform(affine, codes.get("sform", 1))
    image.set_qform(affine if codes.get("qform") else None, codes.get("qform", 0))
    nibabel.save(image, path)
    return path


def leaning(cosine: float) -> np.ndarray:
    """A turned RAS affine whose third axis leans over the second."""
    columns = np.eye(3)
    columns[:, 2] = [0, cosine, np.sqrt(1 - cosine**2)]
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xyz", [0.1, 0.2, 0.3]).as_matrix() @ columns * SPACING
    affine[:3, 3] = [10, -20, 30]
    return affine


def moved(preview: Preview, affine: np.ndarray) -> float:
    """How far the worst corner is from where the header has it, by numpy alone."""
    ends = np.array(np.meshgrid(*[(0, n - 1) for n in SHAPE[::-1]])).reshape(3, -1)
    there = affine[:3, :3] @ ends + affine[:3, 3:]
    here = preview.geometry.affine_ras[:3, :3] @ ends + preview.geometry.affine_ras[:3, 3:]
    return float(np.linalg.norm(here - there, axis=0).max())


@pytest.mark.parametrize("cosine", [2e-5, 9e-5])
def test_a_slight_shear_keeps_the_axes_of_the_slices_and_says_how_far_corners_move(
    tmp_path, cosine
):
    affine = leaning(cosine)
    preview = seen(nifti(tmp_path / "a.nii", affine))
    (finding,) = told(preview)
    assert finding.values["largest_mm"] == pytest.approx(moved(preview, affine), rel=1e-6)
    assert finding.values["mm"] == pytest.approx(cosine * 2.5 * 39, rel=1e-3)
    ras = preview.geometry.affine_ras
    np.testing.assert_allclose(ras[:3, [0, 1, 3]], affine[:3, [0, 1, 3]], atol=1e-12)
    normal = np.cross(affine[:3, 0], affine[:3, 1])
    np.testing.assert_allclose(np.cross(ras[:3, 2], normal), 0, atol=1e-12)
    assert not preview.geometry.sheared


def test_the_tolerance_of_the_config_decides_about_shear(tmp_path):
    path = nifti(tmp_path / "a.nii", leaning(2e-4))
    with pytest.raises(InputError, match=r"E_SHEAR.*0.0195 mm, more than the 0.01 mm") as error:
        seen(path)
    assert "input.grid_tolerance" in error.value.advice
    assert told(seen(path, ReadRules(grid_tolerance=0.02)))
    with pytest.raises(InputError, match="E_SHEAR"):
        seen(nifti(tmp_path / "b.nii", leaning(2e-5)), ReadRules(grid_tolerance=0.001))


@pytest.mark.parametrize("seed", range(5))
def test_float32_rounding_of_a_large_volume_is_no_shear(tmp_path, seed):
    turn = Rotation.random(random_state=seed).as_matrix() * [0.6, 0.6, 0.5]
    image = nibabel.Nifti1Image(np.zeros((512, 512, 3), np.uint8), np.eye(4))
    image.header["dim"][3] = 1000  # only the header is looked at
    image.set_sform(nibabel.affines.from_matvec(turn, [-300, 100, 900]), 1)
    raw = bytearray(image.to_bytes())
    raw[46:48] = (1000).to_bytes(2, "little")
    (tmp_path / "a.nii").write_bytes(bytes(raw) + bytes(512 * 512 * 997))
    assert not told(seen(tmp_path / "a.nii"))


def test_sform_and_qform_are_compared_by_the_same_tolerance(tmp_path):
    path = nifti(tmp_path / "a.nii", np.diag([1, 1, 2, 1.0]), qform=1)
    image = nibabel.load(path)
    shifted = image.affine.copy()
    shifted[0, 3] += 0.05
    image.set_qform(shifted, 1)
    nibabel.save(image, tmp_path / "b.nii")
    assert not told(seen(path), "W_SFORM_QFORM")
    (finding,) = told(seen(tmp_path / "b.nii"), "W_SFORM_QFORM")
    assert finding.values["largest_mm"] == pytest.approx(0.05)
    assert not told(seen(tmp_path / "b.nii", ReadRules(grid_tolerance=0.1)), "W_SFORM_QFORM")


def series(folder: Path, heights: list[float]) -> Path:
    places = {"ImagePositionPatient": lambda n: [1, 2, heights[n]]}
    return write_series(folder, heights, **places)


@settings(max_examples=40, deadline=None)
@given(  # from 0.31 mm on: of four slices, one missing then shows whatever rounding does, 2/3 · 0.3 = 0.2
    st.integers(31, 500),
    st.integers(0, 99),
    st.integers(3, 30),
    st.sampled_from([0.0, -0.0563]),
    st.data(),
)
def test_positions_rounded_to_one_decimal_are_even_and_a_missing_slice_is_not(
    tmp_path_factory, hundredths, start, count, from_there, data
):
    """From wherever they are counted: only their steps need be tenths."""
    spacing = hundredths / 100 + 1 / 300
    printed = [float(f"{start / 100 + spacing * n:.1f}") for n in range(count + 2)]
    heights = [round(height + from_there, 4) for height in printed]
    folder = tmp_path_factory.mktemp("s")
    preview = seen(series(folder / "whole", heights))
    assert preview.geometry.spacing[2] == pytest.approx((heights[-1] - heights[0]) / (count + 1))
    off = np.abs(np.linspace(heights[0], heights[-1], count + 2) - heights).max()
    assert [item.values["mm"] for item in told(preview)] == (
        [pytest.approx(off)] if off > 0.01 else []
    )
    lost = data.draw(st.integers(1, count))
    with pytest.raises(InputError, match="E_SLICE_GAP"):
        seen(series(folder / "gap", heights[:lost] + heights[lost + 1 :]))


def test_rounded_positions_are_told_with_their_reason(tmp_path):
    heights = [float(f"{2 / 3 * n:.1f}") for n in range(9)]
    (finding,) = told(seen(series(tmp_path / "s", heights)))
    assert "positions are rounded to one decimal" in finding.message
    with pytest.raises(InputError, match=r"W_GEOMETRY_TOLERANCE.*off even steps"):
        seen(tmp_path / "s", ReadRules(policy={"W_GEOMETRY_TOLERANCE": "error"}))


def test_oblique_rounded_positions_are_no_tilt(tmp_path):
    turn = Rotation.from_euler("x", 20, degrees=True).as_matrix()
    places = [(turn[:, 2] * 0.9 * n).round(1).tolist() for n in range(8)]
    folder = write_series(
        tmp_path / "s",
        [0.0] * 8,
        ImagePositionPatient=lambda n: places[n],
        ImageOrientationPatient=[*turn[:, 0], *turn[:, 1]],
    )
    preview = seen(folder)
    assert {item.code for item in preview.findings} == {"W_GEOMETRY_TOLERANCE", "W_OBLIQUE"}
    assert preview.geometry.spacing[2] == pytest.approx(0.9, abs=0.02)


def test_tenths_from_a_position_with_six_digits_are_rounded_too(tmp_path):
    """A public oblique MR of GE: dcm2niix takes its first gap for all, and is 1.3 mm off at the end."""
    tenths = [(0, 0), (-10, 70), (-19, 139), (-29, 208), (-38, 278), (-48, 347), (-57, 417)]
    places = [
        [-110.5, float(f"{y / 10 - 78.3063:.6g}"), float(f"{z / 10 - 72.7575:.6g}")]
        for y, z in tenths
    ]
    folder = write_series(
        tmp_path / "s",
        [0.0] * len(places),
        ImagePositionPatient=lambda n: places[n],
        ImageOrientationPatient=[1, 0, 0, 0, 0.990960, 0.134158],
    )
    preview = seen(folder)
    assert {item.code for item in preview.findings} == {"W_GEOMETRY_TOLERANCE", "W_OBLIQUE"}
    assert preview.geometry.spacing[2] == pytest.approx(np.hypot(5.7, 41.7) / 6, abs=1e-3)


def test_the_tolerance_of_the_config_decides_about_gaps(tmp_path):
    heights = [0.0, 2.03, 4.0, 6.0, 8.01, 10.0]  # no tenths
    folder = series(tmp_path / "s", heights)
    with pytest.raises(InputError, match="E_SLICE_GAP") as error:
        seen(folder)
    assert "input.slice_tolerance" in error.value.advice
    preview = seen(folder, ReadRules(slice_tolerance=0.05))
    (finding,) = told(preview)
    assert finding.values["mm"] == pytest.approx(0.03)
    assert preview.geometry.spacing[2] == pytest.approx(2.0)


def test_rules_take_both_tolerances_from_the_config_and_a_default_keeps_its_digest():
    config = Config(input=Input(grid_tolerance=0.5, slice_tolerance=0.25))
    rules = ReadRules.from_json(ReadRules.of(config).to_json())
    assert (rules.grid_tolerance, rules.slice_tolerance) == (0.5, 0.25)
    assert Config(input=Input(slice_tolerance=0.25)).digest != Config().digest
    kept = Config().resolved()["input"]
    assert Config.model_validate({"input": kept}).digest == Config().digest


@pytest.mark.parametrize("kind", ["mha", "nrrd"])
@pytest.mark.parametrize(("cosine", "told_mm"), [(1e-9, None), (1e-4, 0.006), (1e-3, "E_SHEAR")])
def test_text_headers_are_judged_alike(tmp_path, kind, cosine, told_mm):
    step = [0.0, 2 * cosine, 2 * np.sqrt(1 - cosine**2)]
    unit = [value / 2 for value in step]
    if kind == "mha":
        matrix = " ".join(f"{value:.17g}" for value in (1, 0, 0, 0, 1, 0, *unit))
        head = f"NDims = 3\nDimSize = 4 5 31\nTransformMatrix = {matrix}\nElementSpacing = 1 1 2\n"
        head += "ElementType = MET_UCHAR\nElementDataFile = LOCAL\n"
    else:
        third = ",".join(f"{value:.17g}" for value in step)
        head = "NRRD0004\ntype: uchar\ndimension: 3\nsizes: 4 5 31\nencoding: raw\n"
        head += "space: left-posterior-superior\nspace origin: (0,0,0)\n"
        head += f"space directions: (1,0,0) (0,1,0) ({third})\n\n"
    path = tmp_path / f"a.{kind}"
    path.write_bytes(head.encode() + bytes(4 * 5 * 31))
    if told_mm == "E_SHEAR":
        with pytest.raises(InputError, match="E_SHEAR"):
            seen(path)
        return
    found = [item.values["mm"] for item in told(seen(path))]
    assert found == ([] if told_mm is None else [pytest.approx(told_mm, rel=1e-3)])
