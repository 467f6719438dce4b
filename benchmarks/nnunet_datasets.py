"""Raw nnU-Net data sets: eight small ones that meet every rule of its planner, and one like clinical CT.

    python benchmarks/nnunet_datasets.py RAW --scans FOLDER [--only 701 709] [--small]

701 to 705 are cut from the test scans, 706 to 709 come from a seed. What is there already is left alone.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

import clinical
import phantom


@dataclass(frozen=True)
class Dataset:
    """A raw data set that is being written."""

    folder: Path
    ending: str

    def case(self, name: str, images: Sequence[sitk.Image], label: sitk.Image) -> None:
        for number, image in enumerate(images):
            self.write(image, f"imagesTr/{name}_{number:04d}{self.ending}")
        self.write(label, f"labelsTr/{name}{self.ending}")

    def write(self, image: sitk.Image, path: str) -> None:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        sitk.WriteImage(image, str(file), useCompression=True)

    def describe(
        self, channels: Sequence[str], labels: dict[str, Any], cases: int, **more: Any
    ) -> None:
        """``dataset.json``, which is written last: with it a data set counts as there."""
        tree = {
            "channel_names": {str(number): name for number, name in enumerate(channels)},
            "labels": labels,
            "numTraining": cases,
            "file_ending": self.ending,
            **more,
        }
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "dataset.json").write_text(json.dumps(tree, indent=2))


def lung_aniso(folder: Path, scans: Path) -> None:
    """CT of 5 mm slices, one small lesion, several spacings, NRRD."""
    data = Dataset(folder, ".nrrd")
    image = sitk.ReadImage(str(scans / "pyradiomics/lung1_image.nrrd"))
    label = sitk.ReadImage(str(scans / "pyradiomics/lung1_label.nrrd"), sitk.sitkUInt8)
    cuts = {
        "lung_a": np.s_[:, :, :],
        "lung_b": np.s_[40:472, 40:472, 8:48],
        "lung_c": np.s_[:, :, ::2],
        "lung_d": np.s_[::2, ::2, :],
        "lung_e": np.s_[64:448, 100:400, 16:],
    }
    for name, part in cuts.items():
        data.case(name, [image[part]], label[part])
    data.describe(["CT"], {"background": 0, "lesion": 1}, len(cuts))


def total_seg(folder: Path, scans: Path) -> None:
    """CT with 117 structures, some of them absent, and a case of another spacing."""
    data = Dataset(folder, ".nii.gz")
    pairs = {
        "ts_full": ("example_ct.nii.gz", "example_seg_fast_force_split.nii.gz"),
        "ts_sm": ("example_ct_sm.nii.gz", "example_seg.nii.gz"),
    }
    cuts = {
        "ts_crop": np.s_[10:110, 5:95, 20:100],
        "ts_thin": np.s_[:, :, ::2],
        "ts_low": np.s_[20:100, :, :60],
    }
    for name, files in pairs.items():
        image, label = (sitk.ReadImage(str(scans / "totalseg" / file)) for file in files)
        label.CopyInformation(image)
        data.case(name, [image], label)
        for part_name, part in cuts.items() if name == "ts_full" else ():
            data.case(part_name, [image[part]], label[part])
    structures = {f"structure_{value:03d}": value for value in range(1, 118)}
    data.describe(["CT"], {"background": 0, **structures}, 5)


def stroke_regions(folder: Path, scans: Path) -> None:
    """MR of three channels and regions, so much of it zero that only the inside is normalised."""
    data, channels = Dataset(folder, ".nii.gz"), ["T1", "T2", "FLAIR"]
    files = [scans / f"stroke_mr/{name}.nii.gz" for name in (*channels, "lesion")]
    *images, seg = (sitk.GetArrayFromImage(sitk.ReadImage(str(file))) for file in files)
    seg[~np.any([image != 0 for image in images], 0)] = 0
    margins = {
        "mr_a": (20, 20, 20),
        "mr_b": (25, 10, 10),
        "mr_c": (5, 30, 15),
        "mr_d": (16, 16, 16),
        "mr_e": (30, 5, 25),
    }
    for name, margin in margins.items():
        every = 2 if name == "mr_d" else 1
        parts = [np.pad(array, [(n, n) for n in margin])[::every] for array in (*images, seg)]
        *padded, mask = (to_image(part, (1.0, 1.0, float(every))) for part in parts)
        data.case(name, padded, mask)
    regions = {"background": 0, "whole": [1, 2, 3], "core": [2, 3], "spot": 3}
    data.describe(channels, regions, 5, regions_class_order=[1, 2, 3])


def lung_ignore(folder: Path, scans: Path) -> None:
    """CT with a label to be ignored and a case without any; the files are named in dataset.json."""
    data, source = Dataset(folder, ".mha"), scans / "elastix_lung_ct_mha"
    image = sitk.ReadImage(str(source / "3DCT_lung_baseline_small.mha"))
    mask = sitk.ReadImage(str(source / "3DCT_lung_baseline_mask.mha"))
    mask = sitk.Resample(mask, image, sitk.Transform(), sitk.sitkNearestNeighbor)
    seg = sitk.GetArrayFromImage(mask).astype(np.uint8)
    seg[sitk.GetArrayFromImage(image) > 200] = 2
    seg[::4] = 3  # every fourth slice is not annotated
    label = to_image(seg)
    label.CopyInformation(image)
    cuts = {
        "small_a": np.s_[:, :, :],
        "small_b": np.s_[4:54, 10:70, 6:60],
        "small_c": np.s_[:, 20:, :50],
        "small_d": np.s_[10:, :60, 3:],
        "small_e": np.s_[:, :, 30:],
    }
    listed = {}
    for name, part in cuts.items():
        images, named = [f"images/{name}.mha"], f"labels/{name}_seg.mha"
        data.write(image[part], images[0])
        data.write(label[part] * (name != "small_e"), named)
        listed[name] = {"images": images, "label": named}
    classes = {"background": 0, "lung": 1, "bone": 2, "ignore": 3}
    data.describe(["CT"], classes, len(cuts), dataset=listed)


def brain_thick(folder: Path, scans: Path) -> None:
    """MR of slices of 4 to 7 mm, NRRD."""
    data = Dataset(folder, ".nrrd")
    image = sitk.ReadImage(str(scans / "pyradiomics/brain1_image.nrrd"))
    label = sitk.ReadImage(str(scans / "pyradiomics/brain1_label.nrrd"), sitk.sitkUInt8)
    cuts: dict[str, tuple[Any, float]] = {
        "brain_a": (np.s_[:, :, :], 6.5),
        "brain_b": (np.s_[20:230, 10:250, 2:24], 6.5),
        "brain_c": (np.s_[:, :, :], 4.0),
        "brain_d": (np.s_[:, :, 4:22], 6.5),
        "brain_e": (np.s_[30:250, 30:250, :], 7.0),
    }
    for name, (part, thickness) in cuts.items():
        parts = image[part], label[part]
        for each in parts:
            each.SetSpacing((*each.GetSpacing()[:2], thickness))
        data.case(name, [parts[0]], parts[1])
    data.describe(["T1"], {"background": 0, "lesion": 1}, len(cuts))


def synth_sagittal(folder: Path, _: Path) -> None:
    """Two channels, CT and one that is not normalised; the coarse axis is the last."""
    data, random = Dataset(folder, ".nii.gz"), np.random.RandomState(706)
    for number, (ct, pet, seg) in enumerate(_sagittal(random)):
        spacing = (2.5 + 0.25 * number, 0.7, 0.75)
        images = to_image(ct, spacing), to_image(pet, spacing)
        data.case(f"syn_{number}", images, to_image(seg, spacing))
    data.describe(["CT", "noNorm"], {"background": 0, "organ": 1, "tumour": 2}, 3)


def _sagittal(random: np.random.RandomState) -> Iterator[tuple[np.ndarray, ...]]:
    for number in range(3):
        shape = (280 + 12 * number, 300 - 20 * number, 70 + 4 * number)
        radius = from_centre(shape)
        noise = random.normal(0, 20, shape)
        ct = (np.where(radius < 0.45, 40, -1000) + noise).astype(np.int16)
        pet = (np.exp(-8 * radius) * 5 + random.rand(*shape)).astype(np.float32)
        yield ct, pet, two_shells(radius)


def flat(folder: Path, _: Path) -> None:
    """Images of two axes."""
    data, random = Dataset(folder, ".nii.gz"), np.random.RandomState(706)
    for _volume in _sagittal(random):
        pass  # the numbers go on where those of the volumes stop
    for number in range(6):
        shape = (200 + 10 * number, 260 - 8 * number)
        y, x = np.mgrid[: shape[0], : shape[1]]
        seg = (((y - 100) ** 2 + (x - 120) ** 2) < 1600).astype(np.uint8)
        image = (seg * 80 + random.rand(*shape) * 100).astype(np.float32)
        data.case(f"flat_{number}", [to_image(image, (0.5, 0.5))], to_image(seg, (0.5, 0.5)))
    data.describe(["rescale_to_0_1"], {"background": 0, "disc": 1}, 6)


def synth_cascade(folder: Path, _: Path) -> None:
    """MR so large that a patch covers less than a quarter: a low resolution and a cascade."""
    data, random = Dataset(folder, ".nii.gz"), np.random.RandomState(708)
    for number in range(3):
        shape = (230 + 10 * number, 340 - 10 * number, 330 + 10 * number)
        radius = from_centre(shape)
        inside = 300 - 400 * radius + random.normal(0, 8, shape)
        image = np.where(radius < 0.48, inside, 0).clip(0).astype(np.int16)
        spacing = (1.0, 1.0, 1.0 + 0.1 * number)
        data.case(
            f"big_{number}", [to_image(image, spacing)], to_image(two_shells(radius), spacing)
        )
    data.describe(["T2"], {"background": 0, "organ": 1, "tumour": 2}, 3)


def clinical_ct(
    folder: Path, _: Path, shape: phantom.Shape = phantom.SHAPE, cases: int = clinical.CASES
) -> None:
    """CT with a scanner's noise, of many slices and a spacing of its own each, and eight structures."""
    data = Dataset(folder, ".nii.gz")
    for number in range(cases):
        image, label, spacing = clinical.case(shape, number)
        data.case(f"ct_{number}", [to_image(image, spacing)], to_image(label, spacing))
    data.describe(["CT"], clinical.LABELS, cases)


