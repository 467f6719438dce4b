"""The preprocessing config: strict models, YAML in, every default resolved, one digest out.

Spacing is ``x, y, z`` in mm, as SimpleITK, MONAI and TorchIO write it. An unknown key is an error that
names the nearest known one.
"""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, field_validator, model_validator

from gpuprep.config.cluster import ClusterSpec
from gpuprep.config.image import Image
from gpuprep.config.input import Input
from gpuprep.config.label import Label
from gpuprep.config.outputs import FingerprintRule, Output, OutputName, check_names
from gpuprep.config.report import Report
from gpuprep.config.resample import Resample
from gpuprep.config.scratch import DecodedScratch
from gpuprep.config.standards import Suv
from gpuprep.config.store import Store
from gpuprep.config.strict import Positive, Strict

PIPELINE = 4
"""Raised whenever the same config would give other voxels, so that old cases are made anew."""


class Cuda(Strict):
    """How a CUDA device is used, where there is one; decides nothing about the results."""

    slots: Annotated[int, Field(ge=1, le=16)] = 3
    """Cases a worker has in hand at one time, so that reading, computing and writing overlap."""
    memory: Annotated[float, Field(gt=0, le=1)] = 0.8
    """Share of the device's free memory that cases may take together."""
    voxels: Annotated[int, Field(ge=0)] = 2_000_000
    """A case of fewer voxels (in and out, over all arrays) is done by NumPy: the way there costs more."""


class Run(Strict):
    """What is done about cases that fail without being at fault, and about workers that fall silent."""

    tries: Annotated[int, Field(ge=1, le=100)] = 5
    """Attempts at a case while the disk or the network fails; the wait between them doubles."""
    backoff: Positive = 1.0
    """Seconds before the second attempt, up to half of it less by chance."""
    crashes: Annotated[int, Field(ge=1, le=10)] = 2
    """Worker or reader processes that one case may take down, all but the first alone, before it is
    called poison."""
    storm: Annotated[int, Field(ge=2)] = 20
    """Cases failing alike one after the other, of anything but their files, that stop the run."""
    drain: Positive = 10.0
    """Seconds that running cases have to finish after a first Ctrl-C."""
    deadline: Positive = 6 * 3600.0
    """Seconds for one case; its worker process is killed then, which counts as a crash of the case. A run
    without workers gives the case up as soon as native code returns."""
    stuck: Positive = 900.0
    """Seconds (or ten times the median case, if longer) without a finished case after which all workers
    are replaced."""
    silence: Positive = 300.0
    """Seconds without a sign of life after which a worker counts as dead."""
    statistics: Literal["renew", "keep"] = "renew"
    """With ``over: cohort``: take the statistics of all cases that are there now, which makes every case anew
    when one is added or changes; or keep those of an earlier run, and prepare new cases with them."""
    sealed_list: Literal["trust", "check"] = "trust"
    """On an object store, of cases under a sealed list: ask only whether they are there, or list all their
    objects, so that a lost or cut one is noticed by the run."""
    scratch: DecodedScratch | None = None
    """Where decoded cases lie ready for the pass after this one."""


