"""What a slot is told and what it says: plain values that travel as JSON between service and slot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from gpuprep.config.model import Config
from gpuprep.host.backend import Name
from gpuprep.service.volumes.answers import Wanted


@dataclass(frozen=True)
class Terms:
    """What a slot works with, for as long as it lives."""

    config: Config
    folder: str
    """Its own; it is made anew with each process."""
    backend: Name
    threads: int
    memory: int
    """Bytes that a volume may take."""

    def to_json(self) -> dict[str, Any]:
        rest = {name: getattr(self, name) for name in ("folder", "backend", "threads", "memory")}
        return {**rest, "config": self.config.resolved()}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Terms:
        return cls(**{**fields, "config": Config.model_validate(fields["config"])})


@dataclass(frozen=True, slots=True)
class Order:
    """One volume to prepare.

    Attributes:
        source: A file, or the folder of a case.
        shown: What the client calls it, in place of ``source`` wherever that would be told.
        folder: The request's own, where the answer goes.
        wanted: Which answer.
        root: What its files must lie in, links followed.
        unpack: Most bytes and files of a zip, which ``source`` then is; None where it is none.
    """

    source: str
    shown: str
    folder: str
    wanted: Wanted
    root: str
    unpack: tuple[int, int] | None = None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Order:
        unpack = fields["unpack"]
        return cls(
            **{
                **fields,
                "wanted": Wanted.from_json(fields["wanted"]),
                "unpack": unpack and tuple(unpack),
            }
        )


@dataclass(frozen=True, slots=True)
class Refused:
    """Why there is no answer, as a problem has it."""

    status: int
    code: str
    detail: str
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Reply:
    """How an order ended: with the ``file`` of an answer, or ``refused``."""

    file: str = ""
    media_type: str = ""
    case: str = ""
    stages: tuple[tuple[str, float], ...] = ()
    """Seconds by stage, in order."""
    findings: tuple[str, ...] = ()
    """Their codes; the record has the rest."""
    unused: int = 0
    """Files that belong to no case."""
    refused: Refused | None = None
    trace: str = field(default="", repr=False)
    """Of a fault of gpuprep's own, for the log alone."""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Reply:
        refused = fields["refused"]
        return cls(
            **{
                **fields,
                "stages": tuple((name, seconds) for name, seconds in fields["stages"]),
                "findings": tuple(fields["findings"]),
                "refused": None if refused is None else Refused(**refused),
            }
        )
