"""A DICOM file whose data set was deflated, as it would be if it had not been (PS3.5, A.5).

The file is shown with the data set inflated behind its preamble and meta elements, and with Explicit VR
Little Endian as its syntax, so that whoever reads it needs no other way. Deflate has no checksum, and few
writers add one: what it gives has to be a chain of elements that ends with it.
"""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

from isal import isal_zlib

from gpuprep.io.hashed import STEP, open_regular
from gpuprep.values.errors import InputError

DEFLATED = "1.2.840.10008.1.2.1.99"
MOST_AROUND = 64 << 20
"""Bytes that all elements of a deflated data set may take, those of the pixels aside."""

_PLAIN = b"1.2.840.10008.1.2.1\0\0\0"  # as long as the other
_META = 132  # where the meta elements begin
_SYNTAX = b"\x02\x00\x10\x00UI"
_MOST_META = 1 << 20
_TRAILER = 8
_LONG = (b"OB", b"OW", b"UN", b"UT", b"SQ")


def open_plain(path: Path, most: int = MOST_AROUND) -> io.IOBase:
    """An open DICOM file; a deflated one as if it were not, of which ``most`` bytes may come out.

    Raises:
        InputError: it cannot be opened; later, when it is read: E_LIMIT if more comes out, E_TRUNCATED or
            E_UNREADABLE if the stream breaks off or is damaged.
    """
    file = open_regular(path)
    start = file.read(2048)
    if DEFLATED.encode() not in start:  # without a data set, or with a meta part of no known kind
        file.seek(0)
        return file
    file.seek(0)
    head = _meta(file.read(_MOST_META))
    file.seek(len(head) if head else 0)
    return Inflated(path, file, head, most) if head else file


def is_deflated(file: io.IOBase) -> bool:
    """Whether a file from ``open_plain`` is inflated as it is read."""
    return isinstance(file, Inflated)


def _meta(start: bytes) -> bytes:
    """Preamble and meta elements of a deflated file, with the other syntax; empty for any other file."""
    at, deflated = _META, False
    while start[at : at + 2] == b"\x02\x00" and at + 12 <= len(start):
        if start[at + 4 : at + 6] in _LONG:
            begin, length = at + 12, struct.unpack_from("<I", start, at + 8)[0]
        else:
            begin, length = at + 8, struct.unpack_from("<H", start, at + 6)[0]
        if start[at : at + 6] == _SYNTAX:
            if start[begin : begin + length].rstrip(b"\0 ") != DEFLATED.encode():
                return b""
            deflated = True
            start = start[:begin] + _PLAIN.ljust(length, b"\0") + start[begin + length :]
        at = begin + length
    return start[:at] if deflated and start[128:_META] == b"DICM" and at <= len(start) else b""


class Inflated(io.RawIOBase):
    """The bytes of a deflated file as they are asked for; what came out stays, to be read again."""

    def __init__(self, path: Path, file: io.BufferedReader, head: bytes, most: int) -> None:
        super().__init__()
        self._path = path
        self._file = file
        self._held, self._head = bytearray(head), len(head)
        self._most = len(head) + most
        self._stream = isal_zlib.decompressobj(-15)
        self._tail = b""
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if whence == io.SEEK_END:
            self._inflate(None)
            offset += len(self._held)
        self._at = offset + (self._at if whence == io.SEEK_CUR else 0)
        return self._at

    def read(self, size: int | None = -1) -> bytes:
        """``size`` bytes from here on, or fewer at the end."""
        end = None if size is None or size < 0 else self._at + size
        self._inflate(end)
        piece = bytes(self._held[self._at : end])
        self._at += len(piece)
        return piece

    def close(self) -> None:
        self._file.close()
        super().close()

    def _inflate(self, end: int | None) -> None:
        """Have all bytes up to ``end``, or all there are."""
        try:
            while not self._stream.eof and (end is None or len(self._held) < end):
                piece = self._stream.decompress(self._tail, STEP)
                self._tail = self._stream.unconsumed_tail
                self._held += piece
                self._check()
                if piece or self._tail or self._stream.eof:
                    continue
                self._tail = self._file.read(STEP // 8)
                if not self._tail:
                    text = "the deflated data set has no end in all of the file"
                    raise self._bad("E_TRUNCATED", text)
        except isal_zlib.error as error:  # type: ignore[misc]
            text = f"the deflated data set is damaged: {error}"
            raise self._bad("E_UNREADABLE", text) from error

    def _check(self) -> None:
        if len(self._held) > self._most:
            text = f"the deflated data set gives more than the {self._most:,} bytes that its header explains"
            raise InputError("E_LIMIT", text, path=str(self._path), advice="Look at the file.")
        behind = self._behind() if self._stream.eof else b""
        if behind.strip(b"\0") and behind[:_TRAILER] != self._sums():
            text = "what lies behind the deflated data set is neither padding nor its checksum"
            raise self._bad("E_UNREADABLE", text)

    def _behind(self) -> bytes:
        return bytes(self._stream.unused_data) + self._file.read(_TRAILER)

    def _sums(self) -> bytes:
        """CRC-32 and length of the data set, which some writers put behind it as gzip does."""
        inflated = memoryview(self._held)[self._head :]
        return struct.pack("<II", zlib.crc32(inflated), len(inflated) % (1 << 32))

    def _bad(self, code: str, text: str) -> InputError:
        return InputError(code, text, path=str(self._path), advice="Copy or export the file again.")