class Config(Strict):
    """A whole preprocessing config."""

    version: Literal[1] = 1
    input: Input = Input()
    image: Image = Image()
    label: Label = Label()
    store: Store = Store()
    outputs: dict[OutputName, Output] = Field(default_factory=dict)
    """Several stored cases of one read, by name; each says what is otherwise than above. Who reads the
    cohort and names none gets the first."""

    @field_validator("outputs")
    @classmethod
    def _named_apart(cls, outputs: dict[str, Output]) -> dict[str, Output]:
        return check_names(outputs)

    fingerprint: FingerprintRule | None = None
    cuda: Cuda = Cuda()
    run: Run = Run()
    cluster: ClusterSpec = ClusterSpec()
    report: Report = Report()

    @model_validator(mode="after")
    def _has_images(self) -> Self:
        if self.label.only and self.label.outside is not None:
            raise ValueError(
                "label.outside asks for the image's foreground, and label.only for no images"
            )
        return self

    def resolved(self) -> dict[str, Any]:
        """Every value with defaults filled in, as plain JSON."""
        dumped: dict[str, Any] = self.model_dump(mode="json", by_alias=True, exclude_none=True)
        return dumped

    @property
    def digest(self) -> str:
        """SHA-256 over everything that decides the results."""
        parts = self.deciding()
        if "outputs" in parts:
            parts["outputs"] = list(parts["outputs"].items())  # the first is what readers get
        text = json.dumps([PIPELINE, parts], sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def deciding(self) -> dict[str, Any]:
        """Every value that decides the results (not limits, layout, durability, or where).

        Of a reference its grid counts, not where it lies.
        """
        parts = self.resolved()
        del parts["cuda"], parts["run"], parts["cluster"], parts["report"]
        for name in ("layout", "channels", "series", "follow_symlinks", "roots", "limits"):
            del parts["input"][name]
        for name in ("names", "regions", "ignore"):  # the agreement of the cohort has them
            parts["label"].pop(name, None)
        for name in ("slice_tolerance", "several_volumes", "reader"):
            if getattr(self.input, name) == getattr(Input(), name):
                del parts["input"][name]  # as of cases made before there was any
        del parts["store"]["fsync"]
        for place, names in (
            (parts, ("outputs",)),
            (parts["image"], ("channels", "filters")),
            (parts["store"], ("pyramid",)),
            (parts["input"], ("structures", "label_layers", "label_series")),
        ):
            for name in [name for name in names if not place[name]]:
                del place[name]  # as of cases made before there were any
        for place in (parts["image"], *parts.get("outputs", {}).values()):
            place.get("resample", {}).get("reference", {}).pop("path", None)
        _forget_idle(parts)
        return parts

    def output(self, name: str) -> Config:
        """The config of one output by itself: as if no other were asked for."""
        asked = self.outputs[name]
        changed = {
            key: value
            for key in ("intensity", "channels", "resample")
            if (value := getattr(asked, key)) is not None
        }
        store = self.store
        if asked.store is not None:
            given = asked.store.model_dump(exclude_none=True)
            store = Store.model_validate({**store.model_dump(), **given})
        image = self.image.model_copy(update=changed)
        return self.model_copy(update={"outputs": {}, "image": image, "store": store})

    def parts(self) -> dict[str, Config]:
        """The config of every output by its name, in order; where none is named this one, of no name."""
        return {name: self.output(name) for name in self.outputs} or {"": self}

    @property
    def needs_cohort(self) -> bool:
        """Whether a pass over the whole cohort must come first; labels alone have no use for one."""
        return not self.label.only and any(
            (
                getattr(entry.step, "over", "") == "cohort"
                and getattr(entry.step, "mean", None) is None
            )
            or getattr(entry.step, "learns", False)
            for part in self.parts().values()
            for entry in part.image.steps
        )

    @property
    def suv_kinds(self) -> tuple[str, ...]:
        """The kinds of SUV that any channel of any output is to have."""
        entries = [entry for part in self.parts().values() for entry in part.image.steps]
        kinds = [entry.step.kind for entry in entries if isinstance(entry.step, Suv)]
        return tuple(dict.fromkeys(kinds))

    @model_validator(mode="after")
    def _outputs_fit(self) -> Self:
        if self.outputs and self.fingerprint is not None:
            raise ValueError(
                "fingerprint stores no arrays, so it goes with no outputs; take one out"
            )
        idle = {
            "image.filters": self.image.filters,
            "image.intensity": self.image.intensity,
            "image.channels": self.image.channels,
            "image.resample": self.image.resample != Resample(),
            "label.only": self.label.only,
            "label.outside": self.label.outside is not None,
            "store.nnunet": self.store.nnunet,
        }
        if self.fingerprint is not None and any(idle.values()):
            key = next(key for key, given in idle.items() if given)
            raise ValueError(f"fingerprint counts voxels as they are, without {key}; take one out")
        for name, output in self.outputs.items():
            if any(each.filters is not None for each in (output.channels or {}).values()):
                raise ValueError(
                    f"output {name}: filters come before outputs part; give them in image.channels"
                )
            try:
                self.output(name)
            except ValidationError as error:  # of keys of store that do not go with the others
                raise ValueError(f"output {name}: {error.errors()[0]['ctx']['error']}") from None
        return self


def _forget_idle(tree: Any) -> None:
    """Take out where standards and references lie, since what they say counts, and limits of time."""
    if isinstance(tree, dict):
        for step, path, told in (
            ("nyul", "landmarks", "standard"),
            ("histogram_match", "reference", "values"),
        ):
            if isinstance(given := tree.get(step), dict) and given.get(told):
                given.pop(path, None)
        for step in ("n4", "curvature_diffusion"):
            if isinstance(given := tree.get(step), dict):
                given.pop("seconds", None)
    for each in tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ():
        _forget_idle(each)
