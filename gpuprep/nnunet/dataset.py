"""What ``dataset.json`` and ``dataset_fingerprint.json`` say, checked."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpuprep.nnunet.names import is_plain
from gpuprep.values.errors import ConfigError

Label = int | tuple[int, ...]
_READERS = {
    **dict.fromkeys((".png", ".bmp", ".tif"), "NaturalImage2DIO"),
    ".tiff": "Tiff3DIO",
    ".nii": "NibabelIO",
}
_TURNING = ("SimpleITKIOWithReorient", "NibabelIOWithReorient")
_FAULTS = (KeyError, TypeError, ValueError, AttributeError, IndexError)


@dataclass(frozen=True)
class Dataset:
    """A data set of nnU-Net, as its ``dataset.json`` describes it.

    Attributes:
        name: Of its folder, as ``Dataset004_Hippocampus``.
        channels: Names in the order of the file, which is that of the channels, whatever the keys are.
        labels: Values by name; a region has several.
        regions_order: What a voxel of several regions becomes, later over earlier; empty without regions.
        cases: How many it says there are.
        ending: Of its files.
        document: All of it.
    """

    name: str
    channels: tuple[str, ...]
    labels: Mapping[str, Label]
    regions_order: tuple[int, ...]
    cases: int
    ending: str
    document: Mapping[str, Any]

    @property
    def ignore(self) -> int | None:
        """The value of voxels that no loss looks at."""
        value = self.labels.get("ignore")
        return value if isinstance(value, int) else None

    @property
    def reader(self) -> str:
        """nnU-Net's class that reads its files: the first that takes the ending, if none is named."""
        named = self.document.get("overwrite_image_reader_writer")
        ending = self.ending.lower()
        return str(named or _READERS.get(ending, "SimpleITKIO"))

    @property
    def orientation(self) -> str:
        """How its reader turns images, as ``image.orientation`` has it: most leave them as they are."""
        return "RAS" if self.reader in _TURNING else "keep"

    @property
    def has_regions(self) -> bool:
        return any(isinstance(each, tuple) and len(each) > 1 for each in self.labels.values())

    @property
    def values(self) -> tuple[int, ...]:
        """All values of voxels but the one to be ignored."""
        every = {
            v for each in self.labels.values() for v in ((each,) if isinstance(each, int) else each)
        }
        return tuple(sorted(every - {self.ignore}))


@dataclass(frozen=True)
class Fingerprint:
    """What planning needs of the cases; ``z, y, x`` throughout, in the order of the cases.

    Attributes:
        spacings: In mm.
        shapes: After the crop to what is not zero.
        relative_size: The median share of voxels that the crop keeps.
        intensities: Of the foreground, by the number of the channel as text.
    """

    spacings: tuple[tuple[float, ...], ...]
    shapes: tuple[tuple[int, ...], ...]
    relative_size: float
    intensities: Mapping[str, Mapping[str, float]]

    def to_json(self) -> dict[str, Any]:
        """As nnU-Net writes it: ``json.dumps(..., indent=4, sort_keys=True)``."""
        return {
            "foreground_intensity_properties_per_channel": {
                channel: dict(numbers) for channel, numbers in self.intensities.items()
            },
            "median_relative_size_after_cropping": self.relative_size,
            "shapes_after_crop": [list(shape) for shape in self.shapes],
            "spacings": [list(spacing) for spacing in self.spacings],
        }

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Fingerprint:
        return cls(
            tuple(tuple(map(float, each)) for each in fields["spacings"]),
            tuple(tuple(map(int, each)) for each in fields["shapes_after_crop"]),
            float(fields["median_relative_size_after_cropping"]),
            fields["foreground_intensity_properties_per_channel"],
        )


def parse_dataset(document: Mapping[str, Any], name: str) -> Dataset:
    """What a ``dataset.json`` says.

    Raises:
        ConfigError: it lacks something, or labels contradict one another; the message says what.
    """
    try:
        channels = document.get("channel_names") or document["modality"]
        labels = {str(key): _label(value) for key, value in dict(document["labels"]).items()}
        dataset = Dataset(
            name,
            tuple(map(str, channels.values())),
            labels,
            tuple(int(value) for value in document.get("regions_class_order") or ()),
            int(document["numTraining"]),
            str(document["file_ending"]),
            document,
        )
        _check(dataset)
    except _FAULTS as error:
        raise ConfigError(
            f"{name}: its dataset.json is not one of nnU-Net's ({error!r})"
        ) from error
    return dataset


def _label(value: Any) -> Label:
    return tuple(int(each) for each in value) if isinstance(value, list) else int(value)


def _check(dataset: Dataset) -> None:
    """Refuse what nnU-Net would refuse, or would train on wrongly."""
    labels = dataset.labels
    if not is_plain(f"case{dataset.ending}"):
        raise ConfigError(f"{dataset.name}: file_ending {dataset.ending!r} is none of a file")
    if labels.get("background") != 0:
        raise ConfigError(
            f"{dataset.name}: labels need background: 0, not {labels.get('background')}"
        )
    if "ignore" in labels and labels["ignore"] != max(dataset.values) + 1:
        raise ConfigError(
            f"{dataset.name}: the ignore label is {labels['ignore']}, the others end at "
            f"{max(dataset.values)}; it must be one more"
        )
    regions = [name for name in labels if name not in ("background", "ignore")]
    if dataset.has_regions and len(dataset.regions_order) != len(regions):
        raise ConfigError(
            f"{dataset.name}: there are {len(regions)} regions and {len(dataset.regions_order)} entries of "
            "regions_class_order",
            advice="give one value for each region, in the order in which they are painted",
        )


def read_json(path: Path) -> Any:
    """A JSON file of a data set; raises ConfigError with the path where it is none."""
    try:
        return json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    except ValueError as error:
        raise ConfigError(f"{path} is not JSON: {error}") from None
