"""DICOM as gpuprep reads it against public truths: volumes, SUV, contours and segmentations.

    python benchmarks/public_truths.py --work FOLDER --json benchmarks/results/public_truths.json

Packages with public DICOM come from PyPI and Debian by name, the tools that make truths of them from PyPI;
both stay in FOLDER (see ``public_data.py``). plastimatch is compared with where it is installed (``apt
install plastimatch``). What cannot be had is left out, and the reason is printed.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from gpuprep.io.dicom.drawn.structures import structures_in
from gpuprep.io.reader import read
from gpuprep.io.rules import ReadRules
from gpuprep.io.scan import Scan
from gpuprep.values.case import Source
from public_contours import Plan, filled, surface_distances, write_plan
from public_data import MissingDataError, tools, unpacked
from public_rows import Placed, Row, labels_row, mask_row, meta, nifti, volumes_row
from public_uptake import phantom, slices
from timing import machine, versions, with_one_blas_thread

MAKERS = Path(__file__).with_name("public_makers.py")
DRAWN = "dcmrtstruct2nii"
TRACED = ("Breast", "Heart", "Lt Lung", "Tumor Bed")
SEGMENTED = {"Heart": "Heart", "Lt Lung": "Left lung"}
ECHOES = {"single_vol": [0], "two_time_vol": [0, 1], "two_vector_vol": [0, 1]}
"""NIfTI files of dcmstack's tests, and which of TE 20, 40 and 60 they hold."""


def volumes(work: Path, programs: Path) -> Iterator[Row]:
    """Mosaics, enhanced files and echoes beside what dcm2niix makes of them, and dcmstack's files."""
    series = {
        "85 mosaics, Siemens Prisma": ("dcm2niix", "3_pasl_2d"),
        "enhanced diffusion, Siemens XA30": ("heudiconv", "heudiconv/tests/data/b0dwiForFmap"),
        "a mosaic of 35 slices": ("heudiconv", "heudiconv/tests/data/axasc35.dcm"),
    }
    for data, (package, path) in series.items():
        with reported(), tempfile.TemporaryDirectory() as out:
            source = Path(out) / "in"
            held = unpacked(package, work) / path
            (shutil.copytree if held.is_dir() else put_alone)(held, source)
            converted = Path(out) / "out"
            converted.mkdir()
            call(programs / "dcm2niix", "-b", "n", "-p", "n", "-o", converted, source)
            (file,) = converted.glob("*.nii")
            yield volumes_row(data, "dcm2niix", channels(source), file)
    with reported(), tempfile.TemporaryDirectory() as out:
        data = unpacked("dcmstack", work) / "dcmstack-0.9/test/data/dcmstack/2D_16Echo_qT2"
        for file in data.glob("TE_*_SlcPos_-[23]3.*.dcm"):  # the two places that all echoes have
            shutil.copy(file, out)
        scan = channels(Path(out))
        for name, echoes in ECHOES.items():
            truth = data / f"{name}.nii.gz"
            yield volumes_row(f"echoes, {name}", "dcmstack's tests", scan, truth, echoes)


def put_alone(file: Path, folder: Path) -> None:
    folder.mkdir()
    shutil.copy(file, folder)


def channels(folder: Path) -> Scan:
    return read(Source(str(folder)), ReadRules(several_volumes="channels"))


def contours(plan: Plan, programs: Path, out: Path) -> Iterator[Row]:
    """A planning system's contours beside what other tools draw, and beside its own volumes."""
    given = ("-r", plan.structures, "-d", plan.series, "-o", out / DRAWN)
    call(programs / "dcmrtstruct2nii", "convert", "-c", "false", *given)
    truths = {"dcmrtstruct2nii 5": {name: nifti(mask_file(out, name)) for name in plan.contours}}
    if tool := shutil.which("plastimatch"):
        truths["plastimatch"] = by_plastimatch(tool, plan, out)
    else:
        print("left out: plastimatch is not installed")
    for number, name in structures_in(plan.structures).names:
        if name not in plan.contours:  # one of them is empty
            continue
        scan = drawn(plan.structures, plan, str(number))
        mask = scan.volumes[0].array > 0
        apart = surface_distances(mask, plan.contours[name])
        whole = filled(plan.contours[name], scan.geometry.shape)
        ours = {
            "surface_voxels": round(float(apart.max()), 4),
            "surface_mean": round(float(apart.mean()), 4),
            "ml": round(float(mask.sum() * np.prod(scan.geometry.spacing) / 1000), 3),
            "planned_ml": round(plan.millilitres[name], 3),
        }
        for truth, masks in truths.items():
            row = mask_row(f"contours, {name}", truth, mask, scan.geometry, masks[name])
            ours["differ_if_filled"] = int((whole != masks[name][0]).sum())
            yield {**row, **ours, "called": scan.header["structures"]["1"]}


def by_plastimatch(tool: str, plan: Plan, out: Path) -> dict[str, Placed]:
    both = out / "both"
    shutil.copytree(plan.series, both)
    shutil.copy(plan.structures, both)
    target = ("--output-prefix", out / "plastimatch", "--prefix-format", "mha")
    call(tool, "convert", "--input", both, *target)
    return {name: meta(out / f"plastimatch/{name}.mha") for name in plan.contours}


def mask_file(out: Path, name: str) -> Path:
    return out / DRAWN / f"mask_{name.replace(' ', '-')}.nii.gz"


