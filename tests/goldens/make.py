"""Makes the golden arrays: what other tools' own functions give for small synthetic volumes.

Not run by the tests; ``goldens.json`` names the versions that made what is stored. To make them anew, in
a virtual environment of its own (``--no-deps`` keeps CUDA packages out):

    pip install torch==2.13.0
    pip install --no-deps nnunetv2==2.8.1 batchgenerators==0.25.5 batchgeneratorsv2==0.3.6 \
        acvl-utils==0.2.6 dynamic-network-architectures==0.4.4 timm==1.0.22 monai==1.5.1 torchio==1.2.1
    echo torch==2.13.0 > constraints.txt
    pip install -c constraints.txt numpy==2.4.6 scipy==1.17.1 scikit-image==0.26.0 SimpleITK==2.5.7 nibabel \
        blosc2 pandas scikit-learn tifffile imagecodecs requests tqdm yacs einops connected-components-3d \
        future unittest2 threadpoolctl humanize rich typer deprecated jaxtyping
    python tests/goldens/make.py

Arrays are ``z, y, x`` (channels first where there are several), spacings in ``goldens.json`` too; affines
are RAS for index ``x, y, z``. Files are plain ``.npz``: arrays of numbers, nothing pickled.
"""

from __future__ import annotations

import importlib.metadata
import json
import platform
import warnings
from pathlib import Path

import numpy as np
from content import Array
from from_nnunet import CT, nnunet_boxes, nnunet_cases, nnunet_rules
from from_nnunet_masks import nnunet_masks
from from_peers import GRIDS, itk_cases, monai_cases, torchio_cases

FOLDER = Path(__file__).parent
PACKAGES = (
    "nnunetv2",
    "batchgenerators",
    "acvl_utils",
    "torch",
    "numpy",
    "scipy",
    "scikit-image",
    "monai",
    "torchio",
    "SimpleITK",
    "nibabel",
)


def save(name: str, arrays: dict[str, Array]) -> None:
    assert all(array.dtype.kind in "iuf" for array in arrays.values())
    np.savez_compressed(FOLDER / f"{name}.npz", **arrays)


def main() -> None:
    warnings.simplefilter("ignore")
    cases, described = nnunet_cases()
    masks, told = nnunet_masks()
    save("nnunet", cases)
    save("nnunet_masks", masks)
    save("nnunet_rules", nnunet_rules() | nnunet_boxes())
    save("monai", monai_cases())
    save("torchio", torchio_cases())
    save("itk", itk_cases())
    versions = {name: importlib.metadata.version(name) for name in PACKAGES}
    grids = {name: {"spacing": s, "target": t} for name, (_, s, t) in GRIDS.items()}
    record = {
        "versions": {"python": platform.python_version(), **versions},
        "ct": CT,
        "nnunet": described,
        "nnunet_masks": told,
        "grids": grids,
    }
    (FOLDER / "goldens.json").write_text(json.dumps(record, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
