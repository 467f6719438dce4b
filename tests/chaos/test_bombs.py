"""Headers and streams that ask for gigabytes: refused with less than 300 MB in both processes."""

from __future__ import annotations

import gzip
import io
import json
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
from chaos.fuzz_samples import Sample, make_samples

READ = """
import json, sys
from gpuprep.values.case import Source
from gpuprep.values.errors import CaseError
from gpuprep.io.rules import ReadRules
from gpuprep.io.sandbox.parent import Sandbox

def peak(pid):
    with open(f"/proc/{pid}/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM"))

with Sandbox(ReadRules(max_bytes=int(sys.argv[2]), timeout_seconds=60)) as sandbox:
    code = "read"
    try:
        sandbox.read(Source(sys.argv[1]))
    except CaseError as error:
        code = getattr(error, "code", error.kind)
    print(json.dumps({"code": code, "child": peak(sandbox.pid), "parent": peak("self")}))
"""
GIB = 2**30
MOST = 300_000_000


def outcome(path: Path, max_bytes: int = 16 * GIB) -> dict[str, int | str]:
    """How a fresh process fares with a file: the code, and the peak memory of it and its reader."""
    done = subprocess.run(
        [sys.executable, "-c", READ, str(path), str(max_bytes)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return json.loads(done.stdout)


def header_of(*size: int) -> bytes:
    """A NIfTI-1 header of int16 voxels."""
    header = nibabel.Nifti1Image(np.zeros((1, 1, 1), np.int16), np.eye(4)).header
    header.set_data_shape(size)
    header["vox_offset"] = 352
    return header.binaryblock[:344] + b"n+1\0" + bytes(4)


def sample(name: str) -> Sample:
    return next(one for one in make_samples() if one.name == name)


def with_size(name: str) -> bytes:
    """A MetaImage or NRRD file that declares as many voxels of int16 as are allowed: 8 GB."""
    content = next(iter(sample(name).files.values()))
    return content.replace(b"8 7 6", b"2000 2000 1000")


def series(name: str, **tags: object) -> bytes:
    dataset = pydicom.dcmread(io.BytesIO(sample(name).files["0.dcm"]))
    for keyword, value in tags.items():
        setattr(dataset, keyword, value)
    written = io.BytesIO()
    dataset.save_as(written)
    return written.getvalue()


BOMBS = {
    "16 GiB": (lambda: header_of(2048, 2048, 2048), "E_LIMIT"),
    "nii": (lambda: header_of(2000, 2000, 1000), "E_TRUNCATED"),
    "nii.gz": (lambda: gzip.compress(header_of(2000, 2000, 1000)), "E_TRUNCATED"),
    "mha": (lambda: with_size(".mha"), "E_TRUNCATED"),
    "mha deflated": (lambda: with_size(".mha deflated"), "E_TRUNCATED"),
    "nrrd": (lambda: with_size(".nrrd"), "E_TRUNCATED"),
    "nrrd deflated": (lambda: with_size(".nrrd deflated"), "E_TRUNCATED"),
    "nrrd hex": (lambda: with_size(".nrrd hex"), "E_TRUNCATED"),
    "dcm": (lambda: series("dicom single", Rows=60_000, Columns=60_000), "E_TRUNCATED"),
    "frames": (lambda: series("dicom JPEG", NumberOfFrames=10**9), "E_LIMIT"),
    "many frames": (lambda: series("dicom JPEG", NumberOfFrames=65_535), "E_TRUNCATED"),
    "J2K": (lambda: series("dicom JPEG2000", Rows=60_000, Columns=60_000), "E_UNREADABLE"),
    "element": (
        lambda: series("dicom JPEG") + b"\xfc\xff\xfc\xffOB\0\0\xf0\xff\xff\xff" + bytes(9),
        "E_UNREADABLE",
    ),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_header_that_asks_for_gigabytes_is_refused_before_they_are_taken(tmp_path, name):
    make, code = BOMBS[name]
    path = tmp_path / "bomb"
    path.write_bytes(make())
    told = outcome(path)
    assert told["code"] == code
    assert told["child"] < MOST
    assert told["parent"] < MOST


def test_a_stream_that_expands_a_thousandfold_is_cut_off(tmp_path):
    """Zeros without end behind a small volume: counted, and let go of, as they come."""
    path = tmp_path / "bomb.nii.gz"
    zeros = gzip.compress(bytes(GIB // 16))
    path.write_bytes(gzip.compress(header_of(4, 4, 4) + bytes(128)) + 16 * zeros)
    told = outcome(path, max_bytes=GIB // 4)
    assert told["code"] == "E_LIMIT"
    assert told["child"] < MOST
    assert told["parent"] < MOST


def test_a_stream_that_holds_more_than_allowed_is_refused_by_its_header(tmp_path):
    path = tmp_path / "large.nii.gz"
    path.write_bytes(
        gzip.compress(header_of(512, 512, 2048)) + 16 * gzip.compress(bytes(GIB // 16))
    )
    told = outcome(path, max_bytes=GIB // 4)
    assert told["code"] == "E_LIMIT"
    assert told["child"] < MOST
