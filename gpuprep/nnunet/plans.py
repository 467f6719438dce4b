"""A plans file as preprocessing reads it: the arrays of each configuration, and what of it is known here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpuprep.nnunet.dataset import read_json
from gpuprep.nnunet.document import RESAMPLING
from gpuprep.nnunet.names import can_be_arrays, can_be_plans
from gpuprep.values.errors import ConfigError, UsageError

_FAULTS = (KeyError, TypeError, ValueError, AttributeError, IndexError)
_PREPROCESSOR = "DefaultPreprocessor"
SCHEMES = (
    "CTNormalization",
    "NoNormalization",
    "ZScoreNormalization",
    "RescaleTo01Normalization",
    "RGBTo01Normalization",
)
DATA_ORDERS = {0: "nearest", 1: "linear", 3: "cubic"}
LABEL_ORDERS = {0: "nearest", 1: "linear"}
SEPARATE = {None: "auto", True: "always", False: "never"}
_THEIRS = "preprocess it with nnU-Net itself, nnUNetv2_preprocess"


@dataclass(frozen=True)
class Arrays:
    """What one configuration of a plan stores of each case; axes in the order of the stored arrays.

    Attributes:
        name: Of the configuration.
        identifier: Of the folder that it reads, nnU-Net's ``data_identifier``.
        spacing: In mm; two numbers where slices keep the distance that they have.
        patch: In voxels, of as many axes.
        schemes: Of normalisation, by nnU-Net's names, one a channel.
        masked: Whether each is of the voxels inside the image's foreground alone.
        data: How images are interpolated.
        labels: How label maps are.
        separate: Whether slices are resampled by themselves, ``separate_z`` of a config.
    """

    name: str
    identifier: str
    spacing: tuple[float, ...]
    patch: tuple[int, ...]
    schemes: tuple[str, ...]
    masked: tuple[bool, ...]
    data: str
    labels: str
    separate: str

    @property
    def made(self) -> tuple[Any, ...]:
        """What decides the values of the arrays."""
        return self.spacing, self.schemes, self.masked, self.data, self.labels, self.separate


@dataclass(frozen=True)
class Plans:
    """A plans file.

    Attributes:
        name: Of the plans, as in the file.
        forward: The axes of the stored arrays, as axes ``z, y, x`` of the files.
        intensities: Of the foreground of each channel, by its number as text.
        configurations: As in the file, by name.
        path: Of the file.
    """

    name: str
    forward: tuple[int, int, int]
    intensities: Mapping[str, Mapping[str, float]]
    configurations: Mapping[str, Mapping[str, Any]]
    path: Path

    def resolved(self, name: str) -> dict[str, Any]:
        """A configuration with what it inherits; raises ConfigError where it inherits from none."""
        found: dict[str, Any] = {}
        chain = [name]
        while True:
            own = self.configurations.get(chain[-1])
            if own is None or chain.count(chain[-1]) > 1:
                told = " inherits from ".join(chain)
                raise ConfigError(f"{self.path}: {told}, which ends nowhere")
            found = {**own, **found}
            if "inherits_from" not in own:
                return found
            chain.append(str(own["inherits_from"]))

    def owner(self, name: str) -> str:
        """The configuration whose arrays one reads: that from which it inherits the folder, or itself."""
        parent = self.configurations[name].get("inherits_from")
        if parent is None:
            return name
        own, inherited = self.resolved(name), self.resolved(str(parent))
        same = own.get("data_identifier") == inherited.get("data_identifier")
        return self.owner(str(parent)) if same else name

    def arrays(self, name: str) -> Arrays:
        """What a configuration stores.

        Raises:
            ConfigError: it is none of nnU-Net 2.8's, or asks for what gpuprep does not have; by name.
        """
        fields = self.resolved(name)
        try:
            if not can_be_arrays(fields["data_identifier"]):
                raise ValueError(
                    f"data_identifier {fields['data_identifier']!r} is no name of a folder"
                )
            self._check(name, fields)
            return Arrays(
                name,
                str(fields["data_identifier"]),
                tuple(map(float, fields["spacing"])),
                tuple(map(int, fields["patch_size"])),
                tuple(map(str, fields["normalization_schemes"])),
                tuple(map(bool, fields["use_mask_for_norm"])),
                DATA_ORDERS[fields["resampling_fn_data_kwargs"]["order"]],
                LABEL_ORDERS[fields["resampling_fn_seg_kwargs"]["order"]],
                SEPARATE[fields["resampling_fn_data_kwargs"].get("force_separate_z")],
            )
        except _FAULTS as error:
            raise ConfigError(
                f"{self.path}, {name}: it is no configuration of nnU-Net 2.8 ({error!r})",
                advice="plan it anew: gpuprep nnunet plan",
            ) from error

    def _check(self, name: str, fields: Mapping[str, Any]) -> None:
        """Refuse what would give other voxels than nnU-Net's."""

        self._know(name, "the preprocessor", fields["preprocessor_name"], [_PREPROCESSOR])
        for scheme in fields["normalization_schemes"]:
            self._know(name, "the normalisation", scheme, SCHEMES)
        ways = [fields[f"resampling_fn_{what}_kwargs"] for what in ("data", "seg")]
        for what, how, orders in zip(
            ("data", "seg"), ways, (DATA_ORDERS, LABEL_ORDERS), strict=True
        ):
            function = f"resampling_fn_{what}"
            self._know(name, f"{function}:", fields[function], [RESAMPLING])
            self._know(name, f"{function} of order", how["order"], orders)
            self._know(name, f"{function} of order_z", how.get("order_z", 0), [0])
        separate = [each.get("force_separate_z") for each in ways]
        self._know(name, "force_separate_z", separate[0], SEPARATE)
        self._know(name, "for seg another force_separate_z,", separate[1], separate[:1])

    def _know(self, name: str, what: str, asked: object, known: Iterable[object]) -> None:
        """Refuse what is not known, by its name."""
        if asked not in (known := list(known)):
            there = ", ".join(map(str, known))
            raise ConfigError(
                f"{self.path}, {name}: {what} {asked} is not known here, only {there}",
                advice=_THEIRS,
            )


