"""Whole runs over real and hostile scans: what is done, what is refused, and why, file by file."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

import gpuprep
from gpuprep.config.file import load_config, parse_config
from gpuprep.store.verify import verify_cohort

CONFIGS = Path(__file__).parents[2] / "configs"
LAX = {"policy": {"E_CHANNELS": "skip", "E_LABEL_UNNAMED": "warn", "E_LABEL_UNDECLARED": "warn"}}
KEEP = {"store": {"dtype": "int16"}}  # no resampling, no intensity steps, no loss


def run(source, output, config=None, **options):
    options.setdefault("scheduler", "serial")
    report = gpuprep.run(source, output, config=parse_config(config or {}), **options)
    assert not verify_cohort(output, full=True)
    return report


def manifest(folder: Path, rows: dict[str, tuple[object, ...]]) -> Path:
    path = folder / "cases.csv"
    with path.open("w", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(["case_id", "image", "label"])
        writer.writerows([case, *words, *[""] * (2 - len(words))] for case, words in rows.items())
    return path


def failures(report) -> dict[str, str]:
    return {failure.case_id: failure.code for failure in report.failures}


def test_pyradiomics_ct_and_mr_pairs(scans, tmp_path):
    config = load_config(CONFIGS / "ct_abdomen.yaml")
    report = gpuprep.run(scans / "pyradiomics", tmp_path / "out", config=config, workers=2)
    assert report.exit_code == 0
    assert {Path(path).name for path, _ in report.unmatched} == {"LICENSE.txt"}
    cohort = gpuprep.open(tmp_path / "out")
    assert list(cohort) == ["brain1", "lung1"]
    for case in cohort.values():
        assert case.geometry.spacing == pytest.approx((0.8, 0.8, 1.5))
        assert set(np.unique(np.asarray(case.labels["segmentation"]))) == {0, 1}


def test_stroke_mr_has_three_channels_and_a_label(scans, tmp_path):
    config = load_config(CONFIGS / "mr_brain.yaml")
    report = gpuprep.run(scans / "stroke_mr", tmp_path / "out", config=config, scheduler="serial")
    assert report.exit_code == 0
    (case,) = gpuprep.open(tmp_path / "out").values()
    assert case.channel_names == ("T1", "T2", "FLAIR")
    assert case.image.shape == (3, *case.geometry.shape)
    assert case.geometry.orientation == "RAS"
    source = sitk.ReadImage(str(scans / "stroke_mr" / "lesion.nii.gz"))
    volume = np.count_nonzero(sitk.GetArrayViewFromImage(source)) * np.prod(source.GetSpacing())
    (label,) = (np.asarray(label) for label in case.labels.values())
    assert np.count_nonzero(label) * np.prod(case.geometry.spacing) == pytest.approx(
        volume, rel=0.02
    )


def test_elastix_mha_with_its_mask(scans, tmp_path):
    folder = scans / "elastix_lung_ct_mha"
    rows = {"baseline": (folder / "3DCT_lung_baseline_small.mha",)}
    report = run(manifest(tmp_path, rows), tmp_path / "out", KEEP)
    assert report.exit_code == 0
    source = sitk.DICOMOrient(sitk.ReadImage(str(rows["baseline"][0])), "LPS")
    stored = np.asarray(gpuprep.open(tmp_path / "out")["baseline"].image)
    np.testing.assert_array_equal(stored, sitk.GetArrayFromImage(source))


def test_totalseg_in_every_shape_its_labels_come_in(scans, tmp_path):
    folder = scans / "totalseg"
    rows = {
        "ct_one_file": (folder / "example_ct_sm.nii.gz", folder / "example_seg.nii.gz"),
        "ct_structures": (folder / "example_ct_sm.nii.gz", folder / "example_seg_fast"),
        "ct_dicom": (folder / "example_ct_dicom", folder / "example_seg_dicom.nii.gz"),
        "mr": (folder / "example_mr_sm.nii.gz", folder / "example_seg_mr.nii.gz"),
    }
    report = run(manifest(tmp_path, rows), tmp_path / "out", KEEP | {"input": LAX})
    cohort = gpuprep.open(tmp_path / "out")
    assert failures(report) == {}
    for name in ("ct_one_file", "ct_dicom", "mr"):
        check_label_lies_where_itk_puts_it(cohort[name], rows[name][1])
    structures = cohort["ct_structures"]
    names = structures.label_names["segmentation"]
    assert len(names) > 100
    liver = next(value for value, name in names.items() if name == "liver")
    mask = sitk.GetArrayFromImage(sitk.ReadImage(str(folder / "example_seg_fast" / "liver.nii.gz")))
    stored = np.asarray(structures.labels["segmentation"])
    assert np.count_nonzero(stored == liver) == np.count_nonzero(mask)


def check_label_lies_where_itk_puts_it(case, label_file):
    """Resample the label by ITK onto the stored grid: the JPEG 2000 series runs its rows the other way."""
    geometry = case.geometry
    label = sitk.Resample(
        sitk.ReadImage(str(label_file)),
        geometry.size,
        sitk.Transform(),
        sitk.sitkNearestNeighbor,
        geometry.origin,
        geometry.spacing,
        geometry.direction,
    )
    expected = sitk.GetArrayFromImage(label)
    assert expected.any()
    np.testing.assert_array_equal(np.asarray(case.labels["segmentation"]), expected)


def test_jpeg2000_dicom_equals_its_nifti_twin_in_hounsfield_units(scans, tmp_path):
    report = run(scans / "totalseg" / "example_ct_dicom", tmp_path / "out", KEEP)
    assert report.exit_code == 0
    (case,) = gpuprep.open(tmp_path / "out").values()
    reader = sitk.ImageSeriesReader()
    folder = str(scans / "totalseg" / "example_ct_dicom")
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(folder))
    expected = sitk.GetArrayFromImage(sitk.DICOMOrient(reader.Execute(), "LPS"))
    np.testing.assert_array_equal(np.asarray(case.image), expected)


def test_tilted_uneven_ct_is_refused_with_millimetres_and_degrees(scans, tmp_path):
    (failure,) = run(scans / "ge_tilt_varspacing_ct", tmp_path / "out").failures
    assert failure.code in ("E_SLICE_GAP", "E_TILT")
    for words in ("4.00, 7.00, 1.08 mm", "18.5°"):
        assert words in failure.message
    assert failure.advice


NASTY_DICOM = {
    "ct1_6_transfer_syntaxes_1": "",
    "ct1_6_transfer_syntaxes_2": "E_SLICE_DUP",
    "d2n_failing_gantrytilting_001": "E_TILT",
    "d2n_failing_notavolume_001": "E_SLICE_DUP",
    "d2n_failing_slicecount_001": "",
    "d2n_failing_sliceincrement_001": "E_SLICE_GAP",
    "d2n_failing_sliceincrement_002": "E_SLICE_GAP",
    "d2n_failing_sliceorientation_001": "E_MIXED_SERIES",
    "ge_pad3024_ct3slice": "",
    "lungmask_2slices": "",
    "philips_enh_mixed_rescale": "E_MIXED_RESCALE",
}


def test_every_series_of_nasty_dicom_ends_as_it_should(scans, tmp_path):
    report = run(
        scans / "nasty_dicom", tmp_path / "out", {"store": {"dtype": "float32"}, "input": LAX}
    )
    failed = failures(report)
    outcomes = {case: failed.get(case, "") for case in NASTY_DICOM}
    assert outcomes == NASTY_DICOM
    assert failed.keys() <= NASTY_DICOM.keys()
    assert report.finished.done == sum(not code for code in NASTY_DICOM.values())
    assert all(failure.advice for failure in report.failures)
    reasons = {Path(path).name: reason for path, reason in report.unmatched}
    assert "liver.dcm" not in reasons
    assert "label map" in reasons["liver_seg.nrrd"]


NASTY_NIFTI = {  # the code of the failure, or the findings of a case that is done
    "reader_js/5D_small.nii": "W_4D W_FEW_SLICES W_OBLIQUE",
    "reader_js/5D_zeros.nii.gz": "W_4D W_OBLIQUE",
    "reader_js/air.hdr.gz": "",
    "reader_js/air.img.gz": "",
    "reader_js/air2.hdr.gz": "",
    "reader_js/air2.img.gz": "",
    "reader_js/avg152T1_LR_nifti.nii": "",
    "reader_js/avg152T1_LR_nifti.nii.gz": "",
    "reader_js/avg152T1_LR_nifti2.nii.gz": "",
    "reader_js/big.nii.gz": "",
    "reader_js/little.nii.gz": "",
    "reader_js/not-nifti.nii": "E_UNREADABLE",
    "reader_js/with_extension.nii.gz": "",
    "real/CT_AVM.nii.gz": "",
    "real/CT_pitch.nii.gz": "W_OBLIQUE",
    "real/complex.nii.gz": "E_PIXEL_TYPE",
    "real/ct_perfusion.nii.gz": "E_PIXEL_TYPE",
    "real/pcasl.nii.gz": "W_4D W_OBLIQUE",
    "real/shear.nii.gz": "E_SHEAR",
    "synthetic/2d.nii.gz": "W_FEW_SLICES W_FLAT",
    "synthetic/4d.nii.gz": "W_4D",
    "synthetic/4d_t1.nii.gz": "",
    "synthetic/5d_channels.nii.gz": "W_4D",
    "synthetic/actually_gz.nii": "",
    "synthetic/badmagic.nii": "E_UNREADABLE",
    "synthetic/base.nii.gz": "",
    "synthetic/bigendian.nii": "",
    "synthetic/comp.mha": "",
    "synthetic/comp.nrrd": "",
    "synthetic/concat_members.nii.gz": "",
    "synthetic/crc_bad.nii.gz": "E_UNREADABLE",
    "synthetic/dtype_f8.nii.gz": "",
    "synthetic/dtype_i1.nii.gz": "",
    "synthetic/dtype_i8.nii.gz": "",
    "synthetic/dtype_u4.nii.gz": "",
    "synthetic/dtype_u8.nii.gz": "",
    "synthetic/label_float.nii.gz": "",
    "synthetic/label_shifted.nii.gz": "",
    "synthetic/label_slope.nii.gz": "",
    "synthetic/n.mha": "W_FEW_SLICES W_IDENTITY_AFFINE W_NAN",
    "synthetic/n.nii": "W_FEW_SLICES W_IDENTITY_AFFINE W_NAN",
    "synthetic/n.nrrd": "W_FEW_SLICES W_IDENTITY_AFFINE W_NAN",
    "synthetic/nan_inf.nii.gz": "W_NAN",
    "synthetic/nifti2.nii.gz": "",
    "synthetic/no_forms.nii.gz": "W_NO_AFFINE",
    "synthetic/not_gz.nii.gz": "",
    "synthetic/oblique.nii.gz": "W_OBLIQUE",
    "synthetic/pair.hdr": "",
    "synthetic/pair.img": "",
    "synthetic/pair.mhd": "E_UNREADABLE",
    "synthetic/pairz.mhd": "",
    "synthetic/pairz.zraw": "E_UNREADABLE",
    "synthetic/pixdim0.nii": "E_NO_GEOMETRY",
    "synthetic/rgb.nii.gz": "E_PIXEL_TYPE",
    "synthetic/scl_nan.nii": "",
    "synthetic/scl_slope.nii.gz": "",
    "synthetic/scl_slope0.nii": "",
    "synthetic/sform2_ne_qform1.nii.gz": "W_SFORM_QFORM",
    "synthetic/sform_ne_qform.nii.gz": "W_SFORM_QFORM",
    "synthetic/shear_sform.nii.gz": "E_SHEAR",
    "synthetic/shear_sform_good_qform.nii.gz": "E_SHEAR",
    "synthetic/trunc.mha": "E_TRUNCATED",
    "synthetic/trunc.nii": "E_TRUNCATED",
    "synthetic/trunc.nii.gz": "E_TRUNCATED",
    "synthetic/trunc.nrrd": "E_TRUNCATED",
    "synthetic/trunc_u.mha": "E_TRUNCATED",
    "synthetic/u.mha": "",
    "synthetic/vec2.mha": "W_4D",
    "synthetic/vec2.nii.gz": "W_4D",
    "synthetic/vec2.nrrd": "W_4D",
    "synthetic/xyzt_um.nii": "W_SPACING_OUTLIER W_UNITS",
    "synthetic/xyzt_unknown.nii": "",
    "synthetic/zero.nii.gz": "E_UNREADABLE",
    "synthetic/パス 体积 é/体积-0 ü.nii.gz": "",
}


@pytest.fixture(scope="module")
def nasty_nifti_outcomes(scans, tmp_path_factory) -> dict[str, str]:
    """Every file of nasty_nifti as a case of one run."""
    folder = tmp_path_factory.mktemp("nasty")
    files = {
        path.relative_to(scans / "nasty_nifti").as_posix(): path
        for path in (scans / "nasty_nifti").rglob("*")
        if path.is_file() and "LICENSE" not in path.name and path.suffix not in (".md", ".txt")
    }
    rows = {name.replace("/", "__"): (path,) for name, path in files.items()}
    report = run(
        manifest(folder, rows), folder / "out", {"store": {"dtype": "float32"}, "input": LAX}
    )
    assert all(failure.advice for failure in report.failures)
    failed = failures(report)
    cohort = gpuprep.open(folder / "out")
    return {
        name: failed.get(case)
        or " ".join(sorted({finding.code for finding in cohort[case].findings}))
        for name, case in ((name, name.replace("/", "__")) for name in files)
    }


def test_no_nasty_file_is_forgotten(nasty_nifti_outcomes):
    assert nasty_nifti_outcomes.keys() == NASTY_NIFTI.keys()


@pytest.mark.parametrize("name", NASTY_NIFTI)
def test_every_nasty_nifti_ends_as_it_should(nasty_nifti_outcomes, name):
    assert nasty_nifti_outcomes[name] == NASTY_NIFTI[name]


@pytest.mark.parametrize("part", ["reader_js", "real", "synthetic"])
def test_a_nasty_folder_is_run_as_it_lies(scans, tmp_path, part):
    """Files that differ only in their suffix are cases of their own; nothing stops the run."""
    report = run(
        scans / "nasty_nifti" / part,
        tmp_path / "out",
        {"store": {"dtype": "float32"}, "input": LAX},
    )
    assert report.exit_code == 1
    assert report.finished.done > 2
    lines = (tmp_path / "out" / "failures.jsonl").read_text().splitlines()
    assert {json.loads(line)["case"] for line in lines} == failures(report).keys()
