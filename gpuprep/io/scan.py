"""What reading gives: a scan with its voxels, or a preview from headers alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuprep.io.room import behind_room, bytes_with_room
from gpuprep.values.errors import MemoryShortage
from gpuprep.values.findings import Finding
from gpuprep.values.geometry import Geometry
from gpuprep.values.stack import Stack, stack_of
from gpuprep.values.volume import Volume

Voxels = NDArray[Any]
Allocate = Callable[[tuple[int, ...], "np.dtype[Any]"], Voxels]
"""Gives a C-ordered array of a shape and dtype for decoded voxels, called once per scan.

In memory it has room before it (see ``room``).
"""


def own_memory(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Voxels:
    """An array in the memory of this process.

    Raises:
        MemoryShortage: it cannot be had.
    """
    try:
        return behind_room(np.empty(bytes_with_room(shape, dtype), np.uint8), shape, dtype)
    except MemoryError as error:
        raise MemoryShortage(
            f"no memory for voxels of shape {shape} and dtype {dtype}: {error}",
            advice="Lower the number of slots per worker, or give the worker more memory.",
        ) from error


@dataclass(frozen=True, slots=True)
class FileIdentity:
    """One file as it was when it was read: enough to tell later whether it changed."""

    path: str
    size: int
    mtime_ns: int
    sha256: str
    gzip: str = ""
    """CRC-32 and length of what a gzip file holds, its last eight bytes; empty for other files."""
    role: str = ""
    """What the file is to its case (``Case.roles``), once that is known."""


@dataclass(frozen=True, slots=True)
class Scan:
    """One read source: its channels as volumes on one grid, and all there is to say about the files.

    ``header`` holds a few plain facts (stored dtype, modality, rescale, compression) and never anything
    about the patient. Under the policy ``fix`` the geometry may be sheared and ``heights`` says where
    uneven slices lie (see ``stack.stack_of``): voxels are as the file has them, and whoever asked
    straightens them.
    """

    volumes: tuple[Volume, ...]
    findings: tuple[Finding, ...]
    identity: tuple[FileIdentity, ...]
    format: str
    header: dict[str, Any] = field(default_factory=dict)
    heights: tuple[float, ...] = ()

    @property
    def geometry(self) -> Geometry:
        return self.volumes[0].geometry

    @property
    def stack(self) -> Stack | None:
        """How the voxels come to lie on a straight grid; None where they do."""
        return stack_of(self.geometry, self.heights)

    def to_json(self) -> dict[str, Any]:
        """Everything but the voxels."""
        return {
            "geometry": self.geometry.to_json(),
            "channels": len(self.volumes),
            "dtype": str(self.volumes[0].array.dtype),
            "findings": [finding.to_json() for finding in self.findings],
            "identity": [asdict(identity) for identity in self.identity],
            "format": self.format,
            "header": self.header,
            "heights": list(self.heights),
        }

    @classmethod
    def from_json(cls, fields: Mapping[str, Any], voxels: Voxels) -> Scan:
        """A scan from ``to_json`` and its voxels as one array in order ``c, z, y, x``."""
        return cls(
            volumes_of(voxels, Geometry.from_json(fields["geometry"])),
            tuple(Finding.from_json(row) for row in fields["findings"]),
            tuple(FileIdentity(**row) for row in fields["identity"]),
            fields["format"],
            dict(fields["header"]),
            tuple(fields["heights"]),
        )


@dataclass(frozen=True, slots=True)
class Preview:
    """What the headers of a source promise; nothing was decoded.

    ``dtype`` is the one the voxels will probably have (rescaling may need a wider one), and
    ``decoded_bytes`` the memory they then take, all channels together. ``geometry`` and ``heights`` are as
    in ``Scan``.
    """

    geometry: Geometry
    channels: int
    dtype: str
    decoded_bytes: int
    file_bytes: int
    findings: tuple[Finding, ...] = ()
    heights: tuple[float, ...] = ()

    @property
    def straight_geometry(self) -> Geometry:
        """The grid of the voxels once they are straightened, if they have to be."""
        stack = stack_of(self.geometry, self.heights)
        return self.geometry if stack is None else stack.geometry

    @property
    def straight_bytes(self) -> int:
        """``decoded_bytes``, and those of the straightened voxels if they are others."""
        straight = self.straight_geometry
        if straight is self.geometry:
            return self.decoded_bytes
        return self.decoded_bytes + self.decoded_bytes * straight.voxels // self.geometry.voxels

    def to_json(self) -> dict[str, Any]:
        return {
            "geometry": self.geometry.to_json(),
            "channels": self.channels,
            "dtype": self.dtype,
            "decoded_bytes": self.decoded_bytes,
            "file_bytes": self.file_bytes,
            "findings": [finding.to_json() for finding in self.findings],
            "heights": list(self.heights),
        }

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Preview:
        known = {
            "geometry": Geometry.from_json(fields["geometry"]),
            "findings": tuple(Finding.from_json(row) for row in fields["findings"]),
            "heights": tuple(fields["heights"]),
        }
        return cls(**{**fields, **known})


def volumes_of(voxels: Voxels, geometry: Geometry) -> tuple[Volume, ...]:
    """One volume per channel of ``voxels`` in order ``c, z, y, x``; views, nothing is copied."""
    return tuple(Volume(channel, geometry) for channel in voxels)