def read_plans(folder: Path, name: str) -> Plans:
    """The plans of a name in a preprocessed data set.

    Raises:
        UsageError: there are none; the message has those there are.
        ConfigError: the file is none of nnU-Net's.
    """
    file = folder / f"{name}.json"
    if not file.is_file():
        there = sorted(path.stem for path in folder.glob("*.json") if _is_plans(path))
        raise UsageError(
            f"{folder} has no plans {name}",
            advice=f"there are {', '.join(there)}" if there else "gpuprep nnunet plan makes them",
        )
    fields = read_json(file)
    try:
        forward = tuple(int(axis) for axis in fields["transpose_forward"])
        if sorted(forward) != [0, 1, 2]:
            raise ValueError(f"transpose_forward {list(forward)}")
        if not can_be_plans(str(fields["plans_name"])):
            raise ValueError(f"plans_name {fields['plans_name']!r} is no name of a file")
        x, y, z = forward
        return Plans(
            str(fields["plans_name"]),
            (x, y, z),
            dict(fields["foreground_intensity_properties_per_channel"]),
            dict(fields["configurations"]),
            file,
        )
    except _FAULTS as error:
        raise ConfigError(
            f"{file}: these are no plans of nnU-Net 2.8 ({error!r})",
            advice="plan it anew: gpuprep nnunet plan",
        ) from error


def identifiers_of(folder: Path) -> frozenset[str]:
    """The folders of arrays that any plans of a preprocessed data set speak of."""
    found = set()
    for file in filter(_is_plans, folder.glob("*.json")):
        with suppress(ConfigError):  # told where it is asked for
            plans = read_plans(folder, file.stem)
            for name in plans.configurations:
                with suppress(ConfigError):
                    found.add(str(plans.resolved(name).get("data_identifier")))
    return frozenset(found)


def _is_plans(file: Path) -> bool:
    try:
        fields = read_json(file)
    except ConfigError:  # anybody's file
        return False
    return isinstance(fields, dict) and "configurations" in fields
