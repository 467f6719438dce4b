"""What all config models are made of: a strict base, and numbers that are numbers."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Percent = Annotated[float, Field(ge=0, le=100)]
Count = Annotated[int, Field(gt=0)]


class Strict(BaseModel):
    """Base of all models: frozen, and no key that is not declared."""

    model_config = ConfigDict(extra="forbid", frozen=True)
