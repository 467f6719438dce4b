"""SUV of public PET: QIBA's phantom with its published values, and slices of scanners beside pysuv.

QIBA's digital reference object has SUV 4.11 in its hottest voxel, -0.11 in its coldest and 1.00 in its body;
its user guide of 2013 accepts 0.005 to either side. The slices are of scanners of three makers, one of a
series each, so that only their headers are asked.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from pydicom import dcmread

from gpuprep.io.dicom.pet import pet_of
from gpuprep.io.dicom.uptake import factor_of
from gpuprep.io.reader import read
from gpuprep.io.rules import ReadRules
from gpuprep.io.suv import NoSuvError
from gpuprep.values.case import Source
from public_rows import Row

HOTTEST, COLDEST, BODY = 4.11, -0.11, 1.0
EQUAL = 1e-4  # relative


def phantom(data: Path) -> Row:
    """QIBA's phantom, read and multiplied as a case is."""
    scan = read(Source(str(data / "qiba_dro/female_slice_040")), ReadRules(suv=("bodyweight",)))
    suv = scan.volumes[0].array * scan.header["suv"]["bodyweight"]["factor"]
    found = {"hottest": suv.max(), "coldest": suv.min(), "body": np.median(suv[suv > 0.5])}
    wanted = {"hottest": HOTTEST, "coldest": COLDEST, "body": BODY}
    off = max(abs(float(found[name]) - value) for name, value in wanted.items())
    told = {name: round(float(value), 6) for name, value in found.items()}
    return {"data": "QIBA's phantom", "truth": "QIBA", **told, "off": round(off, 6)}


def slices(data: Path, factors: Callable[[Path, Path], None], scratch: Path) -> Row:
    """Factors by weight of all slices; ``factors`` has pysuv write its own to a file."""
    folder = data / "idc_vendor_samples"
    factors(folder, scratch / "pysuv.json")
    theirs = json.loads((scratch / "pysuv.json").read_text())
    counts = dict.fromkeys(("equal", "differ", "neither", "ours_alone", "theirs_alone"), 0)
    differing, notes = {}, 0
    for name, other in theirs.items():
        factor, told = own_factor(folder / name)
        notes += told
        if factor and other:
            alike = abs(factor / other - 1) <= EQUAL
            counts["equal" if alike else "differ"] += 1
            if not alike:
                differing[name] = round(factor / other, 5)
        else:
            counts["ours_alone" if factor else "theirs_alone" if other else "neither"] += 1
    told = {"data": "slices of scanners", "truth": "pysuv 0.1.0", "slices": len(theirs), **counts}
    return {**told, "assumed": notes, "ours_to_theirs": differing}


def own_factor(file: Path) -> tuple[float, bool]:
    """The factor by the header of one slice, 0 where there is none; and whether something was assumed."""
    try:
        factor, notes = factor_of([pet_of(dcmread(file, stop_before_pixels=True))], "bodyweight")
    except NoSuvError:
        return 0.0, False
    return factor.factor, bool(notes)
