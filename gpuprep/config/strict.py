"""What all config models are made of: a strict base, and numbers that are numbers."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Percent = Annotated[float, Field(ge=0, le=100)]
Count = Annotated[int, Field(gt=0)]


class Strict(BaseModel):
    """Base of all models: frozen, and no key that is not declared."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class OneOf(Strict):
    """One thing of several: exactly one of the keys."""

    @model_validator(mode="after")
    def _one(self) -> Self:
        if len(self.model_fields_set) != 1 or self.step is None:
            raise ValueError(f"give exactly one of {', '.join(type(self).model_fields)}")
        return self

    @property
    def step(self) -> Strict | None:
        """The one that is set."""
        (name,) = self.model_fields_set
        step: Strict | None = getattr(self, name)
        return step
