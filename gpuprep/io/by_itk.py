"""``input.reader: itk``: SimpleITK reads the voxels, once lengths, sums and headers are found to be sound.

Nothing here loads SimpleITK. What it cannot read, or is known to read otherwise than the file says, is E_ITK.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np

from gpuprep.io.integrity import ByteSource
from gpuprep.io.rules import Reading, ReadRules
from gpuprep.io.scan import FileIdentity
from gpuprep.io.voxels import StoredVoxels
from gpuprep.values.errors import InputError
from gpuprep.values.geometry import Affine, Geometry

_CODE = "E_ITK"
_AGREE = 1e-5  # relative to the volume's extent: what two readers of one header may differ by


def cannot(path: object, reason: str) -> InputError:
    """E_ITK, for a ``reason`` that follows "but"."""
    return InputError(
        _CODE,
        f"SimpleITK was asked to read it (input.reader: itk), but {reason}",
        path=str(path),
        advice="input.reader: checked reads it, or says what is wrong with it. "
        "input.policy {E_ITK: fix} has that done for such files alone.",
    )


@contextmanager
def native_reading(path: object) -> Iterator[None]:
    """A block in which ITK reads a file whose bytes are sound: what it says against it is E_ITK."""
    try:
        yield
    except InputError as error:
        if error.code != "E_UNREADABLE":
            raise
        raise cannot(path, error.message) from error


def instead(error: InputError, reading: Reading) -> Reading:
    """The reading by the checked reader that takes the place of ITK's, if the policy of E_ITK is ``fix``.

    Raises:
        InputError: the error itself, if it is another one or the policy another.
    """
    findings = reading.rules.findings()
    if error.code != _CODE or findings.policy(_CODE) != "fix":
        raise error
    text = f"{error.message}; the checked reader read it"
    findings.report(_CODE, text, path=error.path or reading.path)
    return replace(reading, rules=replace(reading.rules, reader="checked"), findings=findings)


def checked_bytes(
    source: ByteSource, stored: StoredVoxels, rules: ReadRules
) -> tuple[FileIdentity, int]:
    """Pass over the voxels that ``source`` stands before: its identity, and how many are not finite.

    Raises:
        InputError: as ``StoredVoxels.read``.
    """
    dtype, odd = stored.stored, 0
    for piece in source.pieces(stored.stored_bytes, dtype.itemsize):
        if dtype.kind == "f":
            odd += int(np.count_nonzero(~np.isfinite(np.frombuffer(piece, dtype))))
    return source.finish(rules), odd


def check_place(seen: Affine, axes: int, geometry: Geometry, reading: Reading) -> None:
    """Compare where ITK places voxels with where we do, along as many axes as ITK has.

    Raises:
        InputError: E_ITK if a corner lies elsewhere.
    """
    own = geometry.affine
    other = own.copy()
    other[:axes, :axes], other[:axes, 3] = seen[:axes, :axes], seen[:axes, 3]
    theirs = Geometry.from_affine(other, geometry.shape)
    corners = geometry.corners()
    extent = float(np.linalg.norm(corners[0] - corners[-1])) + 1.0
    apart = geometry.distance(theirs)
    if apart > max(_AGREE * extent, reading.rules.grid_tolerance):
        told = f"it places voxels up to {apart:.4g} mm elsewhere"
        raise cannot(reading.path, f"{told}: {theirs.describe()} in place of {geometry.describe()}")
