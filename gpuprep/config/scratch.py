"""``run.scratch``: decoded cases that lie ready for the next pass."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Annotated, Literal

from pydantic import Field, field_validator

from gpuprep.config.strict import Strict


class DecodedScratch(Strict):
    """Keep decoded cases for a later pass over the same files; decides nothing about the results."""

    folder: str
    """A folder of its own on a fast disk; every host has its own, or all share one."""
    bytes: Annotated[int, Field(gt=0)]
    """Most that all kept cases may take together, of all processes; what is beyond is not kept."""
    after: Literal["drop", "keep"] = "drop"
    """What becomes of a case in it once it is stored: ``keep`` where another run has yet to read it."""

    @field_validator("folder")
    @classmethod
    def _absolute(cls, folder: str) -> str:
        if not PurePosixPath(folder).is_absolute():
            raise ValueError(f"workers have other working folders: {folder!r} must be absolute")
        return folder
