"""RTSTRUCT, SEG and factors of SUV by public tools, by the interpreter of ``public_data.tools``.

    python public_makers.py rt-utils SERIES MASKS OUT.dcm
    python public_makers.py pydicom-seg SERIES LABELS.nrrd NAMES.json OUT.dcm
    python public_makers.py pysuv FOLDER OUT.json

They need pydicom 2. ``MASKS`` is a folder with ``NAME.nii.gz`` of each structure, ``NAMES`` the metainfo that
dcmqi takes too.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np


def rt_utils(series: str, masks: str, out: str) -> None:
    import nibabel
    from rt_utils import RTStructBuilder

    structures = RTStructBuilder.create_new(dicom_series_path=series)
    for file in sorted(Path(masks).glob("*.nii.gz")):
        mask = np.asanyarray(nibabel.load(file).dataobj) > 0  # x, y, z; it wants y, x, z
        structures.add_roi(mask=mask.transpose(1, 0, 2), name=file.name.removesuffix(".nii.gz"))
    structures.save(out)


def pydicom_seg(series: str, labels: str, names: str, out: str) -> None:
    import pydicom
    import pydicom_seg as maker
    import SimpleITK as sitk

    writer = maker.MultiClassWriter(
        template=maker.template.from_dcmqi_metainfo(names),
        inplane_cropping=True,
        skip_empty_slices=True,
        skip_missing_segment=False,
    )
    images = [pydicom.dcmread(file) for file in sorted(Path(series).iterdir())]
    writer.write(sitk.ReadImage(labels), images).save_as(out)


def pysuv(folder: str, out: str) -> None:
    """The factor by weight of every file by its path in the folder; 0 where pysuv has none."""
    import pysuv as tool

    found = {}
    for file in sorted(Path(folder).rglob("*.dcm")):
        try:
            factor = float(tool.get_suv_factor(str(file)).suv_factor)
        except Exception:  # its refusals have no common class
            factor = 0.0
        found[str(file.relative_to(folder))] = factor
    Path(out).write_text(json.dumps(found))


if __name__ == "__main__":
    {"rt-utils": rt_utils, "pydicom-seg": pydicom_seg, "pysuv": pysuv}[sys.argv[1]](*sys.argv[2:])