def to_image(array: np.ndarray, spacing: Sequence[float] = (1.0, 1.0, 1.0)) -> sitk.Image:
    """An array ``z, y, x`` as an image; spacing is x, y, z in mm."""
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(spacing)
    return image


def from_centre(shape: Sequence[int]) -> np.ndarray:
    """How far each voxel is from the centre, in lengths of the volume."""
    axes = np.ogrid[tuple(slice(n) for n in shape)]
    parts = [(axis / n - 0.5) ** 2 for axis, n in zip(axes, shape, strict=True)]
    return (parts[0] + parts[1] + parts[2]) ** 0.5


def two_shells(radius: np.ndarray) -> np.ndarray:
    return (radius < 0.3).astype(np.uint8) + (radius < 0.12)


Writer = Callable[[Path, Path], None]
DATASETS: dict[int, tuple[str, Writer]] = {
    701: ("LungAniso", lung_aniso),
    702: ("TotalSeg", total_seg),
    703: ("StrokeRegions", stroke_regions),
    704: ("LungIgnore", lung_ignore),
    705: ("BrainThick", brain_thick),
    706: ("SynthSagittal", synth_sagittal),
    707: ("Flat", flat),
    708: ("SynthCascade", synth_cascade),
    709: ("ClinicalCt", clinical_ct),
}


def name_of(number: int) -> str:
    """The name of a data set's folder."""
    return f"Dataset{number}_{DATASETS[number][0]}"


def make(raw: Path, scans: Path, numbers: Sequence[int], *, small: bool = False) -> None:
    """Write the data sets of these numbers that are not there; a ``small`` 709 has 3 cases of 48×64×64."""
    for number in numbers:
        folder = raw / name_of(number)
        if (folder / "dataset.json").exists():
            continue
        if number == 709 and small:
            clinical_ct(folder, scans, (48, 64, 64), 3)
        else:
            DATASETS[number][1](folder, scans)
        print(f"wrote {folder}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("raw", type=Path, help="the folder that nnUNet_raw names")
    parser.add_argument(
        "--scans", type=Path, default=Path(os.environ.get("GPUPREP_TEST_DATA", "."))
    )
    parser.add_argument("--only", type=int, nargs="+", default=list(DATASETS), metavar="NUMBER")
    parser.add_argument("--small", action="store_true", help="a small 709, for tries")
    options = parser.parse_args()
    make(options.raw, options.scans, options.only, small=options.small)


if __name__ == "__main__":
    main()
