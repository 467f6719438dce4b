"""What is decided of an output before any voxel of it is computed, and which outputs are decided alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from gpuprep.preprocess.intensity import Intensity
from gpuprep.preprocess.measure import Measured
from gpuprep.values.findings import Findings
from gpuprep.values.grids import GridMapping


@dataclass(frozen=True, slots=True, eq=False)
class Decided:
    """Every number that one output of a case is made by.

    Attributes:
        name: Of the output; empty where the config names none.
        measured: The case under the output's own config.
        mapping: Its grid.
        separate: The axis that is resampled by slices.
        intensities: The resolved chain of each channel.
        findings: What was found of the case, and of this output.
    """

    name: str
    measured: Measured
    mapping: GridMapping
    separate: int | None
    intensities: tuple[Intensity, ...]
    findings: Findings

    def same_labels(self, other: Decided) -> bool:
        """Whether both have equal label maps."""
        return self._grid == other._grid

    def same_image(self, other: Decided) -> bool:
        """Whether both have equal images, cut into the same chunks."""
        return self._grid == other._grid and self._voxels == other._voxels

    @property
    def _grid(self) -> tuple[object, ...]:
        on_reference = self.measured.config.image.resample.reference is not None
        return self.mapping, self.separate, on_reference

    @property
    def _voxels(self) -> tuple[object, ...]:
        image, store = self.measured.config.image, self.measured.config.store
        rule = image.resample
        outside = {name: channel.outside for name, channel in image.channels.items()}
        how = rule.interpolation, rule.boundary, rule.antialias, outside
        return *how, self.intensities, store.dtype, store.keep_bits, store.edge


def alike(
    outputs: Sequence[Decided], same: Callable[[Decided, Decided], bool]
) -> Iterator[list[Decided]]:
    """The outputs in groups that are the same, each at the place of its first."""
    rest = list(outputs)
    while rest:
        group = [each for each in rest if same(rest[0], each)]
        yield group
        rest = [each for each in rest if not any(each is one for one in group)]
