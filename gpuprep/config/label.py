"""``label``: what label values mean, and what happens to label maps."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from gpuprep.config.strict import Finite, Strict
from gpuprep.values.agreement import Classes

Value = Annotated[int, Field(ge=-(2**31), lt=2**32)]
Share = Annotated[float, Field(ge=0, le=1)]
Mark = Annotated[int, Field(ge=-(2**15), lt=0)]


class Label(Strict):
    """What happens to label maps; ``linear`` interpolates each label's indicator and takes the largest."""

    interpolation: Literal["nearest", "linear"] = "linear"
    required: bool = False
    only: bool = False
    """Store label maps and no images; a case without a label has its image file taken as the label."""
    names: dict[str, Value] = Field(default_factory=dict)
    """The value of each class by its name, for label maps whose input gives none."""
    regions: dict[str, tuple[Value, ...]] = Field(default_factory=dict)
    """The values of each region that is trained as one, by its name."""
    ignore: Value | None = None
    """The value of voxels that nobody annotated."""
    map: dict[Value, Value] = Field(default_factory=dict)
    """Values of the files that become others before anything is checked."""
    probabilities: Finite | Literal["argmax"] | None = None
    """What makes labels of files that hold probabilities: the least value that counts as inside, or the
    largest of all structures and of the rest to 1."""
    outside: Mark | None = None
    """What background becomes outside ``image.foreground``, before resampling; nnU-Net has -1. It is no
    class."""
    loss: Share = 0.02
    """The share of a map's labelled voxels that may be lost on the way to the stored grid."""

    @model_validator(mode="after")
    def _named(self) -> Label:
        if len(set(self.names.values())) < len(self.names) or 0 in self.names.values():
            raise ValueError("names needs one value each, none of them 0, which is background")
        known = set(self.names.values())
        values = {value for region in self.regions.values() for value in region}
        if self.ignore is not None:
            values.add(self.ignore)
        if strange := sorted(values - known):
            raise ValueError(f"value {strange[0]} of regions or ignore has no name in names")
        if self.outside in known | set(self.map.values()):
            raise ValueError(f"outside is {self.outside}, which names or map give to a class")
        return self

    @property
    def classes(self) -> Classes | None:
        """The classes declared here, if any."""
        if not self.names:
            return None
        names = {value: name for name, value in self.names.items()}
        return Classes(names, self.regions, (), self.ignore)