def contours_of_masks(plan: Plan, programs: Path, out: Path) -> Iterator[Row]:
    """Contours that rt-utils made of masks, beside these masks."""
    (masks := out / "masks").mkdir()
    for name in TRACED:
        shutil.copy(mask_file(out, name), masks / f"{name}.nii.gz")
    made = out / "rt_utils.dcm"
    call(programs / "python", MAKERS, "rt-utils", plan.series, masks, made)
    for number, name in structures_in(made).names:
        scan = drawn(made, plan, str(number))
        mask, truth = scan.volumes[0].array > 0, nifti(mask_file(out, name))
        row = mask_row(f"contours of a mask, {name}", "rt-utils 1.2.7", mask, scan.geometry, truth)
        yield {**row, "called": scan.header["structures"]["1"]}


def segmentations(plan: Plan, programs: Path, out: Path) -> Iterator[Row]:
    """SEG that dcmqi and pydicom-seg made of a label map, on the series, beside that label map."""
    files = {name: mask_file(out, name) for name in SEGMENTED}
    labels = np.max(
        [number * nifti(file)[0] for number, file in enumerate(files.values(), 1)], axis=0
    )
    image = sitk.GetImageFromArray(labels.astype(np.uint8))
    image.CopyInformation(sitk.ReadImage(str(next(iter(files.values())))))
    sitk.WriteImage(image, str(map_file := out / "labels.nrrd"))
    (names := out / "names.json").write_text(json.dumps(metainfo()))
    for kind in ("binary", "labelmap"):
        made = out / f"dcmqi_{kind}.dcm"
        words = {
            "inputImageList": map_file,
            "inputDICOMDirectory": plan.series,
            "outputDICOM": made,
        }
        words |= {"inputMetadata": names, "segmentationType": kind}
        tool = programs / "itkimage2segimage"
        call(tool, *(word for key, value in words.items() for word in (f"--{key}", value)))
        yield labels_row(f"segmentation, {kind}", "dcmqi 1.5.7", drawn(made, plan), labels, image)
    made = out / "pydicom_seg.dcm"
    call(programs / "python", MAKERS, "pydicom-seg", plan.series, map_file, names, made)
    yield labels_row("segmentation, cropped", "pydicom-seg 0.4.1", drawn(made, plan), labels, image)


def metainfo() -> dict[str, Any]:
    """What dcmqi and pydicom-seg want to know of segments."""
    tissue = {"CodeValue": "85756007", "CodingSchemeDesignator": "SCT", "CodeMeaning": "Tissue"}
    segments = [
        {
            "labelID": number,
            "SegmentLabel": name,
            "SegmentDescription": name,
            "SegmentAlgorithmType": "MANUAL",
            "SegmentedPropertyCategoryCodeSequence": tissue,
            "SegmentedPropertyTypeCodeSequence": tissue,
            "recommendedDisplayRGBValue": [200, 60 * number, 90],
        }
        for number, name in enumerate(SEGMENTED.values(), start=1)
    ]
    told = {
        "ContentCreatorName": "x",
        "SeriesDescription": "x",
        "SeriesNumber": "9",
        "InstanceNumber": "1",
    }
    told |= {"ContentLabel": "X", "ContentDescription": "x", "BodyPartExamined": ""}
    told |= {"ClinicalTrialSeriesID": "1", "ClinicalTrialTimePointID": "1"}
    return {**told, "segmentAttributes": [segments]}


def drawn(file: Path, plan: Plan, volume: str = "") -> Scan:
    return read(Source(str(file), volume=volume, drawn_on=Source(str(plan.series))), ReadRules())


def call(*words: object) -> None:
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{words[0]} failed:\n{done.stdout}{done.stderr}")


@contextmanager
def reported() -> Iterator[None]:
    """What cannot be had is told and left out."""
    try:
        yield
    except MissingDataError as error:
        print(f"left out: {error}")


def found(work: Path) -> Iterator[Row]:
    """All rows."""
    programs = tools(work)
    yield from volumes(work, programs)
    with reported(), tempfile.TemporaryDirectory() as scratch:
        slices_of = unpacked("pysuv", work) / "pysuv-0.1.0/tests/data"
        yield phantom(slices_of)
        by_pysuv = partial(call, programs / "python", MAKERS, "pysuv")
        yield slices(slices_of, by_pysuv, Path(scratch))
    with reported(), tempfile.TemporaryDirectory() as scratch:
        data = unpacked("dicompyler-core", work)
        example = data / "dicompyler-core-0.5.6/tests/testdata/example_data"
        plan = write_plan(example, Path(scratch) / "plan")
        yield from contours(plan, programs, Path(scratch))
        yield from contours_of_masks(plan, programs, Path(scratch))
        yield from segmentations(plan, programs, Path(scratch))


def main() -> None:
    with_one_blas_thread()
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    rows = []
    print(f"{'data':36} {'truth':18} {'differ':>8} {'of':>11} {'mm':>9} {'surface':>8}")
    for row in found(options.work.resolve()):
        rows.append(row)
        if "voxels" not in row:
            print(", ".join(f"{name} {value}" for name, value in row.items()))
            continue
        of = row.get("inside", row["voxels"])
        surface = row.get("surface_voxels", "")
        what = f"{row['data']:36} {row['truth']:18} {row['differ']:8,} {of:11,}"
        print(f"{what} {row['apart_mm']:9.6f} {surface:>8}", flush=True)
    if options.json:
        told = {
            "machine": machine(),
            "versions": versions("numpy", "pydicom", "nibabel", "SimpleITK"),
        }
        options.json.write_text(json.dumps(told | {"rows": rows}, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
