"""Transfer syntaxes: who decodes the pixels of which, and why others cannot be read.

GDCM, inside SimpleITK, decodes what it decodes rightly. pydicom's decoders do where it has none: for
High-Throughput JPEG 2000 with the package of the extra ``dicom``, for RLE with nothing.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Literal

from pydicom.uid import UID, RLELossless

from gpuprep.values.errors import InputError

Decoder = Literal["none", "gdcm", "pydicom"]

_JPEG = "1.2.840.10008.1.2.4."
_BY_GDCM = frozenset(
    {str(RLELossless), *(f"{_JPEG}{number}" for number in (50, 51, 57, 70, 80, 81, 90, 91, 92, 93))}
)
"""RLE, JPEG, JPEG-LS, JPEG 2000; part 2 of the last one where a stream keeps to part 1 (see ``length``)."""
_BY_PYDICOM = frozenset(f"{_JPEG}{number}" for number in (201, 202, 203))
"""High-Throughput JPEG 2000."""
_LOSSY = frozenset(f"{_JPEG}{number}" for number in (50, 51, 81, 91, 93, 203, 112))
_NAMES = {
    f"{_JPEG}110": "JPEG XL Lossless",
    f"{_JPEG}111": "JPEG XL JPEG Recompression",
    f"{_JPEG}112": "JPEG XL",
}
"""Of syntaxes that pydicom 3 does not know."""
_PACKAGE = "pylibjpeg-openjpeg"


def check_syntax(syntax: UID, path: Path) -> None:
    """Refuse a transfer syntax whose pixels nobody decodes.

    Raises:
        InputError: E_UNREADABLE.
    """
    if decoder_of(syntax) == "pydicom" and not _has_package(syntax):
        raise InputError(
            "E_UNREADABLE",
            f"pixels in the transfer syntax {syntax.name} are decoded by {_PACKAGE}, which is not installed",
            path=str(path),
            advice="pip install 'gpuprep[dicom]', or export the series as JPEG 2000.",
        )
    known = syntax.is_transfer_syntax or str(syntax) in _NAMES
    if not known or (decoder_of(syntax) == "gdcm" and syntax not in _BY_GDCM):
        name = name_of(syntax)
        named = name if name == str(syntax) else f"{name} ({syntax})"
        raise InputError(
            "E_UNREADABLE",
            f"there is no decoder for pixels in the transfer syntax {named}",
            path=str(path),
            advice="Export the series without compression, or as JPEG 2000 or JPEG-LS.",
        )


def decoder_of(syntax: UID) -> Decoder:
    """Who decodes it: ``none`` where pixels are plain words."""
    if syntax in _BY_PYDICOM:
        return "pydicom"
    compressed = str(syntax) in _NAMES or (syntax.is_transfer_syntax and syntax.is_compressed)
    return "gdcm" if compressed else "none"


def name_of(syntax: UID) -> str:
    return _NAMES.get(str(syntax), syntax.name)


def is_lossy(syntax: UID) -> bool:
    """Whether the syntax itself loses something, whatever the header says."""
    return syntax in _LOSSY


@cache
def _has_package(syntax: UID) -> bool:
    from pydicom.pixels import get_decoder  # takes a while

    return bool(get_decoder(syntax).is_available)
