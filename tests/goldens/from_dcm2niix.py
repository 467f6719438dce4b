"""Makes ``dcm2niix.npz``: what dcm2niix v1.0.20260724 makes of mosaics and of a public enhanced file.

Not run by the tests. With the binary of PyPI's package ``dcm2niix``, and ``GPUPREP_TEST_DATA`` set:

    PYTHONPATH=tests python tests/goldens/from_dcm2niix.py DCM2NIIX

Affines are NIfTI's (RAS), voxels in its order ``x, y, z[, t]``; of the public file every fourth along each
axis, scaled by RescaleSlope and not by Philips' own slope (``-p n``).
"""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import nibabel
import numpy as np
from support.mosaics import ORIENTATIONS, write_mosaics

FILE = Path(__file__).with_name("dcm2niix.npz")
EVERY = 4  # of the voxels of the public file, along each axis


def converted(tool: str, folder: Path) -> list[tuple[np.ndarray, np.ndarray]]:
    """The affines and voxels of the NIfTI images that come of a folder, by name."""
    with tempfile.TemporaryDirectory() as out:
        words = [tool, "-b", "n", "-p", "n", "-f", "x_%e", "-o", out, str(folder)]
        subprocess.run(words, check=True, capture_output=True)
        images = [nibabel.load(file) for file in sorted(Path(out).glob("*.nii"))]
        return [(image.affine, np.asanyarray(image.dataobj).copy()) for image in images]


def main(tool: str) -> None:
    found: dict[str, np.ndarray] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for orientation in ORIENTATIONS:
            for along in (1, -1):
                key = f"{orientation}{along:+d}"
                folder = write_mosaics(Path(scratch) / key, 2, orientation=orientation, along=along)
                ((found[f"{key} affine"], found[f"{key} voxels"]),) = converted(tool, folder)
        data = Path(nibabel.__file__).parent / "nicom/tests/data"
        for name in ("siemens_dwi_0", "siemens_dwi_1000"):
            folder = Path(scratch) / name
            folder.mkdir()
            (folder / "a.dcm").write_bytes(gzip.decompress((data / f"{name}.dcm.gz").read_bytes()))
            ((found[f"{name} affine"], _),) = converted(tool, folder)
    public = Path(os.environ["GPUPREP_TEST_DATA"]) / "nasty_dicom/philips_enh_mixed_rescale"
    for number, (affine, voxels) in enumerate(converted(tool, public)):
        found[f"philips {number} affine"] = affine
        found[f"philips {number} voxels"] = voxels.squeeze()[::EVERY, ::EVERY, ::EVERY]
    np.savez_compressed(FILE, **found)


if __name__ == "__main__":
    main(sys.argv[1])
