"""SimpleITK as one decoder among others: named image formats, short errors, nothing taken on faith."""

from __future__ import annotations

import re
from pathlib import Path

import SimpleITK as sitk

from gpuprep.io.integrity import file_identity
from gpuprep.values.errors import InputError, MemoryShortage


def itk_image(path: Path, image_io: str) -> sitk.Image:
    """Read one file with one named reader of ITK.

    Raises:
        InputError: E_UNREADABLE with ITK's reason in one line.
        MemoryShortage: ITK could not have the memory.
        OSError: the file system failed, not the file.
    """
    reader = sitk.ImageFileReader()
    reader.SetImageIO(image_io)
    reader.SetFileName(str(path))
    try:
        return _executed(reader)
    except RuntimeError as error:
        file_identity(path)  # ITK tells a disk that fails and a damaged file not apart; this does
        reason = _reason(str(error))
        if re.search(r"allocate|bad_alloc|memory", reason, re.IGNORECASE):
            raise MemoryShortage(f"{path}: {reason}") from error
        raise InputError(
            "E_UNREADABLE",
            f"ITK cannot read it: {reason}",
            path=str(path),
            advice="Copy or download the file again, or write it anew.",
        ) from error


def _executed(reader: sitk.ImageFileReader) -> sitk.Image:
    """What the reader reads, at the second go if the first one failed: the disk may have, for a moment."""
    try:
        return reader.Execute()
    except RuntimeError:
        return reader.Execute()


def _reason(text: str) -> str:
    """The last line of an ITK error without source lines and object addresses."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    last = re.sub(r"^.*ITK ERROR:\s*", "", lines[-1] if lines else "no reason given")
    return re.sub(r"\w+\(0x[0-9a-f]+\):\s*", "", last)[:300]
