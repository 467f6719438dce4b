"""Makes ``standards.json``; needs torchio, intensity-normalization, scikit-image."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import nibabel
import numpy as np


def volume(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    tissues = rng.choice([200.0, 500.0, 800.0], size=(10, 11, 12), p=[0.3, 0.5, 0.2])
    values = (tissues + rng.normal(0, 40, tissues.shape)) * (0.5 + seed) + 20 * seed
    values[:2] = 0
    return np.clip(values, 0, 30000).astype("int16")


def torchio_golden(folder: Path) -> dict:
    import torch
    import torchio
    from torchio.transforms.preprocessing.intensity import histogram_standardization as module

    paths = []
    for seed in range(4):
        paths.append(folder / f"{seed}.nii")
        nibabel.save(nibabel.Nifti1Image(volume(seed), np.eye(4)), paths[-1])
    kind = torchio.HistogramStandardization
    standard = kind.train(paths[:3], masking_function=lambda tensor: tensor > 0)
    image = torch.from_numpy(volume(3).astype(np.float32))[None]
    subject = torchio.Subject(mr=torchio.ScalarImage(tensor=image))
    made = kind({"mr": standard}, masking_method=lambda tensor: tensor > 0)(subject)
    ends = tuple(100 * each for each in module.DEFAULT_CUTOFF)
    percentiles = module._get_percentiles(ends)
    used = [place for place, each in enumerate(percentiles) if each not in (25, 75)]  # by its maps
    return {
        "version": torchio.__version__,
        "percentiles": [float(percentiles[place]) for place in used],
        "scale": [float(each) for each in module.STANDARD_RANGE],
        "standard": [float(standard[place]) for place in used],
        "made": [round(float(each), 5) for each in made.mr.data.numpy().ravel()],
    }


def normalization_golden() -> dict:
    import intensity_normalization
    from intensity_normalization.adapters.images import create_image
    from intensity_normalization.normalizers.population.nyul import NyulNormalizer

    images = [create_image(volume(seed).astype(np.float64)) for seed in range(4)]
    masks = [create_image((volume(seed) > 0).astype(np.float64)) for seed in range(4)]
    fitted = NyulNormalizer()
    fitted.fit_population(images[:3], masks[:3])
    made = fitted.transform(images[3], masks[3]).get_data()
    return {
        "version": intensity_normalization.__version__,
        "percentiles": [float(each) for each in fitted.percentiles],
        "scale": [float(fitted.output_min_value), float(fitted.output_max_value)],
        "standard": [float(each) for each in np.ravel(fitted.standard_scale)],
        "made": [round(float(each), 5) for each in np.ravel(made)],
    }


def matching_golden() -> dict:
    import skimage
    from skimage.exposure import match_histograms

    image, reference = volume(0) // 4, volume(1) // 8
    made = match_histograms(image.astype(np.float64), reference.astype(np.float64))
    return {"version": skimage.__version__, "made": np.ravel(made).tolist()}


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        golden = {
            "torchio": torchio_golden(Path(name)),
            "intensity_normalization": normalization_golden(),
            "scikit_image": matching_golden(),
        }
    Path(sys.argv[1]).write_text(json.dumps(golden) + "\n")
