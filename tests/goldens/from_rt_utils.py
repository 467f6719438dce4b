"""Makes ``rt_utils.npz``: the contours that rt-utils 1.2.7 makes of masks, and the masks it reads back.

Not run by the tests. In an environment with rt-utils and ``pydicom<3``, on the series of
``support.structures.write_image``, which another environment wrote to a folder:

    python tests/goldens/from_rt_utils.py FOLDER

Points are in indices ``x, y, z``. The pixels are made square for it, as this version takes the spacing of
rows for that of columns.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
import rt_utils
from pydicom import dcmread

SHAPE = (6, 20, 24)
SIDE = 0.8  # mm


def masks() -> dict[str, np.ndarray]:
    """Random blobs with holes and single voxels; a ball; rows and a voxel of their own."""
    noise = np.random.default_rng(7).random(SHAPE)
    smooth = sum(np.roll(noise, shift, axis) for axis in (1, 2) for shift in (-1, 0, 1))
    z, y, x = np.indices(SHAPE)
    lines = np.zeros(SHAPE, bool)
    lines[2, 4:9, 7:12] = True
    lines[2, 15, 3:9] = lines[3, 2:8, 20] = lines[4, 10, 10] = True
    ball = ((z - 2.5) / 2.4) ** 2 + ((y - 9) / 7.5) ** 2 + ((x - 12) / 9) ** 2 <= 1
    return {"blobs": smooth > 3.1, "ball": ball, "lines": lines}


def main(folder: str) -> None:
    for file in Path(folder).iterdir():
        one = dcmread(file)
        one.PixelSpacing = [SIDE, SIDE]
        one.save_as(file)
        if one.InstanceNumber == 1:
            origin, step = np.array(one.ImagePositionPatient, float), float(one.SliceThickness)
    structures = rt_utils.RTStructBuilder.create_new(dicom_series_path=folder)
    given = masks()
    for name, mask in given.items():
        structures.add_roi(mask=mask.transpose(1, 2, 0), name=name)
    found: dict[str, np.ndarray] = {}
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "rt.dcm"
        structures.save(str(path))
        dataset = dcmread(path)
    for name, each in zip(given, dataset.ROIContourSequence, strict=True):
        contours = [np.reshape(one.ContourData, (-1, 3)) for one in each.ContourSequence]
        found[f"{name} lengths"] = np.array([len(one) for one in contours])
        points = np.concatenate(contours).astype(float)
        found[f"{name} points"] = (points - origin) / [SIDE, SIDE, step]
        found[f"{name} mask"] = given[name]
    np.savez_compressed(Path(__file__).with_name("rt_utils.npz"), **found)


if __name__ == "__main__":
    main(sys.argv[1])
