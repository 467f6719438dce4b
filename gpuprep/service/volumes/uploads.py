"""A volume as the body of a request: what it is called, and how it gets into a private folder."""

from __future__ import annotations

import asyncio
import re
import unicodedata
from collections.abc import Awaitable
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import TypeVar

from starlette.requests import Request

from gpuprep.service.problems import Problem
from gpuprep.values.units import human_bytes

SUFFIXES = (".nii", ".nii.gz", ".mha", ".nrrd", ".zip")
_NAME = re.compile(r"[\w(][\w ()+,=@.-]*")
_BLOCK = 1 << 20
_JSON_BYTES = 1 << 16

Read = TypeVar("Read")


@dataclass(frozen=True, slots=True)
class UploadLimits:
    """What one client may send, and how long that and its answer may take on the way."""

    bytes: int = 2 << 30
    seconds: float = 300.0
    unpacked_bytes: int = 8 << 30
    """Of all files in a zip."""
    files: int = 20_000
    """In a zip."""


def file_name(request: Request) -> str:
    """What the client calls its file: ``?name=``, or what Content-Disposition says.

    Raises:
        Problem: 422 where it has no name, or none that one file of a known format can have.
    """
    name = request.query_params.get("name", "")
    if not name and (told := request.headers.get("content-disposition")):
        message = Message()
        message["content-disposition"] = told
        name = message.get_filename() or ""
    name = unicodedata.normalize("NFC", name)
    if not name:
        raise Problem(
            422,
            "the file in the body has no name",
            code="E_REQUEST",
            advice="add ?name=scan.nii.gz",
        )
    known = ", ".join(SUFFIXES)
    if not name.lower().endswith(SUFFIXES) or name.lower() in SUFFIXES:
        raise Problem(
            422,
            f"no single file of a format that is taken is called {name[:200]!r}",
            code="E_UNREADABLE",
            advice=f"known are {known}; a zip holds the DICOM files of one series",
        )
    if not _NAME.fullmatch(name) or len(name.encode()) > 200:
        raise Problem(
            422,
            f"{name[:200]!r} cannot be the name of a file here",
            code="E_UNSAFE_PATH",
            advice="use letters, digits, '.', '_' and '-', at most 200 bytes, and no folder",
        )
    return name


async def receive(request: Request, file: Path, limits: UploadLimits) -> None:
    """Stream the body into a file.

    Raises:
        Problem: 413 for more bytes than the limit, 408 where it took too long, 422 for an empty body.
        ClientDisconnect: the client is gone.
    """
    told = request.headers.get("content-length", "")
    if told.isdecimal() and int(told) > limits.bytes:
        raise _too_large(limits.bytes)
    size = await _in_time(_stream(request, file, limits), limits)
    if not size:
        raise Problem(422, "the body is empty", code="E_TRUNCATED", advice="send the file itself")


async def small_body(request: Request, limits: UploadLimits) -> bytes:
    """A body of JSON, which is short. Raises as ``receive`` does."""

    async def read() -> bytes:
        body = bytearray()
        async for piece in request.stream():
            body += piece
            if len(body) > _JSON_BYTES:
                raise _too_large(_JSON_BYTES)
        return bytes(body)

    return await _in_time(read(), limits)


async def _in_time(reading: Awaitable[Read], limits: UploadLimits) -> Read:
    try:
        async with asyncio.timeout(limits.seconds):
            return await reading
    except TimeoutError:
        raise Problem(
            408,
            f"the body was not here within {limits.seconds:g} s",
            code="E_SLOW",
            advice="send it over a faster connection, or name a file in a root",
            headers={"Connection": "close"},
        ) from None


async def _stream(request: Request, file: Path, limits: UploadLimits) -> int:
    """Blocks of about a megabyte are written in a thread: a slow disk must not hold up other clients."""
    size, pending = 0, bytearray()
    with await asyncio.to_thread(file.open, "xb", buffering=0) as target:
        async for piece in request.stream():
            size += len(piece)
            if size > limits.bytes:
                raise _too_large(limits.bytes)
            pending += piece
            if len(pending) >= _BLOCK:
                await asyncio.to_thread(target.write, pending)
                pending = bytearray()
        if pending:
            await asyncio.to_thread(target.write, pending)
    return size


def _too_large(most: int) -> Problem:
    return Problem(
        413,
        f"the body has more than {human_bytes(most)}, the most that is taken",
        code="E_TOO_LONG",
        advice="name a file in a root instead of sending it",
        headers={"Connection": "close"},
    )
