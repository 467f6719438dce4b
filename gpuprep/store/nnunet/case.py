"""Writing one case as nnU-Net 2.8 keeps it: every file but the record, each with its seal.

The image is float32 ``c, z, y, x``, the label map int16 ``1, z, y, x``, the pickle the properties nnU-Net
trains with and returns predictions by. Axes lie in the order that the plan's ``transpose_forward`` gives.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from gpuprep.store.files import write_file
from gpuprep.store.nnunet.b2nd import IMAGE_SEARCH, LABEL_SEARCH, encode_b2nd
from gpuprep.store.nnunet.chunks import chunk_and_block
from gpuprep.store.nnunet.class_locations import Draws, Key
from gpuprep.store.nnunet.properties import case_properties, to_pickle
from gpuprep.store.nnunet.turned import Turned
from gpuprep.values.errors import StoreError, ValueRangeError
from gpuprep.values.volume import Chunked

IMAGE_FILE, LABEL_FILE, PROPERTIES_FILE = "image.b2nd", "label.b2nd", "properties.pkl"


class Rule(Protocol):
    """How the files are made; ``NnunetFiles`` of a config is one.

    Attributes:
        patch: What trainings read at a time, in the stored order; of two edges for patches of one slice.
        forward: The stored axes, as numbers of ``z, y, x``.
        locations: Each class, or region by its values, of which voxels are listed, in the order of drawing.
        reader: nnU-Net's class that reads the data set's files.
    """

    @property
    def patch(self) -> tuple[int, ...]: ...
    @property
    def forward(self) -> tuple[int, int, int]: ...
    @property
    def locations(self) -> tuple[Key, ...]: ...
    @property
    def reader(self) -> str: ...


def write_nnunet_case(
    folder: str | Path,
    *,
    image: NDArray[Any] | Chunked | None,
    labels: Mapping[str, NDArray[Any]],
    geometry: Mapping[str, Any],
    rule: Rule,
    threads: int = 1,
    draws: Draws | None = None,
    durable: bool = True,
) -> dict[str, dict[str, int]]:
    """Write ``image.b2nd``, ``properties.pkl`` and, where there is a label map, ``label.b2nd``.

    The bytes depend on voxels, geometry and rule alone.

    Args:
        folder: Where to; made where absent.
        image: ``z, y, x`` or ``c, z, y, x``, plain or cut into chunks.
        labels: At most one integer label map ``z, y, x``, by its name.
        geometry: ``geometry`` of the case's record.
        rule: How the files are made.
        threads: Threads that compress.
        draws: What another output of the case has drawn of the same label map.
        durable: Wait for the disk after each file.

    Returns:
        ``{"size": bytes, "crc32c": value}`` of every file by its name.

    Raises:
        UsageError: blosc2 is missing.
        ValueRangeError: the label map has values beyond int16.
        StoreError: there is no image, more than one label map, or one of another shape; or the disk refuses.
        RunStopped: the disk is full.
    """
    if image is None:
        raise StoreError("nnU-Net's files need an image, and this case has labels only")
    files = case_files(image, labels, geometry, rule, threads, draws)
    seals = {name: write_file(Path(folder) / name, pieces, fsync=durable) for name, pieces in files}
    return {name: asdict(seal) for name, seal in sorted(seals.items())}


def case_files(
    image: NDArray[Any] | Chunked,
    labels: Mapping[str, NDArray[Any]],
    geometry: Mapping[str, Any],
    rule: Rule,
    threads: int = 1,
    draws: Draws | None = None,
) -> Iterator[tuple[str, list[bytes]]]:
    """Each file of a case by its name, in pieces; the image comes last. See ``write_nnunet_case``."""
    label = _only(labels, image.shape[-3:])
    locations = None
    if label is not None:
        yield LABEL_FILE, _encoded(Turned(label, rule.forward, np.dtype("<i2")), rule, threads)
        locations = (draws or Draws()).of(label, rule.forward, rule.locations)
    yield (
        PROPERTIES_FILE,
        [to_pickle(case_properties(geometry, rule.forward, locations, rule.reader))],
    )
    del locations
    yield IMAGE_FILE, _encoded(Turned(image, rule.forward, np.dtype("<f4")), rule, threads)


def _encoded(array: Turned, rule: Rule, threads: int) -> list[bytes]:
    chunk, block = chunk_and_block(array.shape, rule.patch, array.dtype.itemsize)
    search = IMAGE_SEARCH if array.dtype.kind == "f" else LABEL_SEARCH
    return encode_b2nd(array, chunk=chunk, block=block, search=search, threads=threads)


def _only(labels: Mapping[str, NDArray[Any]], shape: tuple[int, ...]) -> NDArray[Any] | None:
    """The one label map; None where there is none."""
    if not labels:
        return None
    (name, label), *others = labels.items()
    if others:
        raise StoreError(
            f"nnU-Net's files hold one label map, and this case has {len(labels)}: {', '.join(labels)}"
        )
    if label.shape != shape or label.dtype.kind not in "iu":
        raise StoreError(
            f"label {name}: {label.dtype} of shape {label.shape} is no label map of an image of {shape}"
        )
    if not np.can_cast(label.dtype, np.int16):
        limits, ends = np.iinfo(np.int16), (int(label.min()), int(label.max()))
        strange = [end for end in ends if not limits.min <= end <= limits.max]
        if strange:
            raise ValueRangeError(
                f"label {name} has the value {strange[0]:,}, and nnU-Net's files hold {limits.min:,} to "
                f"{limits.max:,} (int16)",
                advice="map it to a smaller one with label.map: {VALUE: VALUE}",
            )
    return label
