"""One volume that a service prepared: its bytes, and what they are."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.message import Message
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gpuprep.values.errors import UsageError

if TYPE_CHECKING:
    import httpx


@dataclass(frozen=True, slots=True)
class Prepared:
    """The answer about one volume."""

    content: bytes = field(repr=False)
    media_type: str
    name: str = ""
    """Of the file that it is."""
    findings: tuple[str, ...] = ()
    """Codes of what was found in the volume."""
    seconds: Mapping[str, float] = field(default_factory=dict)
    """How long each stage took in the service, and ``total``."""
    unused_files: int = 0
    """Files that were sent and belong to nothing."""

    @property
    def array(self) -> NDArray[Any]:
        """The image, ``(c,) z, y, x``. Raises UsageError where something else was asked for."""
        if self.media_type != "application/x-npy":
            raise self._other("npy")
        loaded: NDArray[Any] = np.load(io.BytesIO(self.content), allow_pickle=False)
        return loaded

    @property
    def patches(self) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """Patches ``n, (c,) z, y, x`` that cover the image, and where they start, ``n, 3``.

        Raises:
            UsageError: no patches were asked for.
        """
        if self.media_type != "application/x-npz":
            raise self._other("npy and a patch")
        with np.load(io.BytesIO(self.content), allow_pickle=False) as loaded:
            return loaded["patches"], loaded["offsets"]

    def save(self, file: Path | str) -> Path:
        """Write the answer to a file, or under its own name into a folder; returns the file."""
        path = Path(file)
        if path.is_dir():
            path /= Path(self.name).name or "prepared"
        path.write_bytes(self.content)
        return path

    def _other(self, kind: str) -> UsageError:
        return UsageError(f"the answer is {self.media_type}", advice=f"ask for answer={kind}")


def prepared_of(answer: httpx.Response) -> Prepared:
    """The volume in an answer of ``/v1/process``."""
    message = Message()
    message["content-disposition"] = answer.headers.get("content-disposition", "")
    unused = answer.headers.get("gpuprep-unused-files", "0")
    findings = answer.headers.get("gpuprep-findings", "")
    return Prepared(
        answer.content,
        answer.headers.get("content-type", "").partition(";")[0],
        message.get_filename() or "",
        tuple(code for code in findings.split(", ") if code),
        _seconds(answer.headers.get("server-timing", "")),
        int(unused) if unused.isdecimal() else 0,
    )


def _seconds(header: str) -> dict[str, float]:
    found = {}
    for entry in header.split(","):
        name, _, milliseconds = entry.strip().partition(";dur=")
        try:
            found[name] = float(milliseconds) / 1000
        except ValueError:  # an entry of a proxy's own
            continue
    return found
