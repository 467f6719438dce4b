"""Texts that would run, break out or mislead where a page takes them for anything but text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel
import numpy as np

from gpuprep.ledger.index import rebuild_manifest
from gpuprep.store.layout import case_folder
from gpuprep.store.record import read_record, write_record
from support.dicom_series import write_series
from support.phantoms import store

IMAGE = "<img src=x onerror=window.ran=1>"
SCRIPT = "</script><script>window.ran=1</script>"
QUOTES = "\"'><svg onload=window.ran=1> &amp; `${window.ran=1}`"
TURNED = "abc\u202egnp.exe"
TEXTS = (IMAGE, SCRIPT, QUOTES, TURNED)
CASE_IDS = (IMAGE, "\"'><svg onload=window.ran=1>&amp;", TURNED, "100%25 #1?x=y&z=1;+ é")
LABEL = "<b onmouseover=window.ran=1>liver"
CONFIG: dict[str, Any] = {
    "image": {"intensity": [{"clip": {"low": 0, "high": 400}}]},
    "label": {"names": {LABEL: 1}},
}


def hostile_cohort(folder: Path, output: Path) -> Path:
    """Series whose ids, headers, attributes and label names are hostile.

    A manifest refuses most of these ids; a folder that somebody else filled need not.
    """
    folder.mkdir()
    rows = []
    for number in range(len(CASE_IDS)):
        write_series(
            folder / f"s{number}", [0.0, 2.0, 4.0, 6.0, 8.0, 10.0],
            PatientName=SCRIPT, PatientID=QUOTES[:60], SeriesDescription=SCRIPT, StudyDescription=IMAGE,
            SpecificCharacterSet="ISO_IR 192",
            Manufacturer=QUOTES[:60], ProtocolName=TURNED, SeriesInstanceUID=f"1.2.3.{number}",
        )  # fmt: skip
        label = f"label-{number}.nii"
        array = np.zeros((5, 4, 6), np.uint8)
        array[1:3, 1:3, 2:4] = 1
        place = np.array([[-0.25, 0, 0, -1], [0, -0.5, 0, -2], [0, 0, 2, 0], [0, 0, 0, 1.0]])
        nibabel.save(nibabel.Nifti1Image(array, place), folder / label)
        attributes = {"site": TEXTS[number], SCRIPT: QUOTES}
        rows.append({"case_id": f"s{number}", "image": f"s{number}", "label": label, **attributes})
    store(folder, rows, output, CONFIG)
    for number, case_id in enumerate(CASE_IDS):
        named = case_folder(output, f"s{number}").rename(case_folder(output, case_id))
        write_record(named, {**read_record(named), "case": case_id}, durable=False)
    rebuild_manifest(str(output))
    return output
