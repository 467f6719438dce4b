"""Opening one stored case: its arrays, its grid, its record."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gpuprep.store.array import StoredArray
from gpuprep.store.files import CaseVersion
from gpuprep.store.layout import (
    CASE_SUFFIX,
    GROUP_FILE,
    IMAGE_ARRAY,
    LABELS_GROUP,
    RECORD_FILE,
    check_label_name,
    label_array,
)
from gpuprep.store.locations import Locations, case_locations, location_seals
from gpuprep.store.metadata import parse_document
from gpuprep.store.objects.path import ObjectPath
from gpuprep.store.ome import parse_value_names
from gpuprep.store.open_shard import Access, CrcPolicy, ReadPolicy
from gpuprep.store.places import Place, to_place
from gpuprep.store.record import check_documents, read_record
from gpuprep.store.several import below, choose_output, output_record
from gpuprep.values.errors import (
    CorruptStoreError,
    NotArrays,
    StoreError,
    UnknownOutput,
    UsageError,
)
from gpuprep.values.findings import Finding, FindingList
from gpuprep.values.geometry import Geometry
from gpuprep.values.notebook import facts_html

if TYPE_CHECKING:
    from PIL.Image import Image

Texts = Mapping[str, bytes]
"""Documents of a case that were read already, by path."""

_FAULTS = (KeyError, IndexError, TypeError, ValueError, AttributeError, UsageError)


class StoredCase:
    """One stored case. Arrays read from disk when they are indexed.

    All that it gives comes from the case that was there when it was opened; once another one has taken its
    place, what would have to be opened anew is a StoreError. ``close`` or a ``with`` block closes its files.

    Attributes:
        id: The case id.
        path: Its folder.
        output: The name of the output that is read, of a case with several; else empty.
        outputs: The names of all of them, in order.
        image: ``z, y, x`` or ``c, z, y, x``; None for a case of labels only.
        labels: Label arrays ``z, y, x`` by name.
        label_names: Per label, the names of its voxel values.
        geometry: The grid of all arrays.
        channel_names: One name per channel where the channels are named.
    """

    def __init__(
        self,
        path: str | Path | ObjectPath,
        policy: ReadPolicy | None = None,
        *,
        version: CaseVersion | None = None,
        output: str | None = None,
    ) -> None:
        """Open a case, that of ``version`` where one is given; ``open_case`` says what can go wrong."""
        self.path = to_place(path)
        self.id = self.path.name.removesuffix(CASE_SUFFIX)
        self._policy = policy or ReadPolicy()
        self._record: dict[str, Any] | None = None
        self._version = version or self.path.version()
        if self._version is None:
            raise StoreError(
                f"{self.path}: not a finished case, it has no {RECORD_FILE}",
                advice="run the case again, or give the folder of a case",
            )
        seals: Mapping[str, Any] | None = None
        texts: Texts = {}
        if self._policy.crc == "always":
            seals, texts = check_documents(self.path, version=self._version, output=output)
        try:
            own = self._attributes("", texts)["gpuprep"]
            if own.get("counted"):
                raise NotArrays(
                    f"{self.path}: its foreground is counted there (fingerprint), and no arrays are stored",
                    advice="run without fingerprint into another folder to have arrays",
                )
            self.outputs = tuple(str(name) for name in own.get("outputs", ()))
            self.output = choose_output(self.outputs, own.get("nnunet", ()), output, self.path)
            attributes = self._attributes(self.place_of(""), texts)
            own = attributes["gpuprep"]
            self.geometry = Geometry.from_json(own["geometry"])
            self.channel_names = tuple(str(name) for name in own["channels"])
            has_image, names = "ome" in attributes, list(own["labels"])
            named = {check_label_name(name): self._value_names(name, texts) for name in names}
        except UnknownOutput:
            raise
        except _FAULTS as error:
            raise CorruptStoreError(
                f"{self.path}: its {GROUP_FILE} files do not describe a case ({error!r})",
                advice="run the case again",
            ) from error
        self.image = self._array(IMAGE_ARRAY, texts) if has_image else None
        self.labels: Mapping[str, StoredArray] = MappingProxyType(
            {name: self._array(label_array(name), texts) for name in named}
        )
        self.label_names: Mapping[str, Mapping[int, str]] = MappingProxyType(named)
        self._located = None if seals is None else location_seals(seals, named, self.output)

    def __reduce__(self) -> tuple[object, ...]:
        return _opened, (self.path, self._policy, self.output)

    def __enter__(self) -> StoredCase:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the files of all arrays; a later read opens what it needs."""
        for array in (self.image, *self.labels.values()):
            if array is not None:
                array.close()

    def __repr__(self) -> str:
        shape = self.image.shape if self.image is not None else self.geometry.shape
        return f"<Case {self.id}: shape {shape}, labels {list(self.labels)}>"

    def _repr_html_(self) -> str:
        """The case as a notebook shows it: what it is, its label maps, what was odd about its input."""
        rows: list[tuple[str, object]] = [("path", self.path), ("grid", self.geometry.describe())]
        if self.image is not None:
            channels = ", ".join(self.channel_names) or "not named"
            rows += [("image", f"{self.image.dtype} {self.image.shape}"), ("channels", channels)]
        for name, names in self.label_names.items():
            named = ", ".join(f"{value} {told}" for value, told in names.items())
            rows.append((f"label {name}", named or "values not named"))
        return facts_html(self.id, rows) + self.findings._repr_html_()

    def show(self, label: str | None = None, channel: int = 0) -> Image:
        """Three planes of a channel with a label map over them, by default the first; a notebook shows it.

        The whole channel and label map are read.

        Raises:
            UsageError: there is no such label map or channel.
        """
        from gpuprep.store.picture import draw_case  # loads a library that reading does not need

        return draw_case(self, label, channel)

    @property
    def record(self) -> dict[str, Any]:
        """What was done to the case, checked against its CRC32C; raises CorruptStoreError.

        It is that of the output which is read; ``files`` are those of all.
        """
        if self._record is None:
            record = read_record(self.path, version=self._version)
            self._record = output_record(record, self.output, self.path)
        return self._record

    @property
    def attributes(self) -> dict[str, Any]:
        """What the input says about the case beside its files, such as further columns of a manifest."""
        return dict(self.record.get("attributes", {}))

    @property
    def findings(self) -> FindingList:
        """What was odd about the case's input, from its record."""
        return FindingList(Finding.from_json(row) for row in self.record.get("findings", []))

    @property
    def outside(self) -> int | None:
        """The value of background outside the foreground in label maps; None where it has none of its own."""
        value = self.record.get("outside", {}).get("value")
        return None if value is None else int(value)

    def read_classes(self, label: str) -> NDArray[Any]:
        """A whole label map in memory; background is 0, also what has ``outside`` in the stored array."""
        array, outside = np.asarray(self.labels[label]), self.outside
        return array if outside is None else np.where(array == outside, array.dtype.type(0), array)

    def locations(self, label: str) -> Locations:
        """Sampled positions ``z, y, x`` of each class of a label map; raises CorruptStoreError."""
        if self._located is None:
            self._located = location_seals(self.record["files"], self.labels, self.output)
        return case_locations(self.path, label, self._located[label], output=self.output)

    @property
    def stored_bytes(self) -> int:
        """The size of the files of this output."""
        files = self.record["files"].items()
        start = self.place_of("") + "/" * bool(self.output)
        return sum(seal["size"] for name, seal in files if name.startswith(start))

    def place_of(self, path: str) -> str:
        """Where something of this output lies inside the case's folder: ``0`` may be ``fine/0``."""
        return below(self.output, path)

    def level(self, name: str) -> StoredArray:
        """The array of a path such as ``1`` or ``labels/liver/2``: a coarser level of a pyramid.

        Raises:
            CorruptStoreError: there is none.
        """
        return self._array(name, {})

    def _attributes(self, group: str, texts: Texts) -> dict[str, Any]:
        name = f"{group}/{GROUP_FILE}".lstrip("/")
        text = texts.get(name) or self.path.document(name, version=self._version)
        return dict(parse_document(text, f"{self.path / name}")["attributes"])

    def _array(self, path: str, texts: Texts) -> StoredArray:
        name = self.place_of(path)
        text = texts.get(f"{name}/{GROUP_FILE}")
        return StoredArray(self.path, name, self._policy, version=self._version, document=text)

    def _value_names(self, label: str, texts: Texts) -> Mapping[int, str]:
        return parse_value_names(self._attributes(self.place_of(f"{LABELS_GROUP}/{label}"), texts))


def _opened(path: Place, policy: ReadPolicy, output: str) -> StoredCase:
    return StoredCase(path, policy, output=output or None)


def open_case(
    path: str | Path,
    *,
    crc: CrcPolicy = "always",
    access: Access = "mmap",
    threads: int = 1,
    token: str | None = None,
    output: str | None = None,
) -> StoredCase:
    """Open the folder (or URL) of one finished case; the arguments are those of ``open_cohort``.

    >>> with open_case("cohort/cases/volume-0.zarr") as case:
    ...     case.image[0:4, 0:8, 0:8].shape, case.image.dtype
    ((4, 8, 8), dtype('<f2'))

    Raises:
        StoreError: the folder is not a finished case, or is being replaced.
        CorruptStoreError: one of its documents is missing or damaged.
        UsageError: an argument is out of range, or the case has no such output.
    """
    return StoredCase(to_place(path, token), ReadPolicy(crc, access, threads), output=output)
