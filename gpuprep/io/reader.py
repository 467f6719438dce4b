"""Reading a source in this process: find out what it is by its bytes, and read it."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from gpuprep.io.by_itk import cannot, instead
from gpuprep.io.dicom.membership import looks_like_dicom
from gpuprep.io.hashed import open_regular
from gpuprep.io.integrity import GZIP_MAGIC, ByteSource
from gpuprep.io.limits import check_inside
from gpuprep.io.nifti.header import looks_like_nifti
from gpuprep.io.nifti.scan import header_path, peek_nifti, read_nifti
from gpuprep.io.rules import Reading, ReadRules
from gpuprep.io.scan import Allocate, Preview, Scan, own_memory
from gpuprep.io.text.metaimage import looks_like_meta
from gpuprep.io.text.nrrd import looks_like_nrrd
from gpuprep.io.text.scan import peek_text_volume, read_text_volume
from gpuprep.values.case import PICTURE_SUFFIXES, Source
from gpuprep.values.codes import Policy
from gpuprep.values.errors import InputError

if TYPE_CHECKING:
    from gpuprep.io.frames_on_grid import Grid

_PLACES = ("E_TILT", "E_SLICE_GAP")
"""What policies may have a grid ignore of where its slices lie."""
PICTURES = (b"\x89PNG\r\n\x1a\n", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
"""How PNG and TIFF files begin."""


def read(source: Source, rules: ReadRules, allocate: Allocate = own_memory) -> Scan:
    """All voxels of a source, with everything that was found about it.

    Native code reads some formats, and hostile files can crash or hang it: use ``sandbox.Sandbox`` for
    files from elsewhere.

    Raises:
        InputError: the source cannot be used; the code says why.
        MemoryShortage: its voxels do not fit the memory.
        OSError: the file system failed, not the file.
    """
    kind = _sniff(source, rules)
    ways_of = _FORMATS[kind]
    reading = Reading(source.path, rules, rules.findings(), allocate)
    if rules.reader != "itk" or kind == "structures":
        return ways_of(source, reading).read()
    try:
        scan = ways_of(source, reading).read()
    except InputError as error:
        return ways_of(source, instead(error, reading)).read()
    from gpuprep.io.itk import ITK_VERSION  # is loaded by now

    return replace(scan, header={**scan.header, "reader": ITK_VERSION})


def peek(source: Source, rules: ReadRules) -> Preview:
    """What the headers of a source promise; no voxel is decoded and no native code runs.

    Raises:
        InputError: what headers and file sizes can tell of the errors of ``read``.
        OSError: the file system failed, not the file.
    """
    ways_of = _FORMATS[_sniff(source, rules)]
    reading = Reading(source.path, rules, rules.findings())
    if rules.reader != "itk":
        return ways_of(source, reading).peek()
    try:
        return ways_of(source, reading).peek()
    except InputError as error:
        return ways_of(source, instead(error, reading)).peek()


class _Ways(NamedTuple):
    """What is done with one source."""

    read: Callable[[], Scan]
    peek: Callable[[], Preview]


def _both(read_it: Callable[..., Scan], peek_at_it: Callable[..., Preview], *told: object) -> _Ways:
    return _Ways(partial(read_it, *told), partial(peek_at_it, *told))


def _of_structures(source: Source, reading: Reading) -> _Ways:
    from gpuprep.io.dicom.drawn.scan import peek_structures, read_structures  # loads pydicom

    image = _drawn_on(source, reading.rules)
    return _both(read_structures, peek_structures, reading, image, source.volume)


def _of_dicom(source: Source, reading: Reading) -> _Ways:
    from gpuprep.io.dicom.scan import (
        peek_dicom,
        read_dicom,
    )  # loads pydicom, which takes a third of a second

    return _both(read_dicom, peek_dicom, source, reading)


def _of_pictures(source: Source, reading: Reading) -> _Ways:
    if reading.rules.reader == "itk" and not reading.rules.headers_alone:
        text = "pictures, whose place a manifest tells, are read by gpuprep alone"
        raise cannot(reading.path, text)
    from gpuprep.io.picture import peek_picture, read_picture  # loads Pillow

    return _both(read_picture, peek_picture, source, reading)


def _of_nifti(source: Source, reading: Reading) -> _Ways:
    return _both(read_nifti, peek_nifti, reading, source.volume)


def _of_text(kind: str, source: Source, reading: Reading) -> _Ways:
    image = _drawn_on(source, reading.rules)
    return _both(read_text_volume, peek_text_volume, kind, reading, source.volume, image)


_FORMATS: dict[str, Callable[[Source, Reading], _Ways]] = {
    "structures": _of_structures,
    "dicom": _of_dicom,
    "picture": _of_pictures,
    "nifti": _of_nifti,
    "metaimage": partial(_of_text, "metaimage"),
    "nrrd": partial(_of_text, "nrrd"),
}


def _drawn_on(source: Source, rules: ReadRules) -> Grid | None:
    """The grid of the image that structures were drawn on; what is odd about it is said of the image."""
    if source.drawn_on is None:
        return None
    from gpuprep.io.frames_on_grid import Grid

    rules = replace(rules, headers_alone=True)
    preview = peek(source.drawn_on, rules)
    ignored = {code for code in _PLACES if rules.findings().policy(code) in ("warn", "skip")}
    if not ignored:
        return Grid(preview.geometry, preview.heights)
    policy: dict[str, Policy] = {**rules.policy, **dict.fromkeys(ignored, "fix")}
    try:
        true = peek(source.drawn_on, replace(rules, policy=policy))
    except InputError:  # no line or no steps along which they lie
        return Grid(preview.geometry, preview.heights)
    return Grid(preview.geometry, preview.heights, Grid(true.geometry, true.heights))


def _dicom_kind(path: Path) -> str:
    from gpuprep.io.dicom.drawn.scan import tells_structures  # loads pydicom

    return "structures" if tells_structures(str(path)) else "dicom"


def _sniff(source: Source, rules: ReadRules) -> str:
    """Which of the formats a source is, by its first bytes.

    Raises:
        InputError: E_UNREADABLE if it is none of them, E_UNSAFE_PATH if it lies outside the roots.
    """
    path = Path(source.path)
    if source.files and source.files[0].lower().endswith(PICTURE_SUFFIXES):
        return "picture"
    if source.files or path.is_dir():
        return "dicom"
    path = header_path(path)
    check_inside(path, rules)
    with open_regular(path) as file:
        start = file.read(256)
    if looks_like_dicom(start):
        return _dicom_kind(path)
    if looks_like_meta(start):
        return "metaimage"
    if looks_like_nrrd(start):
        return "nrrd"
    if start.startswith(PICTURES):
        return "picture"
    start = _first_bytes(path, start)
    if looks_like_nifti(start):
        return "nifti"
    if start[:2] == GZIP_MAGIC:
        raise InputError(
            "E_UNREADABLE",
            "the file is gzip inside gzip",
            path=str(path),
            advice=f"Decompress it once: gzip -dc {path.name} > once.gz",
        )
    what = f"begins with {start.hex(' ')}" if start else "is empty"
    raise InputError(
        "E_UNREADABLE",
        f"the file {what}, which is none of NIfTI, DICOM, MetaImage, NRRD, PNG and TIFF",
        path=str(path),
        advice="Convert it to one of these, or leave it out.",
    )


def _first_bytes(path: Path, start: bytes) -> bytes:
    """The first four bytes of a file that begins so, decompressed; it is opened again only if it must be."""
    if start[:2] != GZIP_MAGIC:
        return start[:4]
    with suppress(zlib.error):  # which reading it will say more of
        found = zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(start, 4)
        if len(found) == 4:
            return found
    with ByteSource(path) as contents:
        return contents.read(4)
